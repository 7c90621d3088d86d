"""In: optimizers as gin makes them. Out: the weights that the papers' equations give in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from agents.algorithms.optimizers import adam, rmsprop
from agents.errors import UserError

RATE = 0.01
# Of the size of epsilon and of its root, so that it matters where epsilon stands.
EPSILON = 0.01 / 32**2
WEIGHTS = np.array([0.5, -0.25, 0.0, 1.0, -1.0])
GRADIENTS = np.array(
    [
        [1e-5, 1e-3, 0.0, 0.3, -20.0],
        [-2e-5, 3e-3, 0.0, 0.2, 10.0],
        [5e-5, -1e-3, 0.0, 0.3, 0.0],
    ]
)


def numpy_adam(beta_1=0.9, beta_2=0.999):
    """Kingma and Ba 2015, algorithm 1."""
    weights, m, v = WEIGHTS.copy(), np.zeros(5), np.zeros(5)
    for t, g in enumerate(GRADIENTS, start=1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        weights -= RATE * (m / (1 - beta_1**t)) / (np.sqrt(v / (1 - beta_2**t)) + EPSILON)
        yield weights.copy()


def numpy_rmsprop(decay=0.95, centered=True):
    """Mnih et al. 2015: the gradient's standard deviation, epsilon inside the root."""
    weights, m, v = WEIGHTS.copy(), np.zeros(5), np.zeros(5)
    for g in GRADIENTS:
        m = decay * m + (1 - decay) * g
        v = decay * v + (1 - decay) * g**2
        weights -= RATE * g / np.sqrt(v - centered * m**2 + EPSILON)
        yield weights.copy()


@pytest.mark.parametrize(
    ("optimizer", "kwargs", "expected"),
    [
        (adam, {}, numpy_adam()),
        (adam, {"beta_1": 0.5, "beta_2": 0.9}, numpy_adam(0.5, 0.9)),
        (rmsprop, {}, numpy_rmsprop()),
        (rmsprop, {"decay": 0.7}, numpy_rmsprop(0.7)),
        (rmsprop, {"centered": False}, numpy_rmsprop(centered=False)),
    ],
    ids=["adam", "adam-betas", "rmsprop", "rmsprop-decay", "rmsprop-plain"],
)
def test_updates_are_the_papers(optimizer, kwargs, expected):
    weights = tf.Variable(WEIGHTS.astype(np.float32))
    made = optimizer(learning_rate=RATE, epsilon=EPSILON, **kwargs)

    @tf.function
    def update(gradient):
        made.apply_gradients([(gradient, weights)])

    before = WEIGHTS
    for gradient, after in zip(GRADIENTS, expected, strict=True):
        update(tf.constant(gradient, tf.float32))
        np.testing.assert_allclose(weights, after, rtol=1e-6, atol=1e-6)
        moved = np.abs(after - before) > 1e-4  # what moves less says nothing
        np.testing.assert_array_equal(moved[[1, 3]], True)
        before = after


@pytest.mark.parametrize(
    ("optimizer", "kwargs", "line"),
    [
        (adam, {"learning_rate": 0.0}, "adam.learning_rate must be above 0, got 0.0"),
        (adam, {"epsilon": 0.0}, "adam.epsilon must be above 0, got 0.0"),
        (adam, {"beta_1": 1.0}, "adam.beta_1 must be at least 0 and below 1, got 1.0"),
        (adam, {"beta_2": -0.1}, "adam.beta_2 must be at least 0 and below 1, got -0.1"),
        (rmsprop, {"learning_rate": -1.0}, "rmsprop.learning_rate must be above 0, got -1.0"),
        (rmsprop, {"epsilon": 0.0}, "rmsprop.epsilon must be above 0, got 0.0"),
        (rmsprop, {"decay": 1.5}, "rmsprop.decay must be at least 0 and below 1, got 1.5"),
    ],
)
def test_a_value_out_of_range_is_named(optimizer, kwargs, line):
    with pytest.raises(UserError) as error:
        optimizer(**{"learning_rate": 0.1, "epsilon": 0.1} | kwargs)
    assert str(error.value).splitlines()[0] == line
