"""Curves: windows against a hand computation, the published numbers, plots that hold something."""

import json

import numpy as np
import pytest
from PIL import Image

from agents.errors import UserError
from agents.reporting import curves

HEADER = "agent_steps,frames,environment,score,clipped_return,episode_frames,episode_agent_steps\n"


@pytest.fixture
def run_dir(tmp_path):
    rows = ["100,400,0,10.0,1,400,100", "250000,0,0,20.0,1,400,100", "250001,0,0,70.0,1,400,100"]
    (tmp_path / "episodes.csv").write_text(HEADER + "\n".join(rows) + "\n")
    config = {"AtariEnvironment.game": "'SpaceInvaders'"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_a_window_ends_with_its_last_step(run_dir):
    assert curves.windows(*curves.episodes(run_dir)) == [
        (250_000, 2, 15.0),
        (500_000, 1, 70.0),
    ]


def test_a_torn_last_row_is_left_out(run_dir):
    with (run_dir / "episodes.csv").open("a") as file:
        file.write("250002,0,0,7")
    assert len(curves.episodes(run_dir)[0]) == 3


def test_the_published_curve_is_dopamines():
    first, second = curves.dopamine("breakout")[:2]
    assert first == (250_000, 1.81, 1.64, 1.92)
    assert second == (500_000, 7.11, 5.56, 8.08)
    assert curves.dopamine("no_such_game") == []
    assert {len(curves.dopamine("space_invaders", a)) for a in curves.DOPAMINE_AGENTS} == {50}
    assert curves.dopamine("space_invaders", "QR-DQN") != curves.dopamine("space_invaders")


def test_the_plot_shows_run_and_published_curve(run_dir, tmp_path):
    path = tmp_path / "curve.png"
    sizes = {}
    for name, published in (("with", curves.dopamine("space_invaders")), ("without", [])):
        curves.plot({"run": run_dir}, published, "space_invaders", path)
        sizes[name] = np.asarray(Image.open(path)).std()
    assert sizes["with"] != sizes["without"] > 0


def test_the_game_comes_from_the_runs_configuration(run_dir):
    assert curves.game(run_dir) == "space_invaders"


def test_what_is_no_run_is_named(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        curves.game(tmp_path)
    with pytest.raises(UserError, match="is no run"):
        curves.episodes(tmp_path)
    (tmp_path / "episodes.csv").write_text(HEADER)
    with pytest.raises(UserError, match="no finished game yet"):
        curves.episodes(tmp_path)
