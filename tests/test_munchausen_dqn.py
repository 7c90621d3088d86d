"""In: Munchausen DQN with a tiny network. Out: agreement with Vieillard et al. 2020, as NumPy has
it."""

import numpy as np
import pytest

from agents.algorithms.munchausen_dqn import MunchausenDQN
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
    tiny_q_values,
    values,
)


def log_policy(q_values, temperature):
    """log softmax(Q / tau)."""
    x = q_values / temperature
    x = x - x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def numpy_targets(agent, window, gamma, alpha, temperature, min_log_policy):
    """Eq. 1, the log-policy clipped as in section 3."""
    first, last, _ = stacks(window)
    q, q_next = (tiny_q_values(values(target_variables(agent)), s) for s in (first, last))
    taken = log_policy(q, temperature)[np.arange(len(q)), actions(window)]
    bonus = alpha * np.clip(temperature * taken, min_log_policy, 0)
    log_pi = log_policy(q_next, temperature)
    soft_value = np.sum(np.exp(log_pi) * (q_next - temperature * log_pi), axis=1)
    returns, factors = returns_and_factors(window, gamma, 1.0)
    return returns + bonus + factors * soft_value


def numpy_q_value(online, window):
    q_values = tiny_q_values(online, stacks(window)[0])
    return q_values[np.arange(len(q_values)), actions(window)]


@pytest.mark.parametrize(
    ("alpha", "temperature", "min_log_policy", "n_step"),
    [(0.9, 0.03, -1.0, 1), (0.5, 0.5, -0.2, 3), (0.0, 1.0, 0.0, 1)],
)
def test_loss_target_and_priority_are_the_papers(alpha, temperature, min_log_policy, n_step):
    numbers = {"alpha": alpha, "temperature": temperature, "min_log_policy": min_log_policy}
    agent = make_agent(MunchausenDQN, **numbers, n_step=n_step, gamma=0.9)
    rng = np.random.default_rng(1)
    window = random_window(rng, ENDINGS[n_step])
    weights = rng.uniform(0, 2, len(window.frames)).astype(np.float32)
    target = numpy_targets(agent, window, 0.9, **numbers)
    q_value = numpy_q_value(values(online_variables(agent)), window)
    expected = {
        "td_loss": (target - q_value) ** 2,
        "priority": np.abs(target - q_value),
        "q_value": q_value,
        "target": target,
    }
    assert_loss(agent, window, 0.9, 1.0, expected, weights)


def test_an_update_subtracts_the_gradient():
    rng = np.random.default_rng(3)
    window = random_window(rng, ENDINGS[1])
    weights = rng.uniform(0, 2, len(window.frames)).astype(np.float32)
    agent = make_agent(MunchausenDQN, gamma=0.9)
    targets = numpy_targets(agent, window, 0.9, 0.9, 0.03, -1.0)

    def numpy_loss(online):
        return np.mean(weights * (targets - numpy_q_value(online, window)) ** 2)

    gradient = central_differences(numpy_loss, values(online_variables(agent)))
    assert_update(agent, window, 0.9, weights, gradient)


@pytest.mark.parametrize(
    ("kwargs", "line"),
    [
        ({"alpha": 1.5}, "MunchausenDQN.alpha must be between 0 and 1, got 1.5"),
        ({"temperature": 0.0}, "MunchausenDQN.temperature must be above 0, got 0.0"),
        ({"min_log_policy": 1.0}, "MunchausenDQN.min_log_policy must be at most 0, got 1.0"),
        ({"double": True}, "MunchausenDQN chooses no next action: leave DQN.double out"),
    ],
)
def test_a_value_that_cannot_be_is_named(kwargs, line):
    with pytest.raises(UserError) as error:
        make_agent(MunchausenDQN, **kwargs)
    assert str(error.value).splitlines()[0] == line
