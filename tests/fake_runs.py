"""Run directories without a training: those that have recorded given games, and a given best."""

import json
import shutil

EVALUATION = {
    "game": "space_invaders",
    "algorithm": "DQN",
    "agent_steps": 304,
    "frames": 1216,
    "protocols": ["dopamine"],
    "rules": {"repeat_action_probability": 0.25, "noop_max": 0},
    "epsilon": 0.001,
    "seed": 0,
    "episodes": 2,
    "mean": 257.123,
    "sd": 38.81,
    "median": 250.0,
    "iqm": 257.0,
    "mean_interval": [250.0, 264.0],
    "scores": [250.0, 264.0],
}
HEADER = "agent_steps,frames,environment,score,clipped_return,episode_frames,episode_agent_steps"


def make_run(path, games, *, game="SpaceInvaders", algorithm="DQN", evaluation=None, **rules):
    """Writes what a training leaves behind of these (agent steps, score) of games."""
    path.mkdir(exist_ok=True, parents=True)
    config = {
        "AtariEnvironment.game": repr(game),
        "Training.agent": f"@{algorithm}",
        "Training.agent_steps": "1_000_000",
        **{f"AtariEnvironment.{name}": repr(value) for name, value in rules.items()},
    }
    (path / "config.json").write_text(json.dumps(config))
    rows = [f"{steps},{4 * steps},0,{score},1,400,100" for steps, score in games]
    (path / "episodes.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    if evaluation:
        (path / "evaluate.jsonl").write_text(json.dumps(evaluation) + "\n")
    return path


def replace_best(run_dir, checkpoint, agent_steps):
    """Makes a checkpoint's agent the best one of a run, under a number of its own."""
    shutil.rmtree(run_dir / "best", ignore_errors=True)
    best = run_dir / "best" / f"{agent_steps:012d}"
    shutil.copytree(run_dir / "checkpoints" / f"{checkpoint:012d}" / "agent", best / "agent")
    (best / "evaluation.json").write_text('{"mean": 1.0}')
