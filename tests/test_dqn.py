"""In: DQN and Double DQN with a tiny network. Out: agreement with the papers, as NumPy has them."""

import numpy as np
import pytest
import tensorflow as tf

from agents import checkpoints
from agents.algorithms.dqn import DQN, DoubleDQN
from agents.algorithms.optimizers import adam, rmsprop
from agents.errors import UserError
from agents.replay import Ending, to_transition
from tests.tiny_dqn import NUM_ACTIONS, random_window, stacks, tiny_network, tiny_q_values

ON, TERMINATED, TRUNCATED, PADDING = Ending
# Terminations and truncations at every place of a window, as the replay stores them.
ENDINGS = {
    1: [[ON], [TERMINATED], [TRUNCATED], [ON], [TERMINATED], [ON]],
    3: [
        [ON, ON, ON],
        [ON, ON, TERMINATED],
        [ON, TERMINATED, PADDING],
        [TERMINATED, PADDING, PADDING],
        [ON, ON, TRUNCATED],
        [ON, TRUNCATED, PADDING],
        [TRUNCATED, PADDING, PADDING],
    ],
}


def sgd():
    """The gradient itself is what the weights change by."""
    return tf.keras.optimizers.legacy.SGD(1.0)


def make_agent(algorithm=DQN, seed=0, optimizer=sgd, **kwargs):
    """An agent whose target network differs from its online one."""
    tf.keras.utils.set_random_seed(seed)
    agent = algorithm(NUM_ACTIONS, network=tiny_network, optimizer=optimizer, **kwargs)
    for weight in target_variables(agent):
        weight.assign_add(tf.random.normal(weight.shape, stddev=0.5))
    return agent


def online_variables(agent):
    return agent._q_network.variables


def target_variables(agent):
    return agent._target_q_network.variables


def values(variables):
    return [variable.numpy() for variable in variables]


def numpy_targets(agent, window, gamma, max_abs_reward):
    """r_1 + gamma r_2 + ... + gamma^m Q(s', a') from the definitions, one transition at a time."""
    _, last, num_real = stacks(window)
    q_online = tiny_q_values(values(online_variables(agent)), last)
    q_target = tiny_q_values(values(target_variables(agent)), last)
    targets = []
    for i, outcome in enumerate(window.outcomes.astype(np.float64)):
        target = 0.0
        for k in range(num_real[i]):
            reward = outcome[k, 1]
            if max_abs_reward is not None:
                reward = min(max(reward, -max_abs_reward), max_abs_reward)
            target += gamma**k * reward
        if not np.any(outcome[:, 2] == TERMINATED):
            chooser = q_online if isinstance(agent, DoubleDQN) else q_target
            target += gamma ** num_real[i] * q_target[i, np.argmax(chooser[i])]
        targets.append(target)
    return np.array(targets)


def numpy_q_value(online_weights, window):
    """Q(s, a) of the actions taken."""
    q_values = tiny_q_values(online_weights, stacks(window)[0])
    return np.array([q[int(a)] for q, a in zip(q_values, window.outcomes[:, 0, 0], strict=True)])


def numpy_td_loss(td_error, loss):
    delta = np.abs(td_error)
    return delta**2 if loss == "mse" else np.where(delta <= 1, delta**2 / 2, delta - 0.5)


@pytest.mark.parametrize(
    ("algorithm", "loss", "n_step", "gamma", "max_abs_reward"),
    [
        (DQN, "mse", 1, 0.99, 1.0),
        (DQN, "huber", 3, 0.9, None),
        (DQN, "mse", 3, 0.9, 0.25),
        (DoubleDQN, "huber", 1, 0.99, 1.0),
        (DoubleDQN, "mse", 3, 0.9, None),
        (DoubleDQN, "huber", 3, 0.9, 0.25),
    ],
)
def test_loss_target_and_td_error_are_the_papers(algorithm, loss, n_step, gamma, max_abs_reward):
    agent = make_agent(
        algorithm, n_step=n_step, gamma=gamma, max_abs_reward=max_abs_reward, loss=loss
    )
    rng = np.random.default_rng(1)
    window = random_window(rng, ENDINGS[n_step], max_reward=3)
    weights = rng.uniform(0, 2, len(window.frames)).astype(np.float32)

    target = numpy_targets(agent, window, gamma, max_abs_reward)
    q_value = numpy_q_value(values(online_variables(agent)), window)
    td_loss = numpy_td_loss(target - q_value, loss)
    transition = to_transition(window, gamma, max_abs_reward)
    info = agent.loss(transition, weights)
    close = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(info.extra.q_value, q_value, **close)
    np.testing.assert_allclose(info.extra.target, target, **close)
    np.testing.assert_allclose(info.extra.td_error, target - q_value, **close)
    np.testing.assert_allclose(info.extra.td_loss, td_loss, **close)  # without the weights
    np.testing.assert_allclose(info.loss, np.mean(weights * td_loss), **close)
    np.testing.assert_allclose(agent.loss(transition).loss, np.mean(td_loss), **close)


