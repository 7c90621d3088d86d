"""A run's agent comes back as its checkpoint has it, and the run is not touched."""

import shutil

import gin
import numpy as np
import psutil
import pytest
import tensorflow as tf

from agents import checkpoints, configuration
from agents.algorithms.dqn import DQN
from agents.errors import UserError
from agents.restoring import restore_agent, saved_agents
from agents.run_directory import RunDirectory
from agents.training import make_agent
from tests.fake_runs import replace_best

OBSERVATIONS = np.random.default_rng(0).integers(0, 256, (16, 84, 84, 4), np.uint8)


@pytest.fixture(autouse=True)
def _no_configuration_stays():
    yield
    configuration.load([])


@pytest.fixture
def own_run(small_run, tmp_path):
    return shutil.copytree(small_run, tmp_path / "run")


def q_values(agent: DQN) -> np.ndarray:
    return agent.q_values(tf.constant(OBSERVATIONS)).numpy()


@pytest.mark.parametrize(("wanted", "agent_steps"), [(None, 600), (304, 304)])
def test_the_agent_is_the_one_a_resumed_training_would_have(small_run, wanted, agent_steps):
    restored = restore_agent(small_run, wanted)
    resumed = make_agent(6)
    untrained = q_values(resumed)
    checkpoints.load_agent(small_run / "checkpoints" / f"{agent_steps:012d}", resumed)
    np.testing.assert_array_equal(q_values(restored.agent), q_values(resumed))
    assert not np.allclose(q_values(restored.agent), untrained)
    assert restored.agent_steps == agent_steps
    assert (restored.env.game, restored.env.num_actions) == ("space_invaders", 6)


def test_checkpoints_differ(small_run):
    first, last = (q_values(restore_agent(small_run, n).agent) for n in (304, 600))
    assert not np.allclose(first, last)


def test_the_best_agent_is_the_one_that_was_kept_for_its_evaluation(own_run):
    replace_best(own_run, checkpoint=304, agent_steps=200)
    expected = q_values(restore_agent(own_run, 304).agent)
    for name in ("best", 200):
        best = restore_agent(own_run, name)
        assert best.agent_steps == 200
        np.testing.assert_array_equal(q_values(best.agent), expected)
    assert list(saved_agents(own_run)) == [0, 200, 304, 600]
    shutil.rmtree(own_run / "best")
    with pytest.raises(UserError, match="has no best agent"):
        restore_agent(own_run, "best")


def test_a_protocol_replaces_the_runs_rules_but_not_what_the_network_was_made_for(own_run):
    with (own_run / "config.gin").open("a") as config:
        config.write("AtariEnvironment.frameskip = 3\n")
    assert "sticky actions 0.25, no no-ops" in restore_agent(own_run).env.protocol
    restored = restore_agent(own_run, protocol="nature")
    assert "sticky actions 0, up to 30 no-ops" in restored.env.protocol
    assert restored.env.frameskip == 3
    assert "AtariEnvironment.noop_max = 30" in gin.config_str(), "for what is made next"


def test_it_needs_neither_the_lock_nor_a_replay_server(own_run):
    def state():
        listening = {c.laddr for c in psutil.Process().net_connections() if c.status == "LISTEN"}
        return listening, {path: path.stat().st_mtime_ns for path in own_run.rglob("*")}

    with RunDirectory(own_run):  # as the training holds it
        before = state()
        restore_agent(own_run)
        assert state() == before


def test_precision_is_the_runs_own_or_the_one_asked_for(own_run):
    with (own_run / "config.gin").open("a") as config:
        config.write("q_network.precision = 'mixed_bfloat16'\n")
    own, bfloat16, float32 = (
        q_values(restore_agent(own_run, precision=precision).agent)
        for precision in (None, "mixed_bfloat16", "float32")
    )
    np.testing.assert_array_equal(own, bfloat16)
    # bfloat16 has 8 significant bits.
    assert 0 < np.abs(float32 - bfloat16).max() < 0.05 * np.abs(float32).max()


