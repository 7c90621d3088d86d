"""In: raw scores. Out: human-normalized ones, as computed by hand from the published table."""

import csv
import importlib.resources

import pytest
from ale_py import roms

from agents import scores
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


def test_the_published_curve_is_dopamines():
    first, second = scores.dopamine("breakout", "DQN")[:2]
    assert first[1:] == ("DQN", 250_000, 5, 1.81, 1.64, 1.92)
    assert second[1:] == ("DQN", 500_000, 5, 7.11, 5.56, 8.08)
    assert scores.dopamine("no_such_game", "DQN") == scores.dopamine("breakout", "PPO") == []


@pytest.mark.parametrize("agent", ["DQN", "C51", "Rainbow", "IQN", "QR-DQN"])
def test_every_published_agent_has_50_windows(agent):
    windows = scores.dopamine("space_invaders", agent)
    assert [w.agent_steps for w in windows] == list(range(250_000, 12_500_001, 250_000))
    assert all(w.low <= w.mean <= w.high for w in windows)


@pytest.mark.parametrize(
    ("agent_steps", "window"),
    [(900_000, 1_000_000), (1_000_004, 1_000_000), (1_120_000, 1_000_000), (1_125_000, 1_250_000)],
)
def test_beside_an_evaluation_stands_the_nearest_window(agent_steps, window):
    beside = scores.beside("space_invaders", ["dopamine", "ale_v5"], agent_steps)
    assert [p.agent for p in beside] == ["C51", "DQN", "IQN", "QR-DQN", "Rainbow"]
    assert {p.agent_steps for p in beside} == {window}


@pytest.mark.parametrize(
    ("game", "protocols", "agent_steps"),
    [
        ("space_invaders", ["nature", "atari_100k"], 1_000_000),
        ("space_invaders", ["dopamine"], 20_000_000),
        ("space_invaders", [], 1_000_000),
        ("backgammon", ["dopamine"], 1_000_000),
    ],
)
def test_nothing_published_stands_beside(game, protocols, agent_steps):
    assert scores.beside(game, protocols, agent_steps) == []


def test_atari_100k_stands_beside_runs_of_its_length():
    for agent_steps, agents in ((100_000, ["DrQ(eps)", "SPR", "SimPLe"]), (200_000, []), (0, [])):
        beside = scores.beside("alien", ["nature", "atari_100k"], agent_steps)
        assert [p.agent for p in beside] == agents
    assert scores.atari_100k("alien")[0][1:] == (
        *("DrQ(eps)", 100_000, 100),
        *(865.16, 653.32, 1133.05),
    )
