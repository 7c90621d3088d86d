"""Published scores: a game goes in; what chance, a human and other agents scored comes out.

All in `data/`, raw scores, games by their ALE names:

    human_random.csv     a random player and a human professional, no-op starts, 30-minute cap
                         (google-deepmind/dqn_zoo, atari_data.py, Apache-2.0)
    dopamine_curves.csv  training returns per window of 250,000 agent steps, Nature's encoder, five
                         seeds a game (google/dopamine, baselines/atari/data, Apache-2.0): protocol
                         `dopamine`, the behaviour's own epsilon-greedy returns
    atari_100k.csv       final scores after 100,000 agent steps, protocol `atari_100k`: the runs
                         that rliable published (google-research/rliable, Apache-2.0), 100 a game
                         for DrQ(eps) and SPR, 5 for SimPLe
"""

import csv
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

WINDOW_AGENT_STEPS = 250_000  # of dopamine_curves.csv
DOPAMINE_AGENTS = ("C51", "DQN", "IQN", "QR-DQN", "Rainbow")
_ATARI_100K_AGENT_STEPS = 100_000
_DATA = Path(__file__).parent / "data"


class Published(NamedTuple):
    """The scores of an agent's runs at one point of their training."""

    source: str
    agent: str
    agent_steps: int  # the window's end
    runs: int
    mean: float
    low: float  # the worst run of Dopamine's, the 10th percentile of Atari 100k's
    high: float  # the best run, the 90th percentile


@functools.cache
def _rows(name: str) -> list[dict[str, str]]:
    with (_DATA / name).open(newline="") as file:
        return list(csv.DictReader(file))


def human_normalized(game: str, score: float) -> float | None:
    """(score - random) / (human - random); 0 plays like chance, 1 like a human professional.

    Args:
      game: ALE name, such as "space_invaders".
      score: raw.

    Returns:
      The normalized score, or None for a game outside Atari-57.
    """
    for row in _rows("human_random.csv"):
        if row["game"] == game:
            random, human = float(row["random"]), float(row["human"])
            return (score - random) / (human - random)
    return None


def dopamine(game: str, agent: str) -> list[Published]:
    """Dopamine's curve of a game and an agent, one entry per window; empty if not published."""
    return [
        Published(
            "Dopamine, training returns",
            agent,
            int(row["agent_steps"]),
            int(row["seeds"]),
            *(float(row[name]) for name in ("mean", "min", "max")),
        )
        for row in _rows("dopamine_curves.csv")
        if (row["game"], row["agent"]) == (game, agent)
    ]


def atari_100k(game: str) -> list[Published]:
    """The published results of Atari 100k; empty for a game outside the benchmark."""
    return [
        Published(
            "Atari 100k, evaluation",
            row["agent"],
            _ATARI_100K_AGENT_STEPS,
            int(row["runs"]),
            *(float(row[name]) for name in ("mean", "p10", "p90")),
        )
        for row in _rows("atari_100k.csv")
        if row["game"] == game
    ]


def beside(game: str, protocols: Sequence[str], agent_steps: int) -> list[Published]:
    """What was published for a game, an equal protocol and about this much training."""
    found = []
    if "dopamine" in protocols:
        windows = [window for agent in DOPAMINE_AGENTS for window in dopamine(game, agent)]
        half = WINDOW_AGENT_STEPS / 2
        found += [w for w in windows if -half < w.agent_steps - agent_steps <= half]
    difference = abs(agent_steps - _ATARI_100K_AGENT_STEPS)
    if "atari_100k" in protocols and difference <= _ATARI_100K_AGENT_STEPS / 10:
        found += atari_100k(game)
    return found
