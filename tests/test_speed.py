"""In: a small configuration. Out: figures that fit together."""

import json

import gin
import pytest

from agents import configuration, speed
from agents.errors import UserError
from agents.speed import STAGES
from tests.training_process import command


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(speed, "_SECONDS_PER_ROUND", 0.02)
    monkeypatch.setattr(speed, "WARM_UP_AGENT_STEPS", 200)
    yield
    gin.clear_config()


def load(*bindings):
    configuration.load(
        ["space_invaders.gin"],
        [
            *speed.loop_bindings(200, 400),
            "AtariEnvironment.num_envs = 4",
            "Replay.batch_size = 8",
            *bindings,
        ],
    )


def test_what_follows_one_another_in_the_loop_adds_up_to_no_more_than_the_loop():
    load()
    figures = speed.time_loop(200, 400)
    per_update = 4e3 / figures.pop("agent_steps_per_second")
    assert set(figures) == set(STAGES)
    assert min(figures.values()) > 0
    learning = figures["sampling"] + figures["learning"]  # goes on beside these two:
    stepping = figures["environment"] + figures["writing"]
    assert figures["acting"] + max(learning, stepping) <= per_update


def test_the_loop_is_timed_up_to_its_last_step():
    watch = speed._Stopwatch(200)
    watch.seconds = dict.fromkeys(STAGES, 0.0)
    watch.start({}, 0, 600)
    for agent_steps in range(0, 601, 4):
        watch.progress(agent_steps)
    assert watch.passed()[1] == 596 - 200


def test_too_short_a_loop_is_refused():
    load()
    with pytest.raises(UserError, match="7 agent steps are too few to time: name at least 8"):
        speed.time_loop(200, 7)


def test_every_stage_alone():
    load("q_network.precision = 'float32'")
    figures = speed.time_stages()
    assert min(figures.values()) > 0
    assert {name.partition("_")[0] for name in figures} == {*STAGES, "bare", "plain"}


def test_the_command_times_what_the_gin_files_say(tmp_path):
    (tmp_path / "mine.gin").write_text(
        "include 'pong.gin'\nN = 3\nAtariEnvironment.num_envs = %N\nReplay.batch_size = 2\n"
        "q_network.precision = 'float32'\n"
    )
    finished = command(
        tmp_path,
        *("--gin_file=mine.gin", "--what=loop", "--json=report.json"),
        *("--agent_steps=40", "--replay_transitions=60"),
        name="benchmark",
    )
    assert finished.exit_code == 0, finished.stderr
    (loop,) = json.loads((tmp_path / "report.json").read_text())["loop"]
    assert loop["environments"] == 3


@pytest.mark.parametrize("path", [".", "nowhere/report.json"])
def test_a_report_that_cannot_be_written_is_told_before_the_timing(tmp_path, path):
    finished = command(tmp_path, f"--json={path}", name="benchmark")
    message = f"error: no file can be made at --json={path}: choose another\n"
    assert (finished.exit_code, finished.stderr) == (2, message)


def test_a_rate_counts_units():
    calls = []
    fast, slow = speed._rates(lambda: calls.append(1) or 6, lambda: calls.append(2) or 0)
    assert fast > 1000
    assert slow == 0
    assert calls[:2] == [1, 2]
    assert set(calls) == {1, 2}
