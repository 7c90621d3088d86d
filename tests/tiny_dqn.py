"""In: nothing. Out: windows, networks so small that NumPy can do all of them in float64, and what
the tests of every algorithm of the family compare."""

import numpy as np
import tensorflow as tf

from agents.algorithms.dqn import DQN
from agents.environments import AtariEnvironment
from agents.replay import Ending, Window, to_transition

NUM_ACTIONS = 4
_CROP = 3  # rows and columns of the image that the network looks at
_UNITS = 8

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


def tiny_network(num_actions, atoms=None, cosines=None):
    """A smooth Keras Q-network with what `q_network` offers agents: 36 inputs, 8 tanh units.

    For four actions it has 332 weights.
    """
    layers = tf.keras.layers
    observation = layers.Input((84, 84, 4), dtype=tf.uint8)
    x = layers.Cropping2D(((40, 84 - 40 - _CROP), (30, 84 - 30 - _CROP)))(observation)
    x = layers.Flatten()(layers.Rescaling(1 / 255)(x))
    x = layers.Dense(_UNITS, activation="tanh")(x)
    if cosines:
        tau = layers.Input(())
        angles = np.pi * tf.range(1.0, cosines + 1) * tau[:, None]
        x = x[:, None] * layers.Dense(_UNITS, activation="tanh")(tf.cos(angles))
        outputs = layers.Permute((2, 1))(layers.Dense(num_actions)(x))
        return tf.keras.Model([observation, tau], outputs)
    outputs = layers.Dense(num_actions * (atoms or 1))(x)
    if atoms:
        outputs = layers.Reshape((num_actions, atoms))(outputs)
    return tf.keras.Model(observation, outputs)


def for_space_invaders():
    """An untrained agent with such a network, and its game."""
    tf.keras.utils.set_random_seed(0)
    env = AtariEnvironment("space_invaders", num_envs=1, num_threads=1)
    optimizer = tf.keras.optimizers.legacy.SGD
    return DQN(env.num_actions, network=tiny_network, optimizer=lambda: optimizer(0.1)), env


def tiny_q_values(weights, observation):
    """`tiny_network`'s Q-values [B, num_actions] in float64."""
    kernel, bias, head_kernel, head_bias = (np.asarray(w, np.float64) for w in weights)
    return _features(kernel, bias, observation) @ head_kernel + head_bias


def tiny_distributions(weights, observation, atoms):
    """`tiny_network`'s outputs [B, num_actions, atoms] in float64."""
    return tiny_q_values(weights, observation).reshape(len(observation), -1, atoms)


def tiny_quantiles(weights, observation, tau):
    """`tiny_network`'s quantiles [B, num_actions, N] at fractions [N] in float64."""
    kernel, bias, e_kernel, e_bias, head_kernel, head_bias = (
        np.asarray(w, np.float64) for w in weights
    )
    cosines = np.cos(np.pi * np.arange(1, len(e_kernel) + 1) * tau[:, None].astype(np.float64))
    embedding = np.tanh(cosines @ e_kernel + e_bias)
    x = _features(kernel, bias, observation)[:, None] * embedding
    return np.swapaxes(x @ head_kernel + head_bias, 1, 2)


def _features(kernel, bias, observation):
    pixels = observation[:, 40 : 40 + _CROP, 30 : 30 + _CROP].reshape(len(observation), -1) / 255
    return np.tanh(pixels @ kernel + bias)


def random_window(rng, endings, max_reward=1.5):
    """A batch of windows with these endings int [B, n], else random."""
    endings = np.asarray(endings)
    batch_size, n = endings.shape
    rewards = rng.uniform(-max_reward, max_reward, endings.shape)
    actions = rng.integers(0, NUM_ACTIONS, endings.shape)
    real = endings != Ending.PADDING
    return Window(
        frames=rng.integers(0, 256, (batch_size, n + 4, 84, 84), np.uint8),
        outcomes=np.stack([actions * real, rewards * real, endings], axis=-1).astype(np.float32),
        key=np.arange(batch_size, dtype=np.uint64),
        probability=np.full(batch_size, 1 / batch_size),
    )


def stacks(window):
    """First and last stack, uint8 [B, 84, 84, 4], and the number of real steps, int [B]."""
    num_real = np.count_nonzero(window.outcomes[:, :, 2] != Ending.PADDING, axis=1)
    first = window.frames[:, :4]
    last = np.stack([f[m : m + 4] for f, m in zip(window.frames, num_real, strict=True)])
    return np.moveaxis(first, 1, -1), np.moveaxis(last, 1, -1), num_real


def actions(window):
    """The actions taken, int [B]."""
    return window.outcomes[:, 0, 0].astype(int)


def returns_and_factors(window, gamma, max_abs_reward):
    """r_1 + gamma r_2 + ... of m real steps, and what the next value is multiplied with: gamma^m,
    or 0 at a termination. From the definitions, one transition at a time; float64 [B] each."""
    returns, factors = [], []
    for outcome, m in zip(window.outcomes.astype(np.float64), stacks(window)[2], strict=True):
        rewards = outcome[:m, 1]
        if max_abs_reward is not None:
            rewards = [min(max(r, -max_abs_reward), max_abs_reward) for r in rewards]
        returns.append(sum(gamma**k * r for k, r in enumerate(rewards)))
        factors.append(0.0 if np.any(outcome[:, 2] == TERMINATED) else gamma**m)
    return np.array(returns), np.array(factors)


def sgd():
    """The gradient itself is what the weights change by."""
    return tf.keras.optimizers.legacy.SGD(1.0)


def make_agent(algorithm, seed=0, optimizer=sgd, **kwargs):
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


def assert_loss(agent, window, gamma, max_abs_reward, expected, weights):
    """`agent.loss` gives the expected td_loss, priority, q_value and target, each [B]."""
    transition = to_transition(window, gamma, max_abs_reward)
    info = agent.loss(transition, weights)
    close = {"rtol": 1e-5, "atol": 2e-5}
    for name, values_ in expected.items():
        np.testing.assert_allclose(getattr(info.extra, name), values_, **close, err_msg=name)
    np.testing.assert_allclose(info.loss, np.mean(weights * expected["td_loss"]), **close)
    np.testing.assert_allclose(agent.loss(transition).loss, np.mean(expected["td_loss"]), **close)


def central_differences(loss, online_weights):
    """The gradient of `loss(weights)` at these weights, for every single one of them."""
    online = [np.asarray(w, np.float64) for w in online_weights]

    def loss_at(variable, index, step):
        moved = [w.copy() for w in online]
        moved[variable][index] += step
        return loss(moved)

    gradient = [np.zeros_like(w) for w in online]
    for variable, g in enumerate(gradient):
        for index in np.ndindex(g.shape):
            g[index] = (loss_at(variable, index, 1e-5) - loss_at(variable, index, -1e-5)) / 2e-5
    return gradient


def assert_update(agent, window, gamma, weights, gradient, max_norm=None):
    """An update, with `sgd` and rewards clipped to 1, subtracts the gradient clipped to a norm."""
    norm = np.sqrt(sum(np.sum(g**2) for g in gradient))
    before = values(online_variables(agent))
    info = tf.function(agent.train)(to_transition(window, gamma, 1.0), weights)
    after = values(online_variables(agent))
    scale = 1 if max_norm is None else min(1, max_norm / norm)
    for old, new, g in zip(before, after, gradient, strict=True):
        np.testing.assert_allclose(old - new, scale * g, rtol=1e-4, atol=1e-4 * scale * norm)
    np.testing.assert_allclose(info.extra.gradient_norm, norm, rtol=1e-4)  # before clipping
