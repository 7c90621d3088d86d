"""Evaluations of a real run and of its export: equal seeds, equal scores, and all that is said."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from agents import assessment, configuration, players, protocols
from agents.errors import UserError
from agents.evaluation import Evaluation
from agents.restoring import restore_agent
from agents.serving.export import export_agent
from tests.fake_runs import EVALUATION, make_run


@pytest.fixture(autouse=True)
def _no_configuration_stays():
    yield
    configuration.load([])


@pytest.fixture(scope="module")
def model(small_run, tmp_path_factory) -> Path:
    restored = restore_agent(small_run, precision="float32")
    directory = tmp_path_factory.mktemp("exports")
    origin = {"agent_steps": restored.agent_steps, "commit": "abc"}
    return export_agent(restored.agent, restored.env, directory, name="policy", origin=origin)


@pytest.fixture(scope="module")
def line(small_run):
    player = players.from_run(small_run)
    evaluator = assessment.evaluator(player, episodes=3, epsilon=0.2, seed=7, num_envs=2)
    return json.loads(json.dumps(assessment.evaluate(player, evaluator)))


def test_a_line_says_who_played_what_and_how(small_run, line):
    assert {name: line[name] for name in ("game", "algorithm", "agent_steps", "frames")} == {
        "game": "space_invaders",
        "algorithm": "DQN",
        "agent_steps": 600,
        "frames": 2400,
    }
    assert line["trained_by_commit"] == json.loads((small_run / "run.json").read_text())["commit"]
    assert line["protocols"] == ["dopamine", "ale_v5"]
    assert line["rules"]["max_frames_per_episode"] == 108_000, "not the training's shorter games"
    assert (line["epsilon"], line["seed"], line["num_envs"], line["episodes"]) == (0.2, 7, 2, 3)
    assert len(line["scores"]) == len(line["episode_frames"]) == 3
    assert min(line["episode_frames"]) > 400
    assert line["mean"] == pytest.approx(np.mean(line["scores"]))
    assert line["published"] == [], "Dopamine's first window ends later"


def test_the_same_seed_gives_the_same_line(small_run, line):
    player = players.from_run(small_run)
    evaluator = assessment.evaluator(player, episodes=3, epsilon=0.2, seed=7, num_envs=2)
    again = json.loads(json.dumps(assessment.evaluate(player, evaluator)))
    differing = {name for name in line if again[name] != line[name]}
    assert differing <= {"time", "wall_seconds"}


def test_an_exported_model_plays_the_same_games(model, line):
    player = players.from_model(model)
    evaluator = assessment.evaluator(player, episodes=3, epsilon=0.2, seed=7, num_envs=2)
    exported = assessment.evaluate(player, evaluator)
    same = ("game", "algorithm", "agent_steps", "frames", "protocols", "rules", "scores")
    assert {name: exported[name] for name in same} == {name: line[name] for name in same}
    assert exported["trained_by_commit"] == "abc"


def test_an_exported_model_is_evaluated_by_the_rules_of_its_training(model, tmp_path):
    copy = shutil.copytree(model, tmp_path / "model")
    path = copy / "assets.extra" / "model.json"
    description = json.loads(path.read_text())
    description["rules"] |= {"noop_max": 7, "unknown": 1}
    path.write_text(json.dumps(description | {"evaluation_epsilon": 0.5}))
    evaluator = assessment.evaluator(players.from_model(copy), episodes=1)
    assert (evaluator.epsilon, evaluator.environment(0, 1).ale_rules["noop_max"]) == (0.5, 8)
    for protocol, noop_max in (("nature", 30), ("dopamine", 0)):
        players.from_model(copy, protocol)
        assert protocols.rules(configuration.bindings())["noop_max"] == noop_max
    del description["rules"], description["evaluation_epsilon"]  # of a version from before
    path.write_text(json.dumps(description))
    assert assessment.evaluator(players.from_model(copy), episodes=1).epsilon == 0.001
    assert protocols.rules(configuration.bindings()) == protocols.shipped("dopamine")


def test_a_protocol_is_played_and_named(small_run):
    player = players.from_run(small_run, protocol="nature")
    evaluator = assessment.evaluator(player, episodes=1, epsilon=1.0, seed=1)
    line = assessment.evaluate(player, evaluator)
    assert line["protocols"] == ["nature", "atari_100k"]
    assert line["rules"]["noop_max"] == 30
    assert line["mean_interval"] is None, "of one game"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.json", None, "holds no exported model"),
        ("model.json", "{}", "holds no exported model"),
        ("model.json", '"game": "breakout"', "was made for other actions of breakout"),
        ("saved_model.pb", "no graph", "holds no exported model"),
    ],
)
def test_what_is_no_model_is_named(model, tmp_path, name, content, message):
    copy = shutil.copytree(model, tmp_path / "model")
    path = copy / "assets.extra" / name if name == "model.json" else copy / name
    if content is None:
        path.unlink()
    elif content.startswith('"game"'):
        path.write_text(path.read_text().replace('"game": "space_invaders"', content))
    else:
        path.write_text(content)
    with pytest.raises(UserError, match=message):
        players.from_model(copy)


@pytest.mark.parametrize("name", ["algorithm", "agent_steps", "commit"])
def test_a_model_that_does_not_say_who_trained_it_is_named(model, tmp_path, name):
    path = shutil.copytree(model, tmp_path / "model") / "assets.extra" / "model.json"
    description = json.loads(path.read_text())
    del description[name]
    path.write_text(json.dumps(description))
    with pytest.raises(UserError, match=f"holds no exported model \\('{name}'\\)"):
        players.from_model(tmp_path / "model")


def test_an_evaluation_that_cannot_be_written_is_told(small_run, tmp_path):
    (tmp_path / "evaluate.jsonl").symlink_to("/dev/full")
    player = players.from_run(small_run)
    evaluator = assessment.evaluator(player, episodes=1, epsilon=1.0, seed=1)
    told = r"cannot be written \(No space left on device\); the mean of 1 games was"
    with pytest.raises(UserError, match=told):
        assessment.evaluate_into(tmp_path, player, evaluator, lambda games, remark: None)


def statistics(game, scores):
    film = np.zeros((1, 84, 84), np.uint8)
    return assessment._statistics(
        Evaluation(game, np.array(scores), np.ones(len(scores)), film, [])
    )


def test_the_interquartile_mean_is_that_of_the_middle_half():
    scores = [1000.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -1000.0]
    assert statistics("pong", scores)["iqm"] == np.mean([2, 3, 4, 5])


def test_the_interval_is_the_bootstraps():
    scores = np.random.default_rng(1).normal(100, 10, 400)
    low, high = statistics("pong", scores)["mean_interval"]
    half_width = 1.96 * scores.std() / 400**0.5  # the central limit theorem's
    assert low == pytest.approx(scores.mean() - half_width, abs=0.1)
    assert high == pytest.approx(scores.mean() + half_width, abs=0.1)
    assert statistics("pong", [3.0, 3.0])["mean_interval"] == (3, 3)


@pytest.mark.parametrize(
    ("game", "scores", "grade", "passes"),
    [
        ("space_invaders", [300.0, 300.0], 300, True),
        ("space_invaders", [100.0, 500.0], 300 - 80_000**0.5, False),
        ("pong", [21.0, 21.0], 21, None),
    ],
)
def test_the_grade_is_the_mean_less_the_sd(game, scores, grade, passes):
    found = statistics(game, scores)
    assert found["grade"] == pytest.approx(grade)
    assert found.get("passes") is passes


def test_lines_are_added_and_read_back(tmp_path):
    assert assessment.evaluations(tmp_path) == []
    with pytest.raises(UserError, match="is not evaluated yet"):
        assessment.newest(tmp_path)
    for number in (1, 2):
        with (tmp_path / assessment.FILE).open("a") as log:
            print(json.dumps(EVALUATION | {"mean": number}), file=log)
    with (tmp_path / "evaluate.jsonl").open("a") as file:
        file.write('{"mean": 3')  # being written
    assert [line["mean"] for line in assessment.evaluations(tmp_path)] == [1, 2]
    assert assessment.newest(tmp_path)["mean"] == 2
    (tmp_path / "evaluate.jsonl").write_text("{\n")
    with pytest.raises(UserError, match="is damaged"):
        assessment.evaluations(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("mean", "12"), ("mean_interval", 3), ("iqm", None), ("human_normalized", "much")],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path, name, value):
    make_run(tmp_path, [], evaluation=EVALUATION | {name: value})
    with pytest.raises(UserError, match=f"jsonl is damaged .its last line has no {name} that"):
        assessment.newest(tmp_path)


def test_progress_says_what_it_counts(small_run, tmp_path):
    player = players.from_run(small_run)
    evaluator = assessment.evaluator(player, episodes=1, max_frames_per_episode=8)
    remarks = []
    assessment.evaluate_into(tmp_path, player, evaluator, lambda *shown: remarks.append(shown))
    assert remarks == [
        (0, "those under way at agent step 1"),
        (1, "those under way at agent step 2"),
    ]


def test_what_cannot_be_written_is_not_played(small_run, tmp_path):
    player = players.from_run(small_run)
    with pytest.raises(UserError, match="cannot be written"):
        assessment.evaluate_into(
            tmp_path / "nowhere", player, assessment.evaluator(player), pytest.fail
        )
