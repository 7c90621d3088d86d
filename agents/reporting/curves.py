"""Learning curves: runs go in; lines of mean training scores per window come out."""

import csv
import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agents import protocols, scores
from agents.errors import NotYetError, UserError
from agents.reporting import records
from agents.reporting.intervals import interval
from agents.reporting.runs import Run, gather


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
    window_agent_steps: int  # of a point
    published: list[scores.Published]  # to hold them against


def history(run: Run) -> History:
    """What a run has recorded; empty as long as no game is over.

    Raises:
      UserError: it cannot be read.
    """
    agent_steps, raw = episodes(run.path)
    return History(run, raw, agent_steps, training_hours(run.path, agent_steps))


def _some_history(run: Run) -> History:
    """As `history`; raises a NotYetError if it is empty."""
    found = history(run)
    if len(found.scores):
        return found
    evaluations = records.evaluations(run.path)  # the last one is after the last agent step
    if evaluations and evaluations[-1]["agent_steps"] >= run.length_agent_steps:
        raise NotYetError(
            f"{run.path} ended before its first game was over: train it for more than "
            f"Training.agent_steps = {run.length_agent_steps}"
        )
    raise NotYetError(f"{run.path} has no finished game yet: let it train until the first is over")


def lines(
    runs: Iterable[Run], group_by: str, window_agent_steps: int = scores.WINDOW_AGENT_STEPS
) -> list[Line]:
    """Runs as lines of a plot; those without a finished game are left out and warned of.

    Args:
      runs: of one protocol.
      group_by: "algorithm": a panel per game, a line per algorithm, over its seeds; "game": a
        panel per algorithm, a line per game; "run": a panel per game, a line per run.
      window_agent_steps: games that end in one window count together.

    Raises:
      UserError: no run has a finished game, or one cannot be read.
    """
    groups: dict[tuple[str, str], list[History]] = {}
    for found in gather(runs, _some_history).values():
        run = found.run
        key = {
            "algorithm": (run.game, run.algorithm),
            "game": (run.algorithm, run.game),
            "run": (run.game, str(run.path)),
        }[group_by]
        groups.setdefault(key, []).append(found)
    return [line(*key, group, window_agent_steps) for key, group in groups.items()]


def line(
    panel: str,
    label: str,
    histories: list[History],
    window_agent_steps: int = scores.WINDOW_AGENT_STEPS,
) -> Line:
    """One line; without points where no game is over."""
    windows = points(histories, window_agent_steps)
    beside = published(histories[0].run)
    return Line(panel, label, histories, windows, window_agent_steps, beside)


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
      UserError: there is no record of games, or it is damaged.
    """
    path = run_dir / "episodes.csv"
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        # A game that is being written while we read may be torn; it is the last one.
        whole = [row for row in rows if row["episode_agent_steps"]]
        return (
            np.array([int(row["agent_steps"]) for row in whole], np.int64),
            np.array([float(row["score"]) for row in whole], np.float64),
        )
    except OSError as e:
        raise UserError(f"{run_dir} is no run: {path} cannot be read ({e.strerror})") from e
    except (csv.Error, ValueError, KeyError, TypeError) as e:
        raise UserError(f"{path} is damaged ({e!r}): move it away") from e


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
