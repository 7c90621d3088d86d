"""In: nothing. Out: windows, and a network so small that NumPy can do all of it in float64."""

import numpy as np
import tensorflow as tf

from agents.algorithms.dqn import DQN
from agents.environments import AtariEnvironment
from agents.replay import Ending, Window

NUM_ACTIONS = 4
_CROP = 3  # rows and columns of the image that the network looks at


def tiny_network(num_actions):
    """A smooth Keras Q-network of 356 weights for four actions: 36 inputs, 8 tanh units."""
    layers = tf.keras.layers
    observation = layers.Input((84, 84, 4), dtype=tf.uint8)
    x = layers.Cropping2D(((40, 84 - 40 - _CROP), (30, 84 - 30 - _CROP)))(observation)
    x = layers.Flatten()(layers.Rescaling(1 / 255)(x))
    x = layers.Dense(8, activation="tanh")(x)
    return tf.keras.Model(observation, layers.Dense(num_actions)(x))


def for_space_invaders():
    """An untrained agent with such a network, and its game."""
    tf.keras.utils.set_random_seed(0)
    env = AtariEnvironment("space_invaders", num_envs=1, num_threads=1)
    optimizer = tf.keras.optimizers.legacy.SGD
    return DQN(env.num_actions, network=tiny_network, optimizer=lambda: optimizer(0.1)), env


def tiny_q_values(weights, observation):
    """`tiny_network`'s Q-values [B, num_actions] in float64."""
    kernel, bias, head_kernel, head_bias = (np.asarray(w, np.float64) for w in weights)
    pixels = observation[:, 40 : 40 + _CROP, 30 : 30 + _CROP].reshape(len(observation), -1) / 255
    return np.tanh(pixels @ kernel + bias) @ head_kernel + head_bias


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
