"""In: games and their scores. Out: a run directory that has recorded them, without a training."""

import json

HEADER = "agent_steps,frames,environment,score,clipped_return,episode_frames,episode_agent_steps"


def make_run(path, games, *, game="SpaceInvaders", algorithm="DQN", evaluation=None, **rules):
    """Writes what a training leaves behind of these (agent steps, score) of games."""
    path.mkdir(exist_ok=True, parents=True)
    config = {
        "AtariEnvironment.game": repr(game),
        "Training.agent": f"@{algorithm}",
        **{f"AtariEnvironment.{name}": repr(value) for name, value in rules.items()},
    }
    (path / "config.json").write_text(json.dumps(config))
    rows = [f"{steps},{4 * steps},0,{score},1,400,100" for steps, score in games]
    (path / "episodes.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    if evaluation:
        (path / "evaluate.jsonl").write_text(json.dumps(evaluation) + "\n")
    return path
