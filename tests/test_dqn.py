"""In: DQN and Double DQN with a tiny network. Out: agreement with the papers, as NumPy has them."""

import numpy as np
import pytest
import tensorflow as tf

from agents import checkpoints
from agents.algorithms.dqn import DQN
from agents.algorithms.optimizers import adam, rmsprop
from agents.errors import UserError
from agents.networks import q_network
from agents.replay import to_transition
from tests import tiny_dqn
from tests.tiny_dqn import (
    ENDINGS,
    NUM_ACTIONS,
    ON,
    actions,
    assert_loss,
    assert_update,
    central_differences,
    online_variables,
    random_window,
    returns_and_factors,
    sgd,
    stacks,
    target_variables,
    tiny_network,
    tiny_q_values,
    values,
)


def make_agent(**kwargs):
    return tiny_dqn.make_agent(DQN, **kwargs)


def numpy_targets(agent, window, gamma, max_abs_reward, double):
    """The return and what the best next action is worth, one transition at a time."""
    last = stacks(window)[1]
    q_target = tiny_q_values(values(target_variables(agent)), last)
    chooser = tiny_q_values(values(online_variables(agent)), last) if double else q_target
    next_values = [q[np.argmax(c)] for q, c in zip(q_target, chooser, strict=True)]
    returns, factors = returns_and_factors(window, gamma, max_abs_reward)
    return returns + factors * next_values


def numpy_q_value(online_weights, window):
    """Q(s, a) of the actions taken."""
    q_values = tiny_q_values(online_weights, stacks(window)[0])
    return q_values[np.arange(len(q_values)), actions(window)]


def numpy_td_loss(td_error, loss):
    delta = np.abs(td_error)
    return delta**2 if loss == "mse" else np.where(delta <= 1, delta**2 / 2, delta - 0.5)


@pytest.mark.parametrize(
    ("double", "loss", "n_step", "gamma", "max_abs_reward"),
    [
        (False, "mse", 1, 0.99, 1.0),
        (False, "huber", 3, 0.9, None),
        (False, "mse", 3, 0.9, 0.25),
        (True, "huber", 1, 0.99, 1.0),
        (True, "mse", 3, 0.9, None),
        (True, "huber", 3, 0.9, 0.25),
    ],
)
def test_loss_target_and_priority_are_the_papers(double, loss, n_step, gamma, max_abs_reward):
    agent = make_agent(
        double=double, n_step=n_step, gamma=gamma, max_abs_reward=max_abs_reward, loss=loss
    )
    rng = np.random.default_rng(1)
    window = random_window(rng, ENDINGS[n_step], max_reward=3)
    weights = rng.uniform(0, 2, len(window.frames)).astype(np.float32)

    target = numpy_targets(agent, window, gamma, max_abs_reward, double)
    q_value = numpy_q_value(values(online_variables(agent)), window)
    expected = {
        "td_loss": numpy_td_loss(target - q_value, loss),  # without the weights
        "priority": np.abs(target - q_value),  # Schaul et al. 2016, 3.3
        "q_value": q_value,
        "target": target,
    }
    assert_loss(agent, window, gamma, max_abs_reward, expected, weights)


def test_the_cases_above_cover_both_sides_of_the_bend_and_a_disagreement():
    agent = make_agent(double=True, n_step=3)
    window = random_window(np.random.default_rng(1), ENDINGS[3], max_reward=3)
    q_value = numpy_q_value(values(online_variables(agent)), window)
    delta = np.abs(numpy_targets(agent, window, 0.9, None, True) - q_value)
    assert delta.min() < 1 < delta.max()
    best_online, best_target = (
        tiny_q_values(values(variables), stacks(window)[1]).argmax(axis=1)
        for variables in (online_variables(agent), target_variables(agent))
    )
    assert not np.array_equal(best_online, best_target)


@pytest.mark.parametrize(
    ("double", "loss", "share_left"),
    [(False, "mse", None), (False, "huber", 0.3), (True, "mse", 0.01), (True, "huber", 5)],
)
def test_an_update_subtracts_the_clipped_gradient(double, loss, share_left):
    """Clipping leaves this share of the gradient's norm; all of it from 1 on."""
    rng = np.random.default_rng(3)
    window = random_window(rng, ENDINGS[3])
    weights = rng.uniform(0, 2, len(window.frames)).astype(np.float32)
    agent = make_agent(n_step=3)
    targets = numpy_targets(agent, window, 0.9, 1.0, double)  # constants

    def numpy_loss(online):
        return np.mean(weights * numpy_td_loss(targets - numpy_q_value(online, window), loss))

    gradient = central_differences(numpy_loss, values(online_variables(agent)))
    norm = np.sqrt(sum(np.sum(g**2) for g in gradient))
    max_norm = None if share_left is None else float(share_left * norm)
    agent = make_agent(double=double, n_step=3, gamma=0.9, loss=loss, max_gradient_norm=max_norm)
    assert_update(agent, window, 0.9, weights, gradient, max_norm)


@pytest.mark.parametrize(("period", "tau"), [(1, 1.0), (1, 0.5), (2, 1.0)])
def test_the_online_network_chooses_however_often_the_target_is_updated(period, tau):
    tf.keras.utils.set_random_seed(0)
    agent = DQN(
        NUM_ACTIONS,
        network=tiny_network,
        optimizer=lambda: tf.keras.optimizers.legacy.SGD(0.3),
        double=True,
        target_update_period_updates=period,
        target_update_tau=tau,
    )
    train = tf.function(agent.train)
    rng = np.random.default_rng(5)
    for _ in range(6):
        window = random_window(rng, ENDINGS[1])
        expected = numpy_targets(agent, window, 0.99, 1.0, double=True)
        info = train(to_transition(window, 0.99, 1.0)).extra.loss
        np.testing.assert_allclose(info.target, expected, rtol=1e-4, atol=1e-4)


def noisy_network(num_actions):
    return q_network(num_actions, hidden_units=4, noisy_sigma=2.0, precision="float32")


def test_noisy_networks_choose_and_judge_with_noise_of_their_own():
    tf.keras.utils.set_random_seed(0)
    agent = DQN(
        NUM_ACTIONS,
        network=noisy_network,
        optimizer=sgd,
        double=True,
        gamma=1.0,
        target_update_period_updates=1,
    )
    window = random_window(np.random.default_rng(0), [[ON]] * 8)
    transition = to_transition(window, 1.0, 1.0)
    loss = tf.function(lambda: agent._loss(transition, training=True))
    draws = [loss().extra.target for _ in range(200)]
    values_ = np.stack(draws) - transition.next_time_step.reward.numpy()
    # One noise for both would choose the largest of four values with noise around 0.
    assert np.mean(values_) < 0.5 * np.mean(np.abs(values_))


def test_noisy_networks_have_their_noise_in_both_networks_while_learning():
    agent = DQN(NUM_ACTIONS, network=noisy_network, optimizer=sgd)
    transition = to_transition(random_window(np.random.default_rng(0), ENDINGS[1]), 0.99, 1.0)
    for training in (True, False):
        infos = [agent._loss(transition, training=training).extra for _ in range(2)]
        for name in ("q_value", "target"):
            one, other = (getattr(info, name).numpy() for info in infos)
            assert np.array_equal(one, other) != training, name


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
        ({"name": "my-dqn"}, "DQN.name must be of letters, digits and _, got 'my-dqn'"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_value_out_of_range_is_named(kwargs, line):
    with pytest.raises(UserError) as error:
        DQN(NUM_ACTIONS, network=tiny_network, optimizer=sgd, **kwargs)
    assert str(error.value).splitlines()[0] == line
