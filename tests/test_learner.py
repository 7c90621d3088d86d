"""In: datasets of hand-made windows. Out: the updates, counts and means that they must give."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from agents.algorithms.dqn import DQN
from agents.algorithms.optimizers import adam
from agents.learner import Learner, NonFiniteLossError
from agents.networks import nature_network
from agents.replay import Ending, Window, importance_weights, to_transition
from tests.tiny_dqn import NUM_ACTIONS, random_window, tiny_network

ROOT = Path(__file__).parent.parent
ENDINGS = [[Ending.GOES_ON], [Ending.TERMINATED], [Ending.GOES_ON], [Ending.TRUNCATED]]
GAMMA = 0.9


def make_agent(network=tiny_network, learning_rate=0.01, **kwargs):
    tf.keras.utils.set_random_seed(0)
    return DQN(
        NUM_ACTIONS,
        network=network,
        optimizer=lambda: adam(learning_rate=learning_rate, epsilon=1e-4),
        gamma=GAMMA,
        target_update_period_updates=2,
        **kwargs,
    )


def make_windows(count):
    rng = np.random.default_rng(0)
    return [random_window(rng, ENDINGS, max_reward=3) for _ in range(count)]


def with_reward(window, reward):
    outcomes = window.outcomes.copy()
    outcomes[0, 0, 1] = reward
    return window._replace(outcomes=outcomes)


def dataset(windows):
    """The batches in their order, over and over."""
    columns = zip(*windows, strict=True)
    return tf.data.Dataset.from_tensor_slices(Window(*map(np.stack, columns))).repeat()


def weights_of(agent):
    """Everything that learns: both networks and the optimizer's means."""
    variables = [*agent._q_network.variables, *agent._target_q_network.variables]
    return [variable.numpy() for variable in [*variables, *agent._optimizer.variables()]]


