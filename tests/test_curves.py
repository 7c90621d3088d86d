"""Curves: windows against a hand computation, seeds as one line, hours without the pauses."""

import json

import numpy as np
import pytest
import tensorflow as tf

from agents.errors import UserError
from agents.reporting import curves, plots, runs
from agents.scores import dopamine
from tests.fake_runs import HEADER, make_run


@pytest.fixture
def folder(tmp_path):
    """Two seeds of DQN on Space Invaders, and one other algorithm."""
    make_run(tmp_path / "a", [(100, 10.0), (250_000, 20.0), (250_001, 70.0)])
    make_run(tmp_path / "b", [(100, 35.0)])
    make_run(tmp_path / "c", [(100, 1.0), (600_000, 2.0)], algorithm="C51")
    return tmp_path


def test_a_window_ends_with_its_last_step_and_seeds_count_alike(folder):
    first, _ = curves.lines(runs.find([folder]), "algorithm")
    assert (first.panel, first.label, len(first.histories)) == ("space_invaders", "DQN", 2)
    assert [p._replace(hours=0) for p in first.points] == [
        (250_000, 1_000_000, 0, 2, 3, 25.0, 15.0, 35.0),  # of the means 15 and 35
        (250_001, 1_000_004, 0, 1, 1, 70.0, 70.0, 70.0),  # not over
    ]


@pytest.mark.parametrize(
    ("group_by", "keys"),
    [
        ("algorithm", [("space_invaders", "DQN"), ("space_invaders", "C51")]),
        ("game", [("DQN", "space_invaders"), ("C51", "space_invaders")]),
        ("run", [("space_invaders", name) for name in "abc"]),
    ],
)
def test_grouping(folder, group_by, keys):
    lines = curves.lines(runs.find([folder]), group_by)
    assert [(line.panel, line.label.removeprefix(f"{folder}/")) for line in lines] == keys


def test_the_window_can_be_shorter(folder):
    (line,) = curves.lines(runs.find([folder / "a"]), "run", 50)
    assert [(p.agent_steps, p.mean) for p in line.points] == [
        (100, 10.0),
        (250_000, 20.0),
        (250_001, 70.0),
    ]


def test_the_published_curve_is_the_algorithms_own_or_dqns(folder):
    dqn, c51 = curves.lines(runs.find([folder]), "algorithm")
    assert dqn.published == dopamine("space_invaders", "DQN")
    assert c51.published == dopamine("space_invaders", "C51")
    make_run(folder / "d", [(1, 1.0)], algorithm="qr_dqn")
    make_run(folder / "e", [(1, 1.0)], algorithm="DoubleDQN")
    make_run(folder / "f", [(1, 1.0)], noop_max=30)
    agents = {}
    for name in "def":
        (line,) = curves.lines(runs.find([folder / name]), "run")
        agents[name] = {window.agent for window in line.published}
    assert agents == {"d": {"QR-DQN"}, "e": {"DQN"}, "f": set()}


def test_a_torn_last_row_is_left_out(folder):
    with (folder / "a" / "episodes.csv").open("a") as file:
        file.write("250002,0,0,7")
    assert len(curves.episodes(folder / "a")[0]) == 3


@pytest.mark.parametrize("text", [f"{HEADER}\n5,20,0,much,1,400,100\n", "a,b\n1,2\n"])
def test_a_damaged_record_is_named(folder, text):
    (folder / "a" / "episodes.csv").write_text(text)
    with pytest.raises(UserError, match=r"episodes.csv is damaged"):
        curves.episodes(folder / "a")


def test_a_run_without_games_is_named(folder):
    for name in "abc":
        make_run(folder / name, [])
    with pytest.raises(UserError, match="a has no finished game yet: let it train"):
        curves.lines(runs.find([folder]), "run")
    for agent_steps, message in ((999_999, "no finished game yet"), (1_000_002, "a ended before")):
        line = json.dumps({"agent_steps": agent_steps})
        (folder / "a" / "evaluations.jsonl").write_text(line + "\n")
        with pytest.raises(UserError, match=message):
            curves.lines(runs.find([folder / "a"]), "run")
    assert len(curves.history(runs.find([folder / "a"])[0]).scores) == 0
    (folder / "a" / "episodes.csv").unlink()
    with pytest.raises(UserError, match="cannot be read"):
        curves.lines(runs.find([folder]), "run")


def test_a_run_without_games_is_left_out_where_others_have_some(folder, capsys):
    make_run(folder / "a", [])
    b, c = curves.lines(runs.find([folder]), "run")
    assert [line.label for line in (b, c)] == [str(folder / "b"), str(folder / "c")]
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith(f"warning: left out: {folder / 'a'} has no finished game yet")


