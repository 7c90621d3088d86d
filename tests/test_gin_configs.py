"""Every shipped algorithm file trains on a real game, is saved, resumes and is exported."""

import json
import re
from pathlib import Path

import gin
import numpy as np
import pytest
import tensorflow as tf

import gin_configs
from agents import checkpoints, configuration, training
from agents.checkpoints import Checkpoints
from agents.replay import ImportanceExponent, Replay, to_transition
from agents.restoring import restore_agent
from agents.run_directory import RunDirectory
from agents.serving.export import export_agent
from tests.tiny_dqn import ENDINGS, NUM_ACTIONS, random_window
from tests.training_process import Silent

ROOT = Path(__file__).parent.parent
ALGORITHMS = (
    *("dqn", "dopamine_dqn", "double_dqn", "dueling_dqn", "prioritized_dqn", "noisy_dqn", "c51"),
    *("qr_dqn", "iqn", "munchausen_dqn", "rainbow", "full_rainbow", "fast_rainbow", "der"),
    *("drq_eps", "nature_dqn", "rl_zoo_dqn", "fast"),
)
# One of each kind of agent, head and loss.
KINDS = ("dqn", "c51", "qr_dqn", "iqn", "munchausen_dqn", "full_rainbow", "drq_eps")
SMALL = (
    "LEARNING_STARTS_AGENT_STEPS = 100",
    "Training.updates_per_agent_step = 0.1",
    "Training.log_period_agent_steps = 50",
    "AtariEnvironment.num_envs = 4",
    "Evaluator.episodes = 1",
    "Evaluator.max_frames_per_episode = 80",
    "Replay.capacity = 2000",
    "Replay.batch_size = 4",
    "q_network.precision = 'float32'",
    "q_network.hidden_units = 16",
)
NARROW = ("q_network.encoder = @impala_encoder", "impala_encoder.width = 0.1")


@pytest.fixture(autouse=True)
def _no_configuration_stays():
    yield
    configuration.load([])


def test_the_list_is_complete():
    files = []
    for path in Path(gin_configs.__file__).parent.glob("*.gin"):
        configuration.load([path.name])
        if "AtariEnvironment.game" not in configuration.bindings():
            files += [path.stem] * ("Training.agent" in configuration.bindings())
    assert sorted(files) == sorted(ALGORITHMS)
    table = (ROOT / "docs" / "algorithms.md").read_text()
    assert {*re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)} >= {*files}


def test_qr_dqn_is_not_weighted_by_importance_as_in_dopamine():
    configuration.load(["pong.gin", "qr_dqn.gin"])
    assert configuration.argument(Replay, "priority_exponent") == 0.5
    assert ImportanceExponent()(0) == ImportanceExponent()(10**7) == 0.0


def train(run_dir: Path, algorithm: str, agent_steps: int, *bindings: str) -> training.Training:
    length = f"Training.agent_steps = {agent_steps}"
    configuration.load(["pong.gin", f"{algorithm}.gin"], [*SMALL, length, *bindings])
    with RunDirectory(run_dir) as owned:
        run = training.Training(owned, Silent())
        assert run.run()
    return run


@pytest.mark.parametrize(
    ("algorithm", "bindings"),
    [(name, NARROW if name == "fast_rainbow" else ()) for name in ALGORITHMS],
    ids=ALGORITHMS,
)
def test_it_trains_saves_resumes_and_is_exported(algorithm, bindings, tmp_path):
    train(tmp_path, algorithm, 140, *bindings)
    run = train(tmp_path, algorithm, 180, *bindings)
    newest = Checkpoints(tmp_path / "checkpoints").latest(print)
    updates = checkpoints.load_state(newest)["log"]["updates"]
    assert updates == (run.agent_steps - 100) // 10

    restored = restore_agent(tmp_path, precision="float32")
    exports = tmp_path / "exports"
    version = export_agent(restored.agent, restored.env, exports, name=algorithm, origin={})
    observation = tf.zeros((1, 84, 84, 4), tf.uint8)
    served = tf.saved_model.load(str(version)).signatures["serving_default"]
    q_values = served(observation=observation)["q_values"]
    np.testing.assert_allclose(q_values, run.agent.q_values(observation), rtol=1e-4, atol=1e-5)
    name = json.loads((version / "assets.extra" / "model.json").read_text())["algorithm"]
    assert name == ("DQN" if algorithm in ("dqn", "dopamine_dqn") else algorithm)


@pytest.mark.parametrize("algorithm", KINDS)
def test_it_learns_with_the_other_encoder(algorithm):
    configuration.load([f"{algorithm}.gin", "impala.gin"], [*SMALL, *NARROW])
    tf.keras.utils.set_random_seed(0)
    agent = gin.get_bindings(training.Training)["agent"](NUM_ACTIONS)
    window = random_window(np.random.default_rng(0), ENDINGS[1])
    before = [weight.numpy() for weight in agent._online.trainable_weights]
    # Not as a graph, which takes longer to make than it saves here.
    info = agent._train(to_transition(window, agent.gamma, 1.0), tf.ones(len(window.frames)))
    assert np.isfinite(info.loss)
    assert np.all(np.isfinite(info.extra.loss.priority))
    after = [weight.numpy() for weight in agent._online.trainable_weights]
    assert all(np.any(a != b) for a, b in zip(before, after, strict=True))


def test_the_worked_example_of_an_algorithm_works(tmp_path, monkeypatch):
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (python,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (example,) = re.findall(r"```\n(# Mellowmax.*?)```", text, re.DOTALL)
    exec(compile(python, "mellowmax_dqn.py", "exec"), {"__name__": "agents.algorithms.mellowmax"})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mellowmax_dqn.gin").write_text(example)
    configuration.load(["pong.gin", "mellowmax_dqn.gin"], SMALL)
    assert training.run_name() == "pong_mellowmax_dqn"
    agent = gin.get_bindings(training.Training)["agent"](NUM_ACTIONS)
    window = random_window(np.random.default_rng(0), ENDINGS[1])
    transition = to_transition(window, agent.gamma, 1.0)
    time_step = transition.next_time_step
    next_q_values = agent._target(time_step.observation).numpy().astype(float)
    soft = np.log(np.mean(np.exp(30 * next_q_values), axis=1)) / 30
    target = time_step.reward + 0.99 * time_step.discount * soft
    np.testing.assert_allclose(agent.loss(transition).extra.target, target, rtol=1e-4)


def test_the_arguments_of_an_augmentation_count_as_used():
    binding = "shift_and_intensity.max_shift_pixels = 2"
    configuration.load(["pong.gin", "drq_eps.gin"], [binding])
    gin.get_bindings(training.Training)["agent"](NUM_ACTIONS)
    configuration.check_used()
