"""In: raw scores. Out: human-normalized ones, as computed by hand from the published table."""

import csv
import importlib.resources

import pytest
from ale_py import roms

from agents.scores import human_normalized


@pytest.mark.parametrize(
    ("game", "score", "normalized"),
    [
        ("space_invaders", 148.0, 0.0),  # random
        ("space_invaders", 1668.7, 1.0),  # human
        ("space_invaders", 1976.0, (1976 - 148) / (1668.7 - 148)),  # DQN of Mnih et al. 2015
        ("pong", -20.7, 0.0),
        ("pong", 20.0, (20 + 20.7) / (14.6 + 20.7)),
        ("breakout", 0.2, (0.2 - 1.7) / (30.5 - 1.7)),  # worse than random
    ],
)
def test_human_normalized(game, score, normalized):
    assert human_normalized(game, score) == pytest.approx(normalized, abs=1e-12)


def test_a_game_without_published_scores_has_none():
    assert human_normalized("adventure", 100.0) is None


def test_the_table_has_the_57_games_by_their_ale_names():
    path = importlib.resources.files("agents") / "data" / "human_random.csv"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    games = {row["game"] for row in rows}
    assert len(rows) == len(games) == 57
    assert games <= set(roms.get_all_rom_ids())
    assert all(float(row["human"]) > float(row["random"]) for row in rows)
