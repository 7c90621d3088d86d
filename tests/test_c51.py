"""In: C51 with a tiny network. Out: agreement with Bellemare et al. 2017, as NumPy has it."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.agents.categorical_dqn.categorical_dqn_agent import project_distribution

from agents.algorithms.c51 import C51
from agents.errors import UserError
from tests.tiny_dqn import (
    ENDINGS,
    actions,
    assert_loss,
    assert_update,
    central_differences,
    make_agent,
    online_variables,
    random_window,
    returns_and_factors,
    stacks,
    target_variables,
    tiny_distributions,
    values,
)

ATOMS, V_MIN, V_MAX = 5, -1.0, 2.0
SUPPORT = np.linspace(V_MIN, V_MAX, ATOMS)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def project(returns, probabilities):
    """Algorithm 1: each atom's mass goes to its return's neighbours, in proportion to nearness."""
    projected = np.zeros(ATOMS)
    for value, p in zip(returns, probabilities, strict=True):
        b = (min(max(value, V_MIN), V_MAX) - V_MIN) / (V_MAX - V_MIN) * (ATOMS - 1)
        low, high = int(np.floor(b)), int(np.ceil(b))
        if low == high:
            projected[low] += p
        else:
            projected[low] += p * (high - b)
            projected[high] += p * (b - low)
    return projected


def numpy_target(agent, window, gamma, max_abs_reward, double):
    """The target distributions, [B, ATOMS]."""
    last = stacks(window)[1]
    p_target = softmax(tiny_distributions(values(target_variables(agent)), last, ATOMS))
    p_online = softmax(tiny_distributions(values(online_variables(agent)), last, ATOMS))
    best = ((p_online if double else p_target) @ SUPPORT).argmax(axis=1)
    returns, factors = returns_and_factors(window, gamma, max_abs_reward)
    return np.stack(
        [project(returns[i] + factors[i] * SUPPORT, p_target[i, a]) for i, a in enumerate(best)]
    )


def numpy_probabilities(online, window):
    """Of the returns of the actions taken, [B, ATOMS]."""
    outputs = tiny_distributions(online, stacks(window)[0], ATOMS)
    return softmax(outputs[np.arange(len(outputs)), actions(window)])


def make(**kwargs):
    return make_agent(C51, seed=1, num_atoms=ATOMS, v_min=V_MIN, v_max=V_MAX, **kwargs)


@pytest.mark.parametrize(("double", "n_step"), [(False, 1), (True, 3), (False, 3)])
def test_loss_target_and_priority_are_the_papers(double, n_step):
    agent = make(double=double, n_step=n_step, gamma=0.9, max_abs_reward=None)
    rng = np.random.default_rng(1)
    window = random_window(rng, ENDINGS[n_step], max_reward=2)
    weights = rng.uniform(0, 2, len(window.frames)).astype(np.float32)
    target = numpy_target(agent, window, 0.9, None, double)
    probabilities = numpy_probabilities(values(online_variables(agent)), window)
    loss = -np.sum(target * np.log(probabilities), axis=1)
    expected = {
        "td_loss": loss,
        "priority": loss,
        "q_value": probabilities @ SUPPORT,
        "target": target @ SUPPORT,
    }
    assert_loss(agent, window, 0.9, None, expected, weights)


def test_the_online_network_chooses_otherwise_where_it_is_double():
    agent = make(n_step=3)
    window = random_window(np.random.default_rng(1), ENDINGS[3], max_reward=2)
    double, single = (numpy_target(agent, window, 0.9, None, double) for double in (True, False))
    assert not np.allclose(double, single)


def test_an_update_subtracts_the_gradient():
    rng = np.random.default_rng(3)
    window = random_window(rng, ENDINGS[3])
    weights = rng.uniform(0, 2, len(window.frames)).astype(np.float32)
    agent = make(double=True, n_step=3, gamma=0.9)
    target = numpy_target(agent, window, 0.9, 1.0, True)

    def numpy_loss(online):
        cross_entropy = -np.sum(target * np.log(numpy_probabilities(online, window)), axis=1)
        return np.mean(weights * cross_entropy)

    gradient = central_differences(numpy_loss, values(online_variables(agent)))
    assert_update(agent, window, 0.9, weights, gradient)


def test_the_projection_keeps_the_mass_and_the_mean_where_nothing_is_clipped():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(ATOMS), 100).astype(np.float32)
    inside = rng.uniform(V_MIN, V_MAX, (100, ATOMS)).astype(np.float32)
    beyond = rng.uniform(3 * V_MIN, 3 * V_MAX, (100, ATOMS)).astype(np.float32)
    support = SUPPORT.astype(np.float32)
    for returns in (inside, beyond, np.tile(support, (100, 1))):
        projected = project_distribution(*map(tf.constant, (returns, p, support))).numpy()
        np.testing.assert_allclose(projected.sum(axis=1), 1, rtol=1e-5)
        expected = [project(*pair) for pair in zip(returns, p, strict=True)]
        np.testing.assert_allclose(projected, expected, atol=1e-5)
    projected = project_distribution(*map(tf.constant, (inside, p, support))).numpy()
    np.testing.assert_allclose(projected @ SUPPORT, np.sum(inside * p, axis=1), atol=1e-5)


def test_q_values_are_expected_returns():
    agent = make()
    observation = stacks(random_window(np.random.default_rng(0), ENDINGS[1]))[0]
    outputs = tiny_distributions(values(online_variables(agent)), observation, ATOMS)
    np.testing.assert_allclose(agent.q_values(observation), softmax(outputs) @ SUPPORT, atol=1e-5)
    # TF-Agents' own policies see the same values.
    np.testing.assert_allclose(
        agent._q_network(observation)[0], agent.q_values(observation), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("kwargs", "line"),
    [
        ({"num_atoms": 1}, "C51.num_atoms must be at least 2, got 1"),
        ({"v_max": -10.0}, "C51.v_max must be above v_min, which is -10.0, got -10.0"),
        ({"gamma": 2.0}, "DQN.gamma must be between 0 and 1, got 2.0"),
    ],
)
def test_a_value_out_of_range_is_named(kwargs, line):
    with pytest.raises(UserError) as error:
        make_agent(C51, **kwargs)
    assert str(error.value).splitlines()[0] == line
