"""In: QR-DQN and IQN with tiny networks. Out: agreement with Dabney et al. 2018 (both papers), as
NumPy has it."""

import numpy as np
import pytest
import tensorflow as tf

from agents.algorithms.iqn import IQN
from agents.algorithms.qr_dqn import QRDQN
from agents.errors import UserError
from agents.replay import to_transition
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
    tiny_quantiles,
    values,
)

N, N_TARGET, K, COSINES = 6, 3, 2, 7
IMPLICIT = {
    "num_tau": N,
    "num_target_tau": N_TARGET,
    "num_action_tau": K,
    "num_cosines": COSINES,
}
MIDPOINTS = (np.arange(N) + 0.5) / N


def fixed_tau(n):
    """Fractions that depend on their number alone."""
    return np.random.default_rng(n).uniform(size=n).astype(np.float32)


class FixedTau(IQN):
    """IQN whose fractions are known."""

    def _random_tau(self, n):
        return tf.constant(fixed_tau(n))


def quantile_huber_loss(target, predicted, tau, kappa):
    """Eq. 8 to 10 of the first paper, eq. 3 of the second, number by number; [B]."""
    losses = np.zeros(len(target))
    for b in range(len(target)):
        for i, theta in enumerate(predicted[b]):
            for sample in target[b]:
                u = sample - theta
                huber = u * u / 2 if abs(u) <= kappa else kappa * (abs(u) - kappa / 2)
                weight = abs(tau[i] - (1 if u < 0 else 0))
                losses[b] += weight * huber / kappa / len(target[b])
    return losses


class QR:
    """What QR-DQN computes."""

    algorithm, kwargs = QRDQN, {"num_quantiles": N}
    tau = MIDPOINTS

    @staticmethod
    def predicted(online, window):
        outputs = tiny_distributions(online, stacks(window)[0], N)
        return outputs[np.arange(len(outputs)), actions(window)]

    @staticmethod
    def next_quantiles(agent, window, double):
        last = stacks(window)[1]
        target = tiny_distributions(values(target_variables(agent)), last, N)
        online = tiny_distributions(values(online_variables(agent)), last, N)
        best = (online if double else target).mean(axis=2).argmax(axis=1)
        return target[np.arange(len(target)), best]


class Implicit:
    """What IQN computes."""

    algorithm = FixedTau
    kwargs = IMPLICIT
    tau = fixed_tau(N)
    target_tau = fixed_tau(N_TARGET)

    @classmethod
    def predicted(cls, online, window):
        first = stacks(window)[0]
        outputs = tiny_quantiles(online, first, cls.tau)
        return outputs[np.arange(len(outputs)), actions(window)]

    @classmethod
    def next_quantiles(cls, agent, window, double):
        last = stacks(window)[1]
        chooser = online_variables(agent) if double else target_variables(agent)
        best = tiny_quantiles(values(chooser), last, fixed_tau(K)).mean(axis=2).argmax(axis=1)
        target = tiny_quantiles(values(target_variables(agent)), last, cls.target_tau)
        return target[np.arange(len(target)), best]


def numpy_target(kind, agent, window, gamma, max_abs_reward, double):
    """Samples of the target distribution, [B, M]."""
    returns, factors = returns_and_factors(window, gamma, max_abs_reward)
    next_quantiles = kind.next_quantiles(agent, window, double)
    return returns[:, None] + factors[:, None] * next_quantiles


@pytest.mark.parametrize("kind", [QR, Implicit])
@pytest.mark.parametrize(
    ("double", "n_step", "kappa"), [(False, 1, 1.0), (True, 3, 0.3), (False, 3, 2.0)]
)
def test_loss_target_and_priority_are_the_papers(kind, double, n_step, kappa):
    agent = make_agent(
        kind.algorithm,
        seed=1,
        **kind.kwargs,
        kappa=kappa,
        double=double,
        n_step=n_step,
        gamma=0.9,
        max_abs_reward=0.5,
    )
    rng = np.random.default_rng(1)
    window = random_window(rng, ENDINGS[n_step], max_reward=2)
    batch_size = len(window.frames)
    weights = rng.uniform(0, 2, batch_size).astype(np.float32)
    target = numpy_target(kind, agent, window, 0.9, 0.5, double)
    # The online network would choose other actions.
    assert not np.allclose(target, numpy_target(kind, agent, window, 0.9, 0.5, not double))
    predicted = kind.predicted(values(online_variables(agent)), window)
    assert np.any(np.abs(target[:, :, None] - predicted[:, None]) > kappa) or kappa == 2.0
    loss = quantile_huber_loss(target, predicted, kind.tau, kappa)
    expected = {
        "td_loss": loss,
        "priority": loss,
        "q_value": predicted.mean(axis=1),
        "target": target.mean(axis=1),
    }
    assert_loss(agent, window, 0.9, 0.5, expected, weights)


