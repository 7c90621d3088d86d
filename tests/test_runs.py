"""Runs are found where they lie, and those of different protocols are not mixed."""

import json

import pytest

from agents.errors import UserError
from agents.reporting import runs
from tests.fake_runs import make_run


def test_a_run_is_found_itself_and_below_a_folder(tmp_path):
    for name in ("b/deep/2", "a/1"):
        make_run(tmp_path / name, [])
    (found,) = runs.find([tmp_path / "a" / "1"])
    assert (found.path, found.game, found.algorithm) == (tmp_path / "a/1", "space_invaders", "DQN")
    paths = [run.path for run in runs.find([tmp_path, tmp_path / "a"])]
    assert paths == [tmp_path / "a/1", tmp_path / "b/deep/2", tmp_path / "a/1"]


def test_the_name_of_the_algorithm_may_be_bound(tmp_path):
    config = make_run(tmp_path, []) / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"DQN.name": "'rainbow'"}))
    assert runs.find([tmp_path])[0].algorithm == "rainbow"


@pytest.mark.parametrize("content", [None, "{", "{}", '{"AtariEnvironment.game": "1"}'])
def test_what_is_no_run_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match="holds no run"):
        runs.find([tmp_path])


def test_different_rules_are_refused_and_games_are_not(tmp_path):
    make_run(tmp_path / "a", [], game="pong", num_envs=8, noop_max=0)
    make_run(tmp_path / "b", [], num_envs=16)
    runs.check_one_protocol(runs.find([tmp_path]))
    make_run(tmp_path / "c", [], noop_max=30)
    with pytest.raises(UserError, match=r"a and .*c differ in noop_max \(0 and 30\)"):
        runs.check_one_protocol(runs.find([tmp_path]))
