"""The run directory: owned by one process, one configuration, facts for a rerun."""

import errno
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

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
    with pytest.raises(UserError, match=r"file/run cannot be written or locked .*--run_dir"):
        RunDirectory(tmp_path / "file" / "run")


def test_one_that_cannot_be_locked_is_refused(tmp_path, monkeypatch):
    def flock(file, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(UserError, match=r"cannot be written or locked \(No locks available\)"):
        RunDirectory(tmp_path)


@pytest.mark.parametrize("is_made_anew", [False, True])
def test_a_lock_that_its_owner_removed_is_not_taken(tmp_path, monkeypatch, is_made_anew):
    flock, lock = fcntl.flock, tmp_path / ".lock"

    def flock_after_the_owner_left(file, operation):
        lock.unlink()
        if is_made_anew:
            lock.touch()
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", flock_after_the_owner_left)
    with pytest.raises(UserError, match="another process trains in"):
        RunDirectory(tmp_path)


def test_nothing_is_left_where_no_run_was_started(tmp_path):
    (tmp_path / "there before").mkdir()
    for name in ("there before", "made here"):
        with RunDirectory(tmp_path / name) as run_dir:
            run_dir.native_log.write_text("chatter")
    assert list(tmp_path.rglob("*")) == [tmp_path / "there before"]


def test_the_lock_is_held_while_it_is_removed(tmp_path, monkeypatch):
    held, unlink = [], Path.unlink

    def check(path, missing_ok=False):
        if path.name == ".lock":
            with path.open() as again:
                try:
                    fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    held.append(path)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", check)
    with RunDirectory(tmp_path / "run"):
        pass
    assert held == [tmp_path / "run" / ".lock"]


def _save_a_checkpoint(path):
    (path / "checkpoints" / "000000000100").mkdir(parents=True)


def _finish_a_game(path):
    (path / "episodes.csv").write_text("agent_steps,score\n90,10.0\n")


@pytest.mark.parametrize("progress", [_save_a_checkpoint, _finish_a_game])
def test_another_configuration_is_refused_with_the_difference(tmp_path, load, progress):
    load()
    with RunDirectory(tmp_path) as run_dir:
        run_dir.check_same_configuration()
        run_dir.write_configuration(0, "float32")
        progress(tmp_path)
        run_dir.check_same_configuration()
        load("DQN.gamma = 0.9")
        with pytest.raises(UserError, match=r"DQN.gamma: 0.99 in the run, 0.9 now"):
            run_dir.check_same_configuration()


def test_a_start_that_got_nowhere_gives_way_to_a_corrected_one(tmp_path, load):
    load()
    with RunDirectory(tmp_path) as run_dir:
        run_dir.write_configuration(0, "float32")
        (tmp_path / "run.json").write_text("{}")
        (tmp_path / "episodes.csv").write_text("agent_steps,score\n")
        (tmp_path / "checkpoints" / ".partial").mkdir(parents=True)
        load("DQN.gamma = 0.9")
        run_dir.check_same_configuration()
        run_dir.write_configuration(0, "float32")
    assert json.loads((tmp_path / "config.json").read_text()) == configuration.bindings()
    assert json.loads((tmp_path / "run.json").read_text())["started"]


def test_facts_are_those_of_the_start_and_of_each_resume(tmp_path, load):
    load()
    with RunDirectory(tmp_path) as run_dir:
        run_dir.write_configuration(0, "float32")
        start = json.loads((tmp_path / "run.json").read_text())
        for agent_steps in (100, 250):
            run_dir.write_configuration(agent_steps, "mixed_bfloat16")
    run = json.loads((tmp_path / "run.json").read_text())
    resumes = run.pop("resumes")
    assert run == start
    assert run["precision"] == "float32"
    assert [resume["agent_steps"] for resume in resumes] == [100, 250]
    assert [resume["precision"] for resume in resumes] == ["mixed_bfloat16"] * 2
    assert all(resume["commit"] == start["commit"] for resume in resumes)


def test_the_runs_near_one_that_is_not_there_come_closest_first(tmp_path):
    names = ("pong_DQN_1", "space_invaders_DQN_1", "space_invaders_DQN_12", "breakout_DQN_1")
    for name in (*names, "space_invaders_DQN_2"):
        (tmp_path / name).mkdir()
    for name in names:
        (tmp_path / name / "config.json").touch()
    beside = run_directory.runs_near(tmp_path / "space_invader_DQN_1")
    assert [path.name for path in beside] == [names[1], names[2], names[0]]
    assert tmp_path / names[0] not in run_directory.runs_near(tmp_path / names[0])
    assert run_directory.runs_near(tmp_path / "nowhere" / "run") == []


def test_the_runs_near_their_own_folder_are_those_in_it(tmp_path):
    for name in ("runs/b", "runs/a", "runs/d", "runs/c", "beside"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").touch()
    near = run_directory.runs_near(tmp_path / "runs")
    assert [path.name for path in near] == ["a", "b", "c"]


def test_a_path_is_shown_relative_to_the_current_folder_where_it_lies_below(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "runs" / "a", Path("runs/a")):
        assert run_directory.as_seen_from_here(path) == Path("runs/a")
    assert run_directory.as_seen_from_here(tmp_path.parent / "b") == tmp_path.parent / "b"


@pytest.mark.parametrize("content", [b'{"DQN.gamma": ', b"", b"\xff", b"[1]", b"1"])
def test_a_damaged_configuration_is_named(tmp_path, load, content):
    load()
    for name in ("config.json", "run.json"):
        (tmp_path / name).write_bytes(content)
    with RunDirectory(tmp_path) as run_dir:
        with pytest.raises(UserError, match=r"config.json is damaged: .*--run_dir$"):
            run_dir.check_same_configuration()
        with pytest.raises(UserError, match=r"run.json is damaged: .*--run_dir$"):
            run_dir.write_configuration(100, "float32")


def test_what_is_written_is_on_the_disk_before_it_has_its_name(tmp_path, load, monkeypatch):
    synced, fsync = set(), os.fsync

    def record(descriptor):
        fsync(descriptor)
        written = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        synced.add((written.name, written.read_text()))

    load()
    monkeypatch.setattr(os, "fsync", record)
    with RunDirectory(tmp_path) as run_dir:
        run_dir.write_configuration(0, "float32")
    for name in ("config.gin", "operative_config.gin", "config.json", "run.json"):
        assert (f"{name}.partial", (tmp_path / name).read_text()) in synced


def test_a_run_may_be_made_longer(tmp_path, load):
    load("Training.agent_steps = 1000")
    with RunDirectory(tmp_path) as run_dir:
        run_dir.write_configuration(0, "float32")
        _save_a_checkpoint(tmp_path)
        load("Training.agent_steps = 2000")
        run_dir.check_same_configuration()


def test_the_written_configuration_is_the_one_in_force(tmp_path, load):
    load("DQN.gamma = 0.9")
    before = configuration.bindings()
    with RunDirectory(tmp_path) as run_dir:
        run_dir.write_configuration(0, "float32")
    configuration.load([str(tmp_path / "config.gin")])
    assert configuration.bindings() == before


def test_facts_name_versions_and_machine(tmp_path, load):
    load()
    with RunDirectory(tmp_path) as run_dir:
        run_dir.write_configuration(0, "float32")
    facts = json.loads((tmp_path / "run.json").read_text())
    assert facts["packages"]["tensorflow"].startswith("2.15")
    assert facts["machine"]["cores"] == os.cpu_count()


def test_the_commit_is_that_of_the_repository_that_tracks_the_code(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    for name in ("tracked.py", "installed.py"):
        (tmp_path / name).write_text("")
    git("add", "tracked.py")
    git("commit", "-m", "first")
    monkeypatch.setattr(run_directory, "__file__", str(tmp_path / "tracked.py"))
    assert run_directory.environment_facts()["commit"] == git("rev-parse", "HEAD")
    (tmp_path / "tracked.py").write_text("changed")
    assert run_directory.environment_facts()["commit"] == git("rev-parse", "HEAD") + "+"
    monkeypatch.setattr(run_directory, "__file__", str(tmp_path / "installed.py"))
    assert run_directory.environment_facts()["commit"] is None


def test_run_directories_are_numbered(tmp_path):
    first = run_directory.next_run_directory(tmp_path, "pong_DQN")
    assert first == tmp_path / "pong_DQN_1"
    for name in ("pong_DQN_1", "pong_DQN_9", "pong_DQN_x", "breakout_DQN_20"):
        (tmp_path / name).mkdir()
    assert run_directory.next_run_directory(tmp_path, "pong_DQN") == tmp_path / "pong_DQN_10"