def test_a_run_of_the_former_nature_network_is_the_same(own_run):
    new = q_values(restore_agent(own_run, precision="float32").agent)
    config = own_run / "config.gin"
    text = config.read_text()
    assert "@q_network" in text
    config.write_text(text.replace("@q_network", "@nature_network"))
    np.testing.assert_array_equal(q_values(restore_agent(own_run, precision="float32").agent), new)


def _flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(own_run):
    _flip_a_bit(own_run / "checkpoints" / "000000000600" / "agent" / "ckpt.data-00000-of-00001")
    assert restore_agent(own_run).agent_steps == 304


@pytest.mark.parametrize("name", ["ckpt.index", "ckpt.data-00000-of-00001"])
@pytest.mark.parametrize("damage", [_flip_a_bit, lambda path: path.unlink()])
def test_a_named_checkpoint_that_is_damaged_is_refused(own_run, name, damage):
    damage(own_run / "checkpoints" / "000000000600" / "agent" / name)
    with pytest.raises(UserError, match=r"checkpoint .*000000000600 is damaged or was removed"):
        restore_agent(own_run, 600)


def test_a_checkpoint_that_is_not_there_is_refused_with_those_that_are(small_run):
    with pytest.raises(
        UserError, match=r"no checkpoint at 601 .*: there are .*304, 600 \(.*last\)"
    ):
        restore_agent(small_run, 601)


def test_those_that_are_there_are_named_by_what_the_flag_calls_them(own_run):
    replace_best(own_run, checkpoint=304, agent_steps=200)
    with pytest.raises(UserError, match=r"there are 0, 200 \(best\), 304, 600 \(last\)$"):
        restore_agent(own_run, 500)
    shutil.rmtree(own_run / "best")
    shutil.copytree(own_run / "checkpoints" / "000000000600", own_run / "best" / "000000000600")
    with pytest.raises(UserError, match=r"there are 0, 304, 600 \(best, last\)$"):
        restore_agent(own_run, 500)


def test_a_run_whose_checkpoints_are_all_damaged_is_refused(own_run):
    for index in own_run.rglob("ckpt.index"):
        index.unlink()
    with pytest.raises(UserError, match=r"all checkpoints in .* are damaged"):
        restore_agent(own_run)


def test_a_run_without_a_checkpoint_is_refused(own_run):
    shutil.rmtree(own_run / "checkpoints")
    with pytest.raises(UserError, match="no checkpoint yet"):
        restore_agent(own_run)
    for name in ("best", "snapshots"):
        shutil.rmtree(own_run / name)
    with pytest.raises(UserError, match="no checkpoint at 600 agent steps: there are none"):
        restore_agent(own_run, 600)


@pytest.mark.parametrize("name", ["config.gin", "run.json"])
def test_a_run_that_is_not_whole_is_refused(own_run, name):
    (own_run / name).unlink()
    with pytest.raises(UserError, match=name):
        restore_agent(own_run)


def test_a_directory_without_a_run_is_refused_with_the_runs_nearby(own_run):
    for asked in (own_run.parent, own_run.parent / "nothing"):
        with pytest.raises(UserError, match=f"{asked} is no run directory: there are {own_run}$"):
            restore_agent(asked)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("import os", "config.gin.* may import modules of agents only"),
        ("nature_encoder.padding = 'same'", "does not fit the run's config.gin"),
        ("AtariEnvironment.full_action_space = True", "does not fit the run's config.gin"),
        ("AtariEnvironment.game = 'breakout'", "does not fit the run's config.gin"),
        ("AtariEnvironment.game = 'pacmen'", "unknown game 'pacmen'"),
    ],
)
def test_a_configuration_that_the_run_did_not_write_is_refused(own_run, line, message):
    with (own_run / "config.gin").open("a") as config:
        config.write(line + "\n")
    with pytest.raises(UserError, match=message):
        restore_agent(own_run)


def test_a_configuration_without_an_agent_is_refused(own_run):
    config = own_run / "config.gin"
    config.write_text(config.read_text().replace("Training.agent = @DQN", ""))
    with pytest.raises(UserError, match=r"has no Training\.agent"):
        restore_agent(own_run, precision="float32")
