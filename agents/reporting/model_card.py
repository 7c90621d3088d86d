"""In: an evaluation of a run, a line of `evaluate.jsonl`. Out: the README.md of its repository.

The card's `model-index` is what leaderboards of the hub read. That of the Deep Reinforcement
Learning Course takes the environment's Gym name as the dataset, and "mean +/- sd" as mean_reward.
"""

from collections.abc import Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCardData


def gym_name(game: str) -> str:
    """The name by which leaderboards know a game: space_invaders, SpaceInvadersNoFrameskip-v4."""
    return "".join(part.capitalize() for part in game.split("_")) + "NoFrameskip-v4"


def model_card(repo_id: str, evaluation: Mapping[str, Any], *, has_video: bool) -> str:
    """The text of README.md.

    Args:
      repo_id: "user/name".
      evaluation: a line of `evaluate.jsonl`.
      has_video: whether the repository has a `replay.mp4`.
    """
    environment = gym_name(evaluation["game"])
    name = repo_id.rpartition("/")[2]
    data = ModelCardData(
        library_name="atari-dqn",
        tags=[environment, "deep-reinforcement-learning", "reinforcement-learning", "atari"],
        model_name=name,
        eval_results=[
            EvalResult(
                task_type="reinforcement-learning",
                task_name="reinforcement-learning",
                dataset_type=environment,
                dataset_name=environment,
                metric_type="mean_reward",
                metric_name="mean_reward",
                metric_value=f"{evaluation['mean']:.2f} +/- {evaluation['sd']:.2f}",
                verified=False,
            )
        ],
    )
    rows = {
        "mean score": f"{evaluation['mean']:.2f}",
        "sd": f"{evaluation['sd']:.2f}",
        "median": f"{evaluation['median']:.2f}",
        "games": str(len(evaluation["scores"])),
        "agent steps": f"{evaluation['agent_steps']:,} ({evaluation['frames']:,} frames)",
        "epsilon": f"{evaluation['epsilon']:g}",
        "seed": str(evaluation["seed"]),
        "protocol": " = ".join(evaluation["protocols"]) or "its own",
        **{name: str(value) for name, value in evaluation["rules"].items()},
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    film = "\n`replay.mp4` shows it play.\n" if has_video else ""
    return f"""---
{data.to_yaml()}
---

# {evaluation["algorithm"]} on {evaluation["game"]}

Trained with atari-dqn (TF-Agents, Reverb, ALE). Scores are raw.

| | |
|---|---|
{table}

Leaderboards sort by the name {environment}; the games were played by the rules of this table.
{film}
## Use

    python launch/hub.py load --repo_id={repo_id} --run_dir=runs/{name}
    python launch/evaluate.py --run_dir=runs/{name}
    python launch/export.py --run_dir=runs/{name}

`config.gin` holds every setting of the training, `run.json` versions, commit and machine. The
checkpoint has the networks only: a training cannot go on from it.
"""
