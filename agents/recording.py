"""Recording: trained agents go in; films of games that they play come out."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents import assessment, players
from agents.errors import UserError
from agents.evaluation import Evaluator
from agents.players import Player
from agents.reporting.film import film
from agents.restoring import saved_agents
from agents.run_directory import check_is_run

CHOICES = ("first", "best", "worst")
Progress = Callable[[int, int], None]  # as `Evaluator.run` takes it


@dataclasses.dataclass(frozen=True)
class Film:
    """A film that is made while its frames are taken."""

    name: str
    frames: Iterator[np.ndarray]  # uint8 [H, W, 3] RGB, 60 a second
    length_frames: int  # those of a no-op start included, which are not shown


def chosen_games(
    player: Player,
    evaluator: Evaluator,
    choices: Sequence[str],
    *,
    scale: int,
    overlay: bool,
    progress: Progress,
) -> list[Film]:
    """Plays an evaluation's games and films those of `CHOICES`."""
    evaluation = evaluator.run(progress)
    scores = evaluation.scores
    games = {"first": 0, "best": int(scores.argmax()), "worst": int(scores.argmin())}
    caption = _caption(player) if overlay else ""
    seen_by = player.agent if overlay else None
    return [
        Film(
            f"{player.agent_steps}_{choice}",
            film(
                evaluation,
                evaluator,
                games[choice],
                scale=scale,
                caption=caption,
                overlay=seen_by,
            ),
            int(evaluation.frames[games[choice]]),
        )
        for choice in choices
    ]


def progress_of_run(
    run_dir: Path,
    protocol: str | None,
    arguments: dict[str, Any],
    *,
    scale: int,
    overlay: bool,
    progress: Progress,
) -> Film:
    """Films the first game of every agent that a run has kept, one after the other.

    Raises:
      UserError: there is no run, or it has no agent yet.
    """
    check_is_run(run_dir)
    films, lengths = [], []
    for agent_steps in saved_agents(run_dir):
        if agent_steps not in saved_agents(run_dir):
            continue  # a training beside this has removed it since
        player = players.from_run(run_dir, agent_steps, protocol)
        evaluator = assessment.evaluator(player, episodes=1, **arguments)
        evaluation = evaluator.run(progress)
        seen_by = player.agent if overlay else None
        films.append(
            film(evaluation, evaluator, 0, scale=scale, caption=_caption(player), overlay=seen_by)
        )
        lengths.append(int(evaluation.frames[0]))
    if not films:
        raise UserError(f"{run_dir} has no checkpoint yet: wait for the first")
    return Film("progress", itertools.chain.from_iterable(films), sum(lengths))


def _caption(player: Player) -> str:
    return f"{player.agent_steps:,} agent steps"