def test_the_cases_above_cover_both_sides_of_the_bend_and_a_disagreement():
    agent = make_agent(DoubleDQN, n_step=3)
    window = random_window(np.random.default_rng(1), ENDINGS[3], max_reward=3)
    q_value = numpy_q_value(values(online_variables(agent)), window)
    delta = np.abs(numpy_targets(agent, window, 0.9, None) - q_value)
    assert delta.min() < 1 < delta.max()
    best_online, best_target = (
        tiny_q_values(values(variables), stacks(window)[1]).argmax(axis=1)
        for variables in (online_variables(agent), target_variables(agent))
    )
    assert not np.array_equal(best_online, best_target)


def numpy_gradient(agent, window, gamma, loss, weights):
    """Central differences of the loss, for every single weight; the targets are constants."""
    targets = numpy_targets(agent, window, gamma, 1.0)
    online = [v.astype(np.float64) for v in values(online_variables(agent))]

    def loss_at(variable, index, step):
        moved = [w.copy() for w in online]
        moved[variable][index] += step
        return np.mean(weights * numpy_td_loss(targets - numpy_q_value(moved, window), loss))

    gradient = [np.zeros_like(w) for w in online]
    for variable, g in enumerate(gradient):
        for index in np.ndindex(g.shape):
            g[index] = (loss_at(variable, index, 1e-5) - loss_at(variable, index, -1e-5)) / 2e-5
    return gradient


@pytest.mark.parametrize(
    ("algorithm", "loss", "share_left"),
    [(DQN, "mse", None), (DQN, "huber", 0.3), (DoubleDQN, "mse", 0.01), (DoubleDQN, "huber", 5)],
)
def test_an_update_subtracts_the_clipped_gradient(algorithm, loss, share_left):
    """Clipping leaves this share of the gradient's norm; all of it from 1 on."""
    rng = np.random.default_rng(3)
    window = random_window(rng, ENDINGS[3])
    weights = rng.uniform(0, 2, len(window.frames)).astype(np.float32)
    gradient = numpy_gradient(make_agent(algorithm), window, 0.9, loss, weights)
    norm = np.sqrt(sum(np.sum(g**2) for g in gradient))
    max_norm = None if share_left is None else float(share_left * norm)

    agent = make_agent(algorithm, n_step=3, gamma=0.9, loss=loss, max_gradient_norm=max_norm)
    before = values(online_variables(agent))
    info = tf.function(agent.train)(to_transition(window, 0.9, 1.0), weights)
    after = values(online_variables(agent))

    scale = 1 if max_norm is None else min(1, max_norm / norm)
    for old, new, g in zip(before, after, gradient, strict=True):
        np.testing.assert_allclose(old - new, scale * g, rtol=1e-4, atol=1e-4 * scale * norm)
    np.testing.assert_allclose(info.extra.gradient_norm, norm, rtol=1e-4)  # before clipping


@pytest.mark.parametrize(("period", "tau"), [(3, 1.0), (1, 1.0), (1, 0.25), (2, 0.1)])
def test_target_network_is_updated_at_multiples_of_the_period(period, tau):
    agent = make_agent(target_update_period_updates=period, target_update_tau=tau)
    train = tf.function(agent.train)
    transition = to_transition(random_window(np.random.default_rng(0), ENDINGS[1]), 0.99, 1.0)
    for update in range(1, 8):
        target = values(target_variables(agent))
        train(transition)
        online = values(online_variables(agent))
        if update % period == 0:
            target = [(1 - tau) * t + tau * o for t, o in zip(target, online, strict=True)]
        for actual, expected in zip(values(target_variables(agent)), target, strict=True):
            np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-7)
        assert int(agent.train_step_counter) == update


