"""The run directory: owned by one process, one configuration, facts for a rerun."""

import json
import os
import subprocess
import sys

import pytest

import agents.training  # noqa: F401 (makes every name known to gin)
from agents import configuration, run_directory
from agents.errors import UserError
from agents.run_directory import RunDirectory


@pytest.fixture
def load():
    def load(*bindings: str) -> None:
        configuration.load(["space_invaders.gin"], bindings)

    return load


def test_it_belongs_to_one_process_at_a_time(tmp_path):
    code = (
        "import sys; from pathlib import Path; from agents.run_directory import RunDirectory\n"
        "RunDirectory(Path(sys.argv[1]))"
    )
    other = [sys.executable, "-c", code, str(tmp_path)]
    with RunDirectory(tmp_path):
        refused = subprocess.run(other, capture_output=True, text=True, env=os.environ)
        assert "another process trains in" in refused.stderr
    assert subprocess.run(other, capture_output=True).returncode == 0


def test_one_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/run cannot be written .*--run_dir"):
        RunDirectory(tmp_path / "file" / "run")


def test_another_configuration_is_refused_with_the_difference(tmp_path, load):
    load()
    with RunDirectory(tmp_path) as run_dir:
        run_dir.check_same_configuration()
        run_dir.write_configuration()
        run_dir.check_same_configuration()
        load("DQN.gamma = 0.9")
        with pytest.raises(UserError, match=r"DQN.gamma: 0.99 in the run, 0.9 now"):
            run_dir.check_same_configuration()


def test_a_run_may_be_made_longer(tmp_path, load):
    load("Training.agent_steps = 1000")
    with RunDirectory(tmp_path) as run_dir:
        run_dir.write_configuration()
        load("Training.agent_steps = 2000")
        run_dir.check_same_configuration()


def test_the_written_configuration_is_the_one_in_force(tmp_path, load):
    load("DQN.gamma = 0.9")
    before = configuration.bindings()
    with RunDirectory(tmp_path) as run_dir:
        run_dir.write_configuration()
    configuration.load([str(tmp_path / "config.gin")])
    assert configuration.bindings() == before


def test_facts_name_versions_and_machine(tmp_path, load):
    load()
    with RunDirectory(tmp_path) as run_dir:
        run_dir.write_configuration()
    facts = json.loads((tmp_path / "run.json").read_text())
    assert facts["packages"]["tensorflow"].startswith("2.15")
    assert facts["machine"]["cores"] == os.cpu_count()


def test_run_directories_are_numbered(tmp_path):
    first = run_directory.next_run_directory(tmp_path, "pong_DQN")
    assert first == tmp_path / "pong_DQN_1"
    for name in ("pong_DQN_1", "pong_DQN_9", "pong_DQN_x", "breakout_DQN_20"):
        (tmp_path / name).mkdir()
    assert run_directory.next_run_directory(tmp_path, "pong_DQN") == tmp_path / "pong_DQN_10"