def test_many_updates_in_one_call_are_as_many_single_calls():
    windows = make_windows(5)
    at_once, singly = make_agent(), make_agent()
    means = Learner(at_once, dataset(windows)).run(5)
    learner = Learner(singly, dataset(windows))
    each = []
    for update in range(1, 6):
        each.append(learner.run(1))
        assert learner.updates == update
    assert Learner(at_once, dataset(windows)).updates == int(at_once._optimizer.iterations) == 5
    for a, b in zip(weights_of(at_once), weights_of(singly), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    for name in ("loss", "q_value", "target", "gradient_norm"):
        np.testing.assert_allclose(means[name], np.mean([m[name] for m in each]), rtol=1e-5)
        assert len({m[name] for m in each}) == 5  # every batch is another one


def test_the_batches_of_a_call_are_drawn_before_its_first_update():
    agent, updates = make_agent(), []

    def noted(window):
        def note(key):
            updates.append(int(agent.train_step_counter))
            return key

        key = tf.numpy_function(note, [window.key], tf.uint64)
        return window._replace(key=tf.ensure_shape(key, window.key.shape))

    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    learner = Learner(agent, dataset(make_windows(5)).map(noted).with_options(options))
    learner.run(2)
    learner.run(3)
    assert updates == [0, 0, 2, 2, 2]


@pytest.mark.parametrize("max_abs_reward", [1.0, None])
def test_an_updates_statistics_are_those_of_its_batch_before_it(max_abs_reward):
    (window,) = make_windows(1)
    agent = make_agent(max_abs_reward=max_abs_reward)
    with tf.GradientTape() as tape:
        info = agent.loss(to_transition(window, GAMMA, max_abs_reward))
    gradient = tape.gradient(info.loss, agent._q_network.trainable_weights)
    means = Learner(agent, dataset([window])).run(1)
    expected = {
        "loss": info.loss,
        "q_value": np.mean(info.extra.q_value),
        "target": np.mean(info.extra.target),
        "gradient_norm": np.sqrt(sum(np.sum(np.square(g)) for g in gradient)),
    }
    assert means.keys() == {*expected, "sampling_seconds"}
    for name, value in expected.items():
        np.testing.assert_allclose(means[name], value, rtol=1e-5)


def test_prioritized_windows_are_weighted_and_their_priorities_sent_back():
    rng = np.random.default_rng(0)
    windows = [
        window._replace(
            key=rng.integers(2**63, 2**64, 4, np.uint64), probability=rng.dirichlet(np.ones(4))
        )
        for window in make_windows(3)
    ]
    learned, by_hand, sent = make_agent(), make_agent(), []
    learner = Learner(learned, dataset(windows), lambda *batch: sent.append(batch))
    loss = learner.run(3, importance_exponent=0.7)["loss"]
    losses, priorities = [], []
    for window in windows:
        transition = to_transition(Window(*map(tf.constant, window)), GAMMA, 1.0)
        weights = importance_weights(tf.constant(window.probability), 0.7)
        info = by_hand.train(transition, weights)
        losses.append(np.mean(info.extra.loss.td_loss))
        priorities.append(info.extra.loss.priority)
    ((keys, sent_priorities),) = sent
    np.testing.assert_array_equal(keys, np.concatenate([window.key for window in windows]))
    np.testing.assert_allclose(sent_priorities, np.concatenate(priorities), rtol=1e-5)
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-5)
    for a, b in zip(weights_of(learned), weights_of(by_hand), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_sampling_seconds_hold_the_wait_for_a_batch():
    def wait():
        time.sleep(0.2)
        return np.float32(0)

    def late(window):
        with tf.control_dependencies([tf.numpy_function(wait, [], tf.float32)]):
            return tf.nest.map_structure(tf.identity, window)

    learner = Learner(make_agent(), dataset(make_windows(1)).map(late))
    assert learner.run(2)["sampling_seconds"] >= 0.19  # per update, whatever the updates take


def test_sampling_seconds_hold_no_update_where_tensorflow_has_one_thread():
    code = """if True:
        import time
        import tensorflow as tf
        tf.config.threading.set_inter_op_parallelism_threads(1)
        from tests import test_learner

        def slowly(image):
            time.sleep(0.1)
            return image

        def slow(images):
            return tf.ensure_shape(tf.numpy_function(slowly, [images], images.dtype), images.shape)

        agent = test_learner.make_agent(augmentation=slow)
        learner = test_learner.Learner(agent, test_learner.dataset(test_learner.make_windows(1)))
        learner.run(1)  # traces
        print(learner.run(4)["sampling_seconds"])
    """
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 0.1  # an update takes 0.2


@pytest.mark.parametrize(
    ("network", "reward", "loss"),
    [
        (tiny_network, np.inf, "huber"),  # its gradient is finite
        (tiny_network, np.nan, "mse"),
        (tiny_network, 1e30, "mse"),
        (nature_network, np.inf, "mse"),
    ],
)
def test_a_loss_that_is_not_finite_changes_nothing(network, reward, loss):
    good = make_windows(3)
    spoilt, unspoilt = (make_agent(network, max_abs_reward=None, loss=loss) for _ in range(2))
    learner = Learner(spoilt, dataset([*good, with_reward(good[0], reward)]))
    with pytest.raises(NonFiniteLossError, match=r"not finite at update 4$"):
        learner.run(5)  # three good updates come first
    assert learner.updates == int(spoilt._optimizer.iterations) == 3
    Learner(unspoilt, dataset(good)).run(3)
    for a, b in zip(weights_of(spoilt), weights_of(unspoilt), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_clipped_rewards_keep_the_loss_finite():
    (window,) = make_windows(1)
    means = Learner(make_agent(), dataset([with_reward(window, 1e30)])).run(3)
    assert np.isfinite(list(means.values())).all()


def test_other_errors_pass_as_they_are():
    (window,) = make_windows(1)
    outcomes = window.outcomes.copy()
    outcomes[0, 0, 0] = NUM_ACTIONS
    learner = Learner(make_agent(), dataset([window._replace(outcomes=outcomes)]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="does not index into"):
        learner.run(1)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_the_nature_network_learns_a_batch_by_heart(precision):
    """Terminal rewards of single images: their loss goes to 0 and Q to the rewards."""
    window = random_window(np.random.default_rng(1), [[Ending.TERMINATED]] * 4, max_reward=1)
    agent = make_agent(
        lambda num_actions: nature_network(num_actions, precision=precision), learning_rate=3e-4
    )
    learner = Learner(agent, dataset([window]))
    first = learner.run(1)["loss"]
    learner.run(40)
    last = learner.run(1)
    assert last["loss"] < 0.02 * first
    np.testing.assert_allclose(last["q_value"], window.outcomes[:, 0, 1].mean(), atol=0.1)
