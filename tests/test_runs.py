"""Runs are found where they lie, and those of different protocols are not mixed."""

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from agents import memory
from agents.errors import NotYetError, UserError
from agents.reporting import runs
from tests.fake_runs import make_run


def test_a_run_is_found_itself_and_below_a_folder(tmp_path):
    for name in ("b/deep/2", "a/1"):
        make_run(tmp_path / name, [])
    (found,) = runs.find([tmp_path / "a" / "1"])
    assert (found.path, found.game, found.algorithm) == (tmp_path / "a/1", "space_invaders", "DQN")
    paths = [run.path for run in runs.find([tmp_path, tmp_path / "a"])]
    assert paths == [tmp_path / "a/1", tmp_path / "b/deep/2", tmp_path / "a/1"]


def test_a_run_is_found_while_its_training_adds_and_removes_files(tmp_path):
    path = make_run(tmp_path / "runs" / "a", [])
    over = threading.Event()

    def save():
        while not over.is_set():
            partial = path / "checkpoints" / ".partial"
            (partial / "agent").mkdir(parents=True)
            (partial / "agent" / "ckpt").write_text("x")
            shutil.rmtree(partial)

    with ThreadPoolExecutor(1) as pool:
        saving = pool.submit(save)
        try:
            for _ in range(300):
                assert [run.path for run in runs.find([tmp_path])] == [path]
                assert memory.occupied_bytes(tmp_path) >= (path / "config.json").stat().st_size
        finally:
            over.set()
        saving.result()


def test_the_name_of_the_algorithm_may_be_bound(tmp_path):
    config = make_run(tmp_path, []) / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"DQN.name": "'rainbow'"}))
    assert runs.find([tmp_path])[0].algorithm == "rainbow"


@pytest.mark.parametrize(
    "content",
    [None, "{", "{}", "[]", '{"AtariEnvironment.game": "1"}', '{"Training.agent_steps": "1 +"}'],
)
def test_what_is_no_run_is_named(tmp_path, content):
    folder = tmp_path / "empty"
    if content is not None:
        folder.mkdir()
        (folder / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"empty (is no run directory: give|holds no run that)"):
        runs.find([folder])


def test_what_of_says_is_gathered_from_those_that_have_it(tmp_path, capsys):
    for name in "abc":
        make_run(tmp_path / name, [])

    def of(run):
        if run.path.name != "b":
            raise NotYetError(f"{run.path.name} is too young")
        return "old enough"

    found = runs.find([tmp_path])
    assert runs.gather(found, of) == {str(tmp_path / "b"): "old enough"}
    expected = "warning: left out: a is too young\nwarning: left out: c is too young\n"
    assert capsys.readouterr().err == expected
    with pytest.raises(NotYetError, match="a is too young"):
        runs.gather([run for run in found if run.path.name != "b"], of)


def test_what_is_wrong_with_a_run_is_not_passed_over(tmp_path):
    def of(run):
        raise UserError(f"{run.path.name} is damaged")

    make_run(tmp_path / "a", [])
    with pytest.raises(UserError, match="a is damaged"):
        runs.gather(runs.find([tmp_path]), of)


def test_different_rules_are_refused_and_games_are_not(tmp_path):
    make_run(tmp_path / "a", [], game="pong", num_envs=8, noop_max=0)
    make_run(tmp_path / "b", [], num_envs=16)
    runs.check_one_protocol(runs.find([tmp_path]))
    make_run(tmp_path / "c", [], noop_max=30)
    with pytest.raises(UserError, match=r"a and .*c differ in noop_max \(0 and 30\)"):
        runs.check_one_protocol(runs.find([tmp_path]))
