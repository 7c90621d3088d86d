"""Learning curves: runs go in; lines of mean training scores per window come out."""

import csv
import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agents import protocols, scores
from agents.errors import UserError
from agents.reporting import records
from agents.reporting.intervals import interval
from agents.reporting.runs import Run


@dataclasses.dataclass(frozen=True)
class History:
    """The finished games of a run, in their order; all arrays [E]."""

    run: Run
    scores: np.ndarray  # float64, raw
    agent_steps: np.ndarray  # int64, of the run at the game's end
    hours: np.ndarray  # float64, of training until then; nan where there are no event files

    @property
    def frames(self) -> np.ndarray:
        """int64, of the run at the game's end."""
        return self.agent_steps * self.run.rules["frameskip"]


class Point(NamedTuple):
    """The games that ended in one window; scores are raw training scores."""

    agent_steps: int  # the window's end, or the last game's in a window that is not over
    frames: int
    hours: float  # the mean of the runs
    runs: int
    games: int
    mean: float  # of the runs' means
    low: float  # 95% bootstrap interval over the runs; the mean itself of a single one
    high: float


class Line(NamedTuple):
    """The runs that are one line of a plot."""

    panel: str
    label: str
    histories: list[History]
    points: list[Point]
    published: list[scores.Published]  # to hold them against


def history(run: Run) -> History:
    """What a run has recorded.

    Raises:
      UserError: it has no finished game.
    """
    agent_steps, raw = episodes(run.path)
    return History(run, raw, agent_steps, training_hours(run.path, agent_steps))


def lines(
    runs: Iterable[Run], group_by: str, window_agent_steps: int = scores.WINDOW_AGENT_STEPS
) -> list[Line]:
    """Runs as lines of a plot.

    Args:
      runs: of one protocol.
      group_by: "algorithm": a panel per game, a line per algorithm, over its seeds; "game": a
        panel per algorithm, a line per game; "run": a panel per game, a line per run.
      window_agent_steps: games that end in one window count together.

    Raises:
      UserError: a run has no games.
    """
    groups: dict[tuple[str, str], list[History]] = {}
    for run in runs:
        key = {
            "algorithm": (run.game, run.algorithm),
            "game": (run.algorithm, run.game),
            "run": (run.game, str(run.path)),
        }[group_by]
        groups.setdefault(key, []).append(history(run))
    return [
        Line(*key, group, points(group, window_agent_steps), published(group[0].run))
        for key, group in groups.items()
    ]


def points(histories: Sequence[History], window_agent_steps: int) -> list[Point]:
    """The windows in which a game ended; the last one may not be over."""
    ends = [-(-h.agent_steps // window_agent_steps) * window_agent_steps for h in histories]
    found = []
    for end in np.unique(np.concatenate(ends)):
        within = [(h, at == end) for h, at in zip(histories, ends, strict=True) if end in at]
        means = np.array([h.scores[here].mean() for h, here in within])
        low, high = interval(means) or (means[0], means[0])
        reached = min(int(end), max(int(h.agent_steps[-1]) for h, _ in within))
        found.append(
            Point(
                agent_steps=reached,
                frames=reached * histories[0].run.rules["frameskip"],
                hours=float(np.mean([h.hours[here][-1] for h, here in within])),
                runs=len(within),
                games=sum(int(here.sum()) for _, here in within),
                mean=float(means.mean()),
                low=float(low),
                high=float(high),
            )
        )
    return found


def published(run: Run) -> list[scores.Published]:
    """Dopamine's curve of the run's algorithm, or else of DQN; empty if the protocols differ."""
    if "dopamine" not in protocols.names(run.rules, in_training=True):
        return []
    known = {_letters(agent): agent for agent in scores.DOPAMINE_AGENTS}
    return scores.dopamine(run.game, known.get(_letters(run.algorithm), "DQN"))


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


def episodes(run_dir: Path) -> tuple[np.ndarray, np.ndarray]:
    """Agent steps at the end of each finished game, int64 [E], and its raw score, float64 [E].

    Raises:
      UserError: there are none.
    """
    path = run_dir / "episodes.csv"
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as e:
        raise UserError(f"{run_dir} is no run: {path} cannot be read ({e.strerror})") from e
    # A game that is being written while we read may be torn; it is the last one.
    whole = [row for row in rows if row["episode_agent_steps"]]
    if not whole:
        raise UserError(f"{run_dir} has no finished game yet: wait for the first")
    return (
        np.array([int(row["agent_steps"]) for row in whole]),
        np.array([float(row["score"]) for row in whole]),
    )


def training_hours(run_dir: Path, agent_steps: np.ndarray) -> np.ndarray:
    """The hours of training until these agent steps, float64 [E]; nan without event files.

    Each process has an event file, so the time between a stop and the resume does not count.
    """
    steps, hours = [0], [0.0]
    for path in records.event_files(run_dir):
        before, start = hours[-1], None
        for event in records.events(path):
            start = start or event.wall_time
            steps.append(max(steps[-1], event.step))
            hours.append(before + (event.wall_time - start) / 3600)
    known = len(steps) > 1
    return np.interp(agent_steps, steps, hours) if known else np.full(len(agent_steps), np.nan)
