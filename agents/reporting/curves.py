"""Learning curves: the `episodes.csv` of runs go in; windows of mean scores and a plot come out.

`agents/data/dopamine_curves.csv` holds Dopamine's published training returns per window of
250,000 agent steps, five seeds a game, of its JAX agents with the Nature encoder (google/dopamine,
baselines/atari/data, Apache-2.0): sticky actions, a lost life does not end an episode, the
behaviour's own epsilon-greedy returns.
"""

import ast
import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agents.environments import rom_name
from agents.errors import UserError

WINDOW_AGENT_STEPS = 250_000
_SMOOTHED_GAMES = 100
DOPAMINE_AGENTS = ("DQN", "C51", "Rainbow", "IQN", "QR-DQN")
_DOPAMINE = Path(__file__).parents[1] / "data" / "dopamine_curves.csv"


class Window(NamedTuple):
    """The games that ended in the `WINDOW_AGENT_STEPS` up to `agent_steps`."""

    agent_steps: int
    games: int
    mean: float  # raw score


class PublishedWindow(NamedTuple):
    """The same of a published agent, over its seeds."""

    agent_steps: int
    mean: float
    min: float
    max: float


def game(run_dir: Path) -> str:
    """The game of a run, by its ALE name.

    Raises:
      UserError: there is no run.
    """
    try:
        bindings = json.loads((run_dir / "config.json").read_text())
        return rom_name(ast.literal_eval(bindings["AtariEnvironment.game"]))
    except (OSError, ValueError, KeyError) as e:
        raise UserError(f"{run_dir} holds no run ({e}): give the --run_dir of a training") from e


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


def windows(agent_steps: np.ndarray, scores: np.ndarray) -> list[Window]:
    """The mean score of each window in which a game ended; the last one may be unfinished."""
    ends = -(-agent_steps // WINDOW_AGENT_STEPS) * WINDOW_AGENT_STEPS
    return [
        Window(int(end), int(np.sum(ends == end)), float(scores[ends == end].mean()))
        for end in np.unique(ends)
    ]


def dopamine(game: str, agent: str = "DQN") -> list[PublishedWindow]:
    """Dopamine's curve of a game; empty where none was published."""
    with _DOPAMINE.open(newline="") as file:
        return [
            PublishedWindow(
                int(row["agent_steps"]), float(row["mean"]), float(row["min"]), float(row["max"])
            )
            for row in csv.DictReader(file)
            if (row["game"], row["agent"]) == (game, agent)
        ]


def plot(
    runs: Mapping[str, Path],
    published: Sequence[PublishedWindow],
    title: str,
    path: Path,
    published_agent: str = "DQN",
) -> None:
    """Draws the runs over the published curve.

    Args:
      runs: run directories by the name in the legend.
      published: empty to leave it out.
      title: above the plot.
      path: of the file; its ending chooses the format.
      published_agent: whose curve `published` is, for the legend.

    Raises:
      UserError: a run has no games, matplotlib is missing, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as e:
        raise UserError("plots need matplotlib: pip install 'atari-dqn[plot]'") from e
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    last_agent_steps = 0
    for name, run_dir in runs.items():
        agent_steps, scores = episodes(run_dir)
        run_agent_steps = int(agent_steps[-1])
        last_agent_steps = max(last_agent_steps, run_agent_steps)
        # An unfinished window is drawn at the last game.
        ends = ((min(w.agent_steps, run_agent_steps), w.mean) for w in windows(agent_steps, scores))
        (line,) = axes.plot(
            *zip(*ends, strict=True),
            marker="o",
            label=name,
        )
        if len(scores) >= _SMOOTHED_GAMES:
            kernel = np.ones(_SMOOTHED_GAMES) / _SMOOTHED_GAMES
            smooth = np.convolve(scores, kernel, mode="valid")
            at = agent_steps[_SMOOTHED_GAMES - 1 :]
            axes.plot(at, smooth, color=line.get_color(), alpha=0.4, linewidth=1)
    shown = [w for w in published if w.agent_steps < last_agent_steps + WINDOW_AGENT_STEPS]
    if shown:
        ends = [w.agent_steps for w in shown]
        label = f"Dopamine {published_agent}, mean of 5 seeds"
        axes.plot(ends, [w.mean for w in shown], "k--", label=label)
        axes.fill_between(
            ends, [w.min for w in shown], [w.max for w in shown], color="k", alpha=0.15
        )
    axes.set(
        title=f"{title}: games of {WINDOW_AGENT_STEPS:,} agent steps; thin, of {_SMOOTHED_GAMES}",
        xlabel="agent steps",
        ylabel="mean training score",
    )
    axes.legend()
    axes.grid(alpha=0.3)
    try:
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as e:
        raise UserError(f"{path} cannot be written ({e}): choose another --out") from e
