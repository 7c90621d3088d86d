"""Published scores: a game's raw score goes in, its human-normalized score comes out.

`data/human_random.csv` has the scores of a random player and of a human professional, no-op
starts, 30-minute cap, as Google DeepMind's DQN Zoo publishes them (`atari_data.py`, Apache-2.0).
"""

import csv
import functools
from pathlib import Path

_HUMAN_RANDOM = Path(__file__).parent / "data" / "human_random.csv"


@functools.cache
def _human_random() -> dict[str, tuple[float, float]]:
    with _HUMAN_RANDOM.open(newline="") as file:
        return {
            row["game"]: (float(row["random"]), float(row["human"])) for row in csv.DictReader(file)
        }


def human_normalized(game: str, score: float) -> float | None:
    """(score - random) / (human - random); 0 plays like chance, 1 like a human professional.

    Args:
      game: ALE name, such as "space_invaders".
      score: raw.

    Returns:
      The normalized score, or None for a game outside Atari-57.
    """
    if game not in _human_random():
        return None
    random, human = _human_random()[game]
    return (score - random) / (human - random)