@pytest.mark.parametrize("kind", [QR, Implicit])
def test_an_update_subtracts_the_gradient(kind):
    rng = np.random.default_rng(3)
    window = random_window(rng, ENDINGS[3][:4])
    weights = rng.uniform(0, 2, len(window.frames)).astype(np.float32)
    agent = make_agent(kind.algorithm, **kind.kwargs, double=True, n_step=3, gamma=0.9)
    target = numpy_target(kind, agent, window, 0.9, 1.0, True)

    def numpy_loss(online):
        loss = quantile_huber_loss(target, kind.predicted(online, window), kind.tau, 1.0)
        return np.mean(weights * loss)

    gradient = central_differences(numpy_loss, values(online_variables(agent)))
    assert_update(agent, window, 0.9, weights, gradient)


def test_q_values_are_mean_quantiles():
    observation = stacks(random_window(np.random.default_rng(0), ENDINGS[1]))[0]
    agent = make_agent(QRDQN, num_quantiles=N)
    outputs = tiny_distributions(values(online_variables(agent)), observation, N)
    np.testing.assert_allclose(agent.q_values(observation), outputs.mean(axis=2), atol=1e-5)


def test_implicit_q_values_are_the_same_each_time_but_in_training():
    observation = stacks(random_window(np.random.default_rng(0), ENDINGS[1]))[0]
    agent = make_agent(IQN, **Implicit.kwargs)
    tau = np.array([0.25, 0.75])
    expected = tiny_quantiles(values(online_variables(agent)), observation, tau).mean(axis=2)
    np.testing.assert_allclose(agent.q_values(observation), expected, atol=1e-5)
    drawn = [agent.q_values(observation, training=True).numpy() for _ in range(100)]
    assert not np.array_equal(drawn[0], drawn[1])
    # Over many draws they are the mean over all fractions.
    tau = (np.arange(500) + 0.5) / 500
    mean = tiny_quantiles(values(online_variables(agent)), observation, tau).mean(axis=2)
    error = np.std(drawn, axis=0) / np.sqrt(len(drawn))
    assert np.all(np.abs(np.mean(drawn, axis=0) - mean) < 5 * error)


def test_fractions_are_uniform_in_equal_parts_and_drawn_anew_in_each_call():
    agent = make_agent(IQN, **Implicit.kwargs)
    tau = np.array([agent._random_tau(8).numpy() for _ in range(1_000)])
    assert tau.shape == (1_000, 8)
    assert len(np.unique(tau)) > 7_900
    within = tau * 8 - np.arange(8)
    assert np.all((within >= 0) & (within <= 1))
    for part in within.T:
        counts = np.histogram(part, 10, (0, 1))[0]
        # Within five standard deviations of a tenth.
        assert np.all(np.abs(counts - 100) < 5 * np.sqrt(1_000 * 0.1 * 0.9))
    counts = np.histogram(within, 10, (0, 1))[0]
    assert np.all(np.abs(counts - 800) < 5 * np.sqrt(8_000 * 0.1 * 0.9))
    correlations = np.corrcoef(within.T)[np.triu_indices(8, 1)]
    assert np.all(np.abs(correlations) < 5 / np.sqrt(1_000))


def test_the_expected_loss_is_that_of_independent_fractions_for_each_transition():
    # Eq. 3 of the second paper sums over N fractions and averages over N': in the mean it is N
    # times the mean over both. The action that is judged best would depend on the draw.
    class FixedActionTau(IQN):
        def _random_tau(self, n):
            return tf.constant(fixed_tau(K)) if n == K else super()._random_tau(n)

    class Fine(Implicit):
        tau = target_tau = (np.arange(100) + 0.5) / 100

    agent = make_agent(FixedActionTau, **Implicit.kwargs, n_step=3, gamma=0.9)
    window = random_window(np.random.default_rng(1), ENDINGS[3][:4])
    target = numpy_target(Fine, agent, window, 0.9, 1.0, False)
    predicted = Fine.predicted(values(online_variables(agent)), window)
    expected = N / 100 * quantile_huber_loss(target, predicted, Fine.tau, 1.0)

    transition = to_transition(window, 0.9, 1.0)
    loss = tf.function(lambda: agent.loss(transition).extra.td_loss)
    drawn = np.array([loss() for _ in range(1_000)])
    error = drawn.std(axis=0) / np.sqrt(len(drawn))
    assert np.all(error > 0)
    assert np.all(np.abs(drawn.mean(axis=0) - expected) < 5 * error + 1e-3 * expected)


@pytest.mark.parametrize(
    ("algorithm", "kwargs", "line"),
    [
        (QRDQN, {"num_quantiles": 0}, "QRDQN.num_quantiles must be at least 1, got 0"),
        (QRDQN, {"kappa": 0.0}, "QRDQN.kappa must be above 0, got 0.0"),
        (IQN, {"num_tau": 0}, "IQN.num_tau must be at least 1, got 0"),
        (IQN, {"num_cosines": 1.5}, "IQN.num_cosines must be an int, got 1.5"),
    ],
)
def test_a_value_out_of_range_is_named(algorithm, kwargs, line):
    with pytest.raises(UserError) as error:
        make_agent(algorithm, **kwargs)
    assert str(error.value).splitlines()[0] == line