def write_events(path, times):
    """One event per (second, agent step), the first of which begins the file."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for second, step in times:
            event = tf.compat.v1.Event(wall_time=1e9 + second, step=step)
            writer.write(event.SerializeToString())


def test_hours_count_while_it_trained(folder):
    (folder / "a" / "events").mkdir()
    write_events(folder / "a/events/events.out.tfevents.1.v2", [(0, 0), (3600, 100)])
    later = folder / "a/events/events.out.tfevents.2.v2"  # resumed from 100 after a pause
    write_events(later, [(10_000, 0), (10_000, 100), (13_600, 300)])
    whole = later.read_bytes()
    later.write_bytes(whole + whole[:20])
    hours = curves.training_hours(folder / "a", np.array([0, 50, 100, 200, 300]))
    np.testing.assert_allclose(hours, [0, 0.5, 1, 1.5, 2])
    assert np.isnan(curves.training_hours(folder / "b", np.array([1]))).all()


def test_the_figure_has_a_panel_per_game_a_line_per_group_and_the_published_one(folder):
    make_run(folder / "d", [(100, 3.0)], game="backgammon")
    invaders, backgammon = plots.learning_curves(
        curves.lines(runs.find([folder]), "algorithm"), "frames"
    ).axes
    assert (invaders.get_title(), backgammon.get_title()) == ("space_invaders", "backgammon")
    lines = {line.get_label(): line for line in invaders.get_lines()}
    np.testing.assert_array_equal(
        lines["DQN (2 runs, 95% interval)"].get_xydata(), [[1_000_000, 25], [1_000_004, 70]]
    )
    dqn = lines["Dopamine DQN on space_invaders, 5 seeds"].get_xydata()
    assert [tuple(point) for point in dqn] == [
        (4 * window.agent_steps, window.mean)
        for window in dopamine("space_invaders", "DQN")[:3]  # as far as the longest run
    ]
    assert "Dopamine C51 on space_invaders, 5 seeds" in lines
    assert len(backgammon.get_lines()) == 2, "a line, and its games, too few to smooth"


def test_a_smoothed_line_is_the_mean_of_the_last_100_games(folder):
    games = [(i, float(i % 7)) for i in range(1, 151)]
    make_run(folder / "long", games)
    (axis,) = plots.learning_curves(
        curves.lines(runs.find([folder / "long"]), "run"), "agent_steps"
    ).axes
    at, smooth = axis.get_lines()[1].get_data()
    assert (at[0], at[-1]) == (100, 150)
    assert smooth[-1] == pytest.approx(np.mean([score for _, score in games[-100:]]))


def test_hours_that_are_not_known_are_refused(folder):
    with pytest.raises(UserError, match="has no event files"):
        plots.learning_curves(curves.lines(runs.find([folder]), "run"), "hours")


def test_numbers_have_the_published_window_beside_them(folder):
    assert len({*plots.COLUMNS}) == len(plots.COLUMNS)
    first, second, *_ = plots.numbers(curves.lines(runs.find([folder]), "algorithm"))
    assert first == [
        *("space_invaders", "DQN", "250000", "1000000", "", "2", "3", "25.0", "15.0", "35.0"),
        *("DQN", "163.8", "153.3", "172.9"),
    ]
    assert second[2] == "250001"
    assert second[10:] == ["", "", "", ""], "a run amid a window is no match for a whole one"
    for window in (50_000, 1_000_000):
        for row in plots.numbers(curves.lines(runs.find([folder]), "algorithm", window)):
            assert row[10:] == ["", "", "", ""], "nor is a window of another length"


def test_a_name_is_no_formula(folder):
    make_run(folder / "of $100 and $\\x$", [(1, 1.0)])
    figure = plots.learning_curves(curves.lines(runs.find([folder]), "run"), "agent_steps")
    plots.save(figure, folder / "curve.svg")


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_figure_is_written_in_the_format_of_its_name(folder, suffix):
    figure = plots.learning_curves(curves.lines(runs.find([folder]), "run"), "agent_steps")
    path = folder / f"curve.{suffix}"
    plots.save(figure, path)
    assert path.read_bytes()[:5] in (b"\x89PNG\r", b"<?xml", b"%PDF-")


@pytest.mark.parametrize("name", ["nowhere/curve.png", "curve.xyz"])
def test_a_figure_that_cannot_be_written_is_named(folder, name):
    figure = plots.learning_curves(curves.lines(runs.find([folder]), "run"), "agent_steps")
    with pytest.raises(UserError, match="cannot be written"):
        plots.save(figure, folder / name)
