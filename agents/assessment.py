"""Assessment: a player goes in; its evaluation, as one JSON line of `evaluate.jsonl`, comes out."""

import contextlib
import errno
import json
import os
import time
from collections.abc import Callable
from datetime import datetime, timezone
from io import FileIO
from pathlib import Path
from types import NoneType
from typing import Any

from agents import configuration, protocols, scores
from agents.errors import NotYetError, UserError
from agents.evaluation import Evaluation, Evaluator
from agents.players import Player
from agents.reporting.intervals import interquartile_mean, interval
from agents.reporting.records import json_lines
from agents.run_directory import current_commit

FILE = "evaluate.jsonl"
PASSING_GRADES = {"space_invaders": 200}  # of the course that this project grew from
_NUMBER = (int, float)
_READ_BY_OTHERS = {  # of a line, which may be a stranger's; one game has None for an interval
    **dict.fromkeys(("game", "algorithm"), str),
    **dict.fromkeys(("agent_steps", "frames", "seed", "episodes"), int),
    **dict.fromkeys(("epsilon", "mean", "sd", "median", "iqm", "human_normalized"), _NUMBER),
    "protocols": list,
    "rules": dict,
    "scores": list,
    "mean_interval": (list, NoneType),
}


def evaluator(player: Player, **arguments: Any) -> Evaluator:
    """Plays by the rules in force, without the shorter games of an evaluation during training.

    Args:
      player: who plays.
      arguments: of `Evaluator`; None leaves what the configuration says.
    """
    rules = protocols.rules(configuration.bindings())
    given = {name: value for name, value in arguments.items() if value is not None}
    given.setdefault("max_frames_per_episode", rules["max_frames_per_episode"])
    return Evaluator(player.agent, **given)


def evaluate(
    player: Player, evaluator: Evaluator, progress: Callable[[int, int], None] = lambda *_: None
) -> dict[str, Any]:
    """Plays the evaluator's games and says all that is to be known of them.

    Returns:
      Values as JSON has them; `docs/toolbox.md` lists them.
    """
    start = time.perf_counter()
    evaluation = evaluator.run(progress)
    seconds = time.perf_counter() - start
    rules = protocols.rules(configuration.bindings())
    names = protocols.names(rules, in_training=False)
    return {
        "game": player.game,
        "algorithm": player.algorithm,
        "agent_steps": player.agent_steps,
        "frames": player.frames,
        "trained_by_commit": player.commit,
        "protocols": names,
        "rules": rules | {"terminal_on_life_loss": False},
        "epsilon": evaluator.epsilon,
        "seed": evaluator.seed,
        "num_envs": evaluator.num_envs,
        "episodes": evaluator.episodes,
        **_statistics(evaluation),
        "published": [p._asdict() for p in scores.beside(player.game, names, player.agent_steps)],
        "scores": evaluation.scores.tolist(),
        "episode_frames": evaluation.frames.tolist(),
        "commit": current_commit(),
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "wall_seconds": round(seconds, 1),
    }


def _statistics(evaluation: Evaluation) -> dict[str, Any]:
    """Those of `Evaluation.statistics`, and robust ones as rliable (Agarwal et al. 2021) has them.

    The intervals are 95% percentile bootstraps over the games.
    """
    statistics = evaluation.statistics()
    grade = statistics["mean"] - statistics["sd"]
    robust = {
        "iqm": float(interquartile_mean(evaluation.scores)),
        "mean_interval": interval(evaluation.scores),
        "iqm_interval": interval(evaluation.scores, interquartile_mean),
        "grade": grade,
    }
    passing = PASSING_GRADES.get(evaluation.game)
    return statistics | robust | ({} if passing is None else {"passes": grade >= passing})


def evaluate_into(
    directory: Path, player: Player, evaluator: Evaluator, show: Callable[[int, str], None]
) -> dict[str, Any]:
    """Adds an evaluation to the `evaluate.jsonl` of a run or a model, and returns it.

    Args:
      directory: that has, or gets, the file.
      player: who plays.
      evaluator: of the player.
      show: is told how many games are over, and a remark.

    Raises:
      UserError: the file cannot be opened, and nothing was played; or it cannot be written.
    """
    with _open(directory) as log:
        line = evaluate(player, evaluator, lambda games, steps: show(games, under_way(steps)))
        text = json.dumps(line).encode() + b"\n"
        size = os.fstat(log.fileno()).st_size
        try:
            if log.write(text) < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as e:
            with contextlib.suppress(OSError):
                os.truncate(log.fileno(), size)  # or the next line would be damaged too
            raise UserError(
                f"{directory / FILE} cannot be written ({e.strerror}); the mean of "
                f"{line['episodes']} games was {line['mean']:.1f}: make room and evaluate again"
            ) from e
    return line


def under_way(agent_steps: int) -> str:
    """A remark on the progress of games that are played side by side."""
    return f"those under way at agent step {agent_steps:,}"


def _open(directory: Path) -> FileIO:
    try:
        return (directory / FILE).open("ab", buffering=0)
    except OSError as e:
        raise UserError(
            f"{directory / FILE} cannot be written ({e.strerror}): copy the run to a folder of "
            "your own"
        ) from e


def evaluations(directory: Path) -> list[dict[str, Any]]:
    """The lines of a run's `evaluate.jsonl`, oldest first; a torn last one is left out."""
    return json_lines(directory / FILE)


def newest(directory: Path) -> dict[str, Any]:
    """The last of `evaluations`.

    Raises:
      NotYetError: there is none.
      UserError: it lacks what every evaluation has.
    """
    lines = evaluations(directory)
    if not lines:
        raise NotYetError(
            f"{directory} is not evaluated yet: python launch/evaluate.py --run_dir={directory}"
        )
    line = {"human_normalized": 0.0} | lines[-1]  # some games have none
    for name, kind in _READ_BY_OTHERS.items():
        if not isinstance(line.get(name), kind):
            raise UserError(
                f"{directory / FILE} is damaged (its last line has no {name} that can be read): "
                "evaluate again, or move it away"
            )
    return lines[-1]