def test_a_new_agents_target_network_equals_its_online_one():
    agent = DQN(NUM_ACTIONS, network=tiny_network, optimizer=sgd)
    for online, target in zip(online_variables(agent), target_variables(agent), strict=True):
        np.testing.assert_array_equal(online, target)
        assert online is not target


def test_q_values_are_the_online_networks():
    agent = make_agent()
    observation = stacks(random_window(np.random.default_rng(0), ENDINGS[1]))[0]
    q_values = agent.q_values(observation)
    assert q_values.dtype == tf.float32
    np.testing.assert_allclose(
        q_values, tiny_q_values(values(online_variables(agent)), observation), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("optimizer", "slots"),
    [
        (lambda: adam(learning_rate=0.01, epsilon=1e-3), 2),
        (lambda: rmsprop(learning_rate=0.01, epsilon=1e-3), 3),
    ],
    ids=["adam", "rmsprop"],
)
def test_a_restored_agent_continues_as_if_never_saved(tmp_path, optimizer, slots):
    def make(seed):
        # The target is updated at the second update after the save.
        return make_agent(seed=seed, optimizer=optimizer, target_update_period_updates=5)

    rng = np.random.default_rng(0)
    batches = [to_transition(random_window(rng, ENDINGS[1]), 0.99, 1.0) for _ in range(5)]
    saved, restored = make(seed=0), make(seed=1)
    train_saved, train_restored = tf.function(saved.train), tf.function(restored.train)
    for batch in batches[:3]:
        train_saved(batch)
    tf.train.Checkpoint(agent=saved).write(str(tmp_path / "agent" / "ckpt"))
    names = [name for name, _ in tf.train.list_variables(str(tmp_path / "agent" / "ckpt"))]
    assert sum(".OPTIMIZER_SLOT" in name for name in names) == slots * len(online_variables(saved))

    checkpoints.load_agent(tmp_path, restored)
    assert_equal_agents(saved, restored)
    for batch in batches[3:]:
        train_saved(batch)
        train_restored(batch)
        assert_equal_agents(saved, restored)
    for online, target in zip(online_variables(saved), target_variables(saved), strict=True):
        np.testing.assert_array_equal(online, target)


def assert_equal_agents(one, other):
    assert int(one.train_step_counter) == int(other.train_step_counter)
    for variables in (online_variables, target_variables, optimizer_variables):
        for a, b in zip(variables(one), variables(other), strict=True):
            np.testing.assert_array_equal(a, b)


def optimizer_variables(agent):
    return agent._optimizer.variables()


def test_a_checkpoint_of_another_optimizer_is_refused(tmp_path):
    agent = make_agent(optimizer=lambda: rmsprop(learning_rate=0.1, epsilon=0.1))
    tf.train.Checkpoint(agent=agent).write(str(tmp_path / "agent" / "ckpt"))
    with pytest.raises(AssertionError, match="beta_1"):
        checkpoints.load_agent(
            tmp_path, make_agent(optimizer=lambda: adam(learning_rate=0.1, epsilon=0.1))
        )


@pytest.mark.parametrize(
    ("kwargs", "line"),
    [
        ({"n_step": 0}, "DQN.n_step must be at least 1, got 0"),
        ({"gamma": 1.5}, "DQN.gamma must be between 0 and 1, got 1.5"),
        ({"loss": "mae"}, "DQN.loss must be 'mse' or 'huber', got 'mae'"),
        ({"max_abs_reward": 0.0}, "DQN.max_abs_reward must be above 0, or None, got 0.0"),
        ({"max_gradient_norm": -1.0}, "DQN.max_gradient_norm must be above 0, or None, got -1.0"),
        (
            {"target_update_period_updates": 0},
            "DQN.target_update_period_updates must be at least 1, got 0",
        ),
        (
            {"target_update_tau": 0.0},
            "DQN.target_update_tau must be above 0 and at most 1, got 0.0",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_value_out_of_range_is_named(kwargs, line):
    with pytest.raises(UserError) as error:
        DQN(NUM_ACTIONS, network=tiny_network, optimizer=sgd, **kwargs)
    assert str(error.value).splitlines()[0] == line
