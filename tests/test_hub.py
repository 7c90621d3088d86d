"""A run goes to a hub and comes back: what is there, what a leaderboard reads, what is refused."""

import json
import os
import shutil
import socket

import numpy as np
import pytest
import tensorflow as tf
import yaml

from agents import configuration
from agents.restoring import restore_agent
from tests.fake_runs import EVALUATION
from tests.hub_server import TOKEN, HubServer
from tests.training_process import command

REPOSITORY = "me/dqn-space-invaders"
OBSERVATIONS = np.random.default_rng(0).integers(0, 256, (4, 84, 84, 4), np.uint8)


@pytest.fixture(scope="module")
def hub():
    with HubServer() as server:
        yield server


@pytest.fixture(scope="module")
def hub_command(hub, tmp_path_factory):
    def run(folder, *arguments, **environment):
        account = {
            "HF_ENDPOINT": hub.address,
            "HF_TOKEN": TOKEN,
            "HF_HOME": str(tmp_path_factory.getbasetemp() / "hf_home"),
            "HF_HUB_DISABLE_XET": "1",  # its storage is a service of its own
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        return command(folder, *arguments, name="hub", environment=account | environment)

    return run


@pytest.fixture(scope="module")
def run(small_run, tmp_path_factory):
    """A run that was evaluated and recorded."""
    path = shutil.copytree(small_run, tmp_path_factory.mktemp("hub") / "runs" / "mine")
    (path / "evaluate.jsonl").write_text('{"agent_steps": 600}\n' + json.dumps(EVALUATION) + "\n")
    (path / "videos").mkdir()
    (path / "videos" / "best.mp4").write_bytes(os.urandom(120_000))
    (path / "videos" / ".first.partial.mp4").write_bytes(b"a film that was broken off")
    return path


@pytest.fixture(scope="module")
def first_push(hub, hub_command, run):
    """What the command said, and what the hub has from then on."""
    flags = (f"--repo_id={REPOSITORY}", "--run_dir=runs/mine", "--private")
    finished = hub_command(run.parents[1], "push", *flags)
    assert finished.exit_code == 0, finished.stderr
    return finished, dict(hub.repositories[REPOSITORY])


@pytest.fixture
def pushed(hub, first_push):
    """The repository, as the push left it."""
    hub.repositories[REPOSITORY] = dict(first_push[1])
    return hub.repositories[REPOSITORY]


@pytest.fixture(autouse=True)
def _no_configuration_stays():
    yield
    configuration.load([])


def test_a_run_goes_there_and_comes_back(hub, run, first_push, pushed, hub_command, tmp_path):
    assert f"pushed: {hub.address}/{REPOSITORY}" in first_push[0].stdout
    assert set(pushed) == {
        "README.md",
        "config.gin",
        "config.json",
        "run.json",
        "episodes.csv",
        "evaluate.jsonl",
        "evaluations.jsonl",
        "replay.mp4",
        "checkpoints/000000000304/agent/ckpt.data-00000-of-00001",
        "checkpoints/000000000304/agent/ckpt.index",
        "checkpoints/000000000304/manifest.json",
    }
    assert json.loads(pushed["evaluate.jsonl"]) == EVALUATION
    expected = {path.split("/")[0] for path in pushed}
    pushed |= {"model.pkl": b"x", "setup.py": b"x", "agents/hub.py": b"x"}  # are left there

    flags = ["load", f"--repo_id={REPOSITORY}", "--run_dir=runs/theirs"]
    loaded = hub_command(tmp_path, *flags)
    assert loaded.exit_code == 0, loaded.stderr
    theirs = tmp_path / "runs" / "theirs"
    assert {path.name for path in theirs.iterdir()} == expected
    assert (theirs / "replay.mp4").read_bytes() == (run / "videos" / "best.mp4").read_bytes()
    mine, loaded = (
        restore_agent(path, 304).agent.q_values(tf.constant(OBSERVATIONS)).numpy()
        for path in (run, theirs)
    )
    np.testing.assert_array_equal(loaded, mine)

    exported = command(tmp_path, "--run_dir=runs/theirs", name="export")
    assert exported.exit_code == 0, exported.stderr
    trained = command(tmp_path, "--run_dir=runs/theirs")
    assert_fails(trained, "holds networks only, so a training cannot go on from it")
    assert_fails(hub_command(tmp_path, *flags), "runs/theirs exists and is never overwritten")


def test_the_card_has_what_the_leaderboard_of_the_course_reads(hub, pushed):
    assert hub.private[REPOSITORY]
    card = pushed["README.md"].decode()
    metadata = yaml.safe_load(card.split("---\n")[1])
    assert {"reinforcement-learning", "SpaceInvadersNoFrameskip-v4"} <= set(metadata["tags"])
    (model,) = metadata["model-index"]
    assert model["name"] == "dqn-space-invaders"
    (result,) = model["results"]
    assert result["task"]["type"] == "reinforcement-learning"
    assert result["dataset"]["name"] == result["dataset"]["type"] == "SpaceInvadersNoFrameskip-v4"
    (metric,) = result["metrics"]
    assert (metric["type"], metric["value"]) == ("mean_reward", "257.12 +/- 38.81")
    mean, sd = (float(part) for part in metric["value"].split("+/-"))
    assert mean - sd > 200
    for told in ("repeat_action_probability | 0.25", "304 (1,216 frames)", "| games | 2 |"):
        assert told in card


def test_another_push_replaces_the_checkpoint_and_the_film(hub, run, pushed, hub_command, tmp_path):
    later = shutil.copytree(run, tmp_path / "later")
    shutil.rmtree(later / "videos")
    (later / "evaluate.jsonl").write_text(json.dumps(EVALUATION | {"agent_steps": 600}) + "\n")
    again = hub_command(tmp_path, "push", f"--repo_id={REPOSITORY}", "--run_dir=later")
    assert again.exit_code == 0, again.stderr
    assert {path.split("/")[1] for path in pushed if "/" in path} == {"000000000600"}
    assert "replay.mp4" not in pushed
    assert "replay.mp4" not in pushed["README.md"].decode()
    assert hub.commits == ["Push mine", "Push later"]


def test_what_cannot_be_pushed_is_one_line(hub, run, hub_command, tmp_path):
    shutil.copytree(run, tmp_path / "mine")
    flags = ["push", "--repo_id=me/new", "--run_dir=mine"]
    for arguments, message in (
        (flags[:2], "name a run"),
        (["push", "--run_dir=mine"], "name the repository"),
        (flags[1:], "say push or load"),
        (["pull", *flags[1:]], "say push or load"),
        ([*flags, "more"], "unexpected argument 'more'"),
        ([*flags, "--repo_id=a/b/c"], "a/b/c"),
    ):
        assert_fails(hub_command(tmp_path, *arguments), message)
    stranger = hub_command(tmp_path, *flags, HF_TOKEN="hf_wrong")
    assert_fails(stranger, "HF_TOKEN says who you are")
    nothing = hub_command(tmp_path, *flags[:2], "--run_dir=nothing")
    assert_fails(nothing, "nothing is no run directory: there are mine")
    (tmp_path / "mine" / "evaluate.jsonl").write_text(
        json.dumps(EVALUATION | {"agent_steps": 100}) + "\n"
    )
    assert_fails(hub_command(tmp_path, *flags), "no checkpoint at 100 agent steps")
    (tmp_path / "mine" / "evaluate.jsonl").unlink()
    refused = hub_command(tmp_path, *flags)
    assert_fails(refused, "mine is not evaluated yet")
    assert refused.stderr.endswith(": python launch/evaluate.py --run_dir=mine\n")
    assert "me/new" not in hub.repositories


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.gin", None, "holds no run of atari-dqn: it has no config.gin"),
        ("config.gin", b"Training.agent = @dqn_agent.DqnAgent", "which is not of this package"),
        ("config.json", b"[]", "has a config.json that cannot be read"),
        ("config.json", b"{}", "has a config.json that is not of its config.gin (AtariEnvironment"),
        ("checkpoints/000000000304/agent/ckpt.index", b"other", "are damaged"),
    ],
)
def test_a_strangers_repository_that_is_no_plain_run_is_refused(
    pushed, hub_command, tmp_path, name, content, message
):
    if content is None:
        del pushed[name]
    else:
        pushed[name] = content
    loaded = hub_command(tmp_path, "load", f"--repo_id={REPOSITORY}")
    assert_fails(loaded, message)
    assert list((tmp_path / "runs").iterdir()) == [], "nothing is left"


def test_a_repository_that_is_not_there_is_named(hub_command, tmp_path):
    loaded = hub_command(tmp_path, "load", "--repo_id=me/nothing")
    assert_fails(loaded, "me/nothing on http://127.0.0.1")


@pytest.mark.parametrize("action", ["push", "load"])
def test_no_connection_is_called_that(run, hub_command, tmp_path, action):
    run_dir = run if action == "push" else tmp_path / "theirs"
    flags = (action, "--repo_id=me/new", f"--run_dir={run_dir}")
    with socket.socket() as deaf:  # bound, so that nobody else listens there
        deaf.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        failed = hub_command(tmp_path, *flags, HF_ENDPOINT=endpoint)
    assert_fails(failed, f"there is no connection to {endpoint} (")
    assert "Errno" not in failed.stderr.splitlines()[-1]


def assert_fails(finished, message):
    """In one line, after what the hub's client shows of its progress."""
    assert finished.exit_code == 2, finished.stderr
    assert "Traceback" not in finished.stderr
    last = finished.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
