"""Aggregates against values computed by hand, and runs that fill no matrix."""

import numpy as np
import pytest

from agents.errors import UserError
from agents.reporting import aggregates


def line(algorithm, game, score, **changes):
    return {
        "algorithm": algorithm,
        "game": game,
        "human_normalized": score,
        "rules": {"noop_max": 0},
        "epsilon": 0.001,
        **changes,
    }


LINES = [
    *(line("DQN", "pong", score) for score in (0.1, 0.2)),
    *(line("DQN", "qbert", score) for score in (0.3, 0.4)),
    *(line("C51", "qbert", score) for score in (1.3, 1.4)),
    *(line("C51", "pong", score) for score in (0.05, 1.2)),
]


@pytest.fixture(scope="module")
def computed():
    return aggregates.aggregate(aggregates.matrices(LINES))


def test_runs_fill_a_matrix_of_runs_and_games():
    found = aggregates.matrices(LINES)
    assert {name: matrix.tolist() for name, matrix in found.items()} == {
        "C51": [[0.05, 1.3], [1.2, 1.4]],
        "DQN": [[0.1, 0.3], [0.2, 0.4]],
    }


def test_statistics_are_those_of_the_paper(computed):
    dqn = {name: estimates["DQN"] for name, estimates in computed.statistics.items()}
    assert dqn["IQM"].value == pytest.approx(0.25)  # of 0.1, 0.2, 0.3, 0.4
    assert dqn["mean"].value == pytest.approx(0.25)
    assert dqn["median"].value == pytest.approx(0.25)  # of the games' means 0.15 and 0.35
    assert dqn["optimality gap"].value == pytest.approx(0.75)
    assert dqn["mean"].low == pytest.approx(0.2)
    assert dqn["mean"].high == pytest.approx(0.3)
    gap = computed.statistics["optimality gap"]["C51"].value
    assert gap == pytest.approx(0.95 / 4)


def test_the_profile_is_the_share_of_runs_above_a_score(computed):
    profile = computed.profiles["C51"].value
    assert (profile[0], profile[-1]) == (1, 0)
    assert profile[20] == 0.75  # above 1.0
    assert (np.diff(profile) <= 0).all()


def test_the_probability_of_improvement_counts_pairs_of_runs(computed):
    better = computed.improvements["C51 > DQN"]
    assert better.value == pytest.approx((2 / 4 + 4 / 4) / 2)
    assert computed.improvements["DQN > C51"].value == pytest.approx(1 - better.value)
    assert better.low < better.value < better.high


def test_numbers_and_figure_show_all_of_it(computed):
    rows = aggregates.numbers(computed)
    assert rows[0][:5] == ["IQM", "C51", "2", "2", "1.250"]
    assert len(rows) == 4 * 2 + 2
    statistics, profile, improvement = aggregates.plot(computed).axes
    assert len(statistics.get_yticklabels()) == 8
    assert [text.get_text() for text in profile.get_legend().get_texts()] == ["C51", "DQN"]
    assert len(improvement.get_yticklabels()) == 2


def test_a_single_algorithm_has_nothing_to_improve_on():
    computed = aggregates.aggregate(aggregates.matrices(LINES[:4]))
    assert computed.improvements == {}
    assert len(aggregates.plot(computed).axes) == 2


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (line("DQN", "pong", 1.0), "DQN needs equally many runs of every game.*'pong': 3"),
        (line("DQN", "pong", 1.0, epsilon=0.05), "different protocols"),
        (line("DQN", "pong", 1.0, rules={"noop_max": 30}), "different protocols"),
        ({"game": "adventure", "rules": {"noop_max": 0}, "epsilon": 0.001}, "for adventure"),
    ],
)
def test_runs_that_do_not_compare_are_refused(added, message):
    with pytest.raises(UserError, match=message):
        aggregates.matrices([*LINES, added])
