"""In: layers with known weights. Out: the published noise, norms and maxima."""

import numpy as np
import pytest
import tensorflow as tf

from agents.networks.layers import AdaptiveMaxPool2D, NoisyDense, SpectralConv2D

INPUTS, UNITS = 30, 40


def noisy_dense(**kwargs):
    tf.keras.utils.set_random_seed(0)
    layer = NoisyDense(UNITS, 0.5, **kwargs)
    layer.build((None, INPUTS))
    return layer


def test_noisy_weights_start_as_published():
    """Fortunato et al. 2018, section 3.2, factorised: U(+-1/sqrt(p)) and sigma_0 / sqrt(p)."""
    layer, bound = noisy_dense(), 1 / np.sqrt(INPUTS)
    for mu in (layer.kernel, layer.bias):
        assert np.all(np.abs(mu) <= bound)
        assert np.max(np.abs(mu)) > 0.9 * bound
    assert np.std(layer.kernel) == pytest.approx(bound / np.sqrt(3), rel=0.05)
    for sigma in (layer.kernel_sigma, layer.bias_sigma):
        np.testing.assert_allclose(sigma, 0.5 * bound, rtol=1e-6)
    assert not np.allclose(layer.kernel[0], layer.bias)
    assert len(layer.trainable_weights) == 4


def test_without_training_weights_are_their_means():
    layer = noisy_dense(activation="relu")
    x = np.random.default_rng(0).normal(size=(3, INPUTS)).astype(np.float32)
    expected = np.maximum(x @ layer.kernel.numpy() + layer.bias.numpy(), 0)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-6)


def noises(layer):
    """f(epsilon) of a call's inputs and outputs, for a layer whose sigmas are random.

    One row of zeros and one unit vector per input show all that is in a call.
    """
    x = np.concatenate([np.zeros((1, INPUTS)), np.eye(INPUTS)]).astype(np.float32)
    y = layer(x, training=True).numpy()
    bias_sigma, kernel_sigma = layer.bias_sigma.numpy(), layer.kernel_sigma.numpy()
    f_out = (y[0] - layer.bias.numpy()) / bias_sigma
    matrix = (y[1:] - y[0] - layer.kernel.numpy()) / kernel_sigma
    f_in = matrix @ f_out / (f_out @ f_out)
    # Eq. 10: the noise is an outer product; eq. 11: that of the bias is its one half.
    np.testing.assert_allclose(matrix, np.outer(f_in, f_out), atol=1e-3)
    return f_in, f_out


def test_the_noise_is_factorised_gaussian():
    layer, rng = noisy_dense(), np.random.default_rng(1)
    layer.kernel_sigma.assign(rng.uniform(1, 2, (INPUTS, UNITS)))
    layer.bias_sigma.assign(rng.uniform(1, 2, UNITS))
    calls = [noises(layer) for _ in range(100)]
    for f in map(np.concatenate, zip(*calls, strict=True)):
        epsilon = np.sign(f) * f**2
        # Shares of a standard normal variable below -2, -1, 0, 1, 2.
        shares = np.array([0.02275, 0.15866, 0.5, 0.84134, 0.97725])
        found = [np.mean(epsilon < bound) for bound in (-2, -1, 0, 1, 2)]
        assert np.all(np.abs(found - shares) < 5 * np.sqrt(shares * (1 - shares) / f.size))
    first, second = calls[:2]
    assert not np.allclose(first[0], second[0]), "each call draws anew"


@pytest.mark.parametrize("shape", [(5, INPUTS), (5, 3, INPUTS)])
def test_noisy_layers_keep_shape_and_precision(shape):
    layer = noisy_dense(dtype=tf.keras.mixed_precision.Policy("mixed_bfloat16"))
    y = layer(np.ones(shape, np.float32), training=True)
    assert (y.dtype, y.shape) == (tf.bfloat16, (*shape[:-1], UNITS))
    assert {weight.dtype for weight in layer.weights} == {tf.float32}


def spectral_norm(kernel):
    return np.linalg.svd(kernel.numpy().reshape(-1, kernel.shape[-1]))[1][0]


def test_the_spectral_norm_becomes_1():
    tf.keras.utils.set_random_seed(0)
    layer = SpectralConv2D(6, 3, padding="same")
    x = np.random.default_rng(0).normal(size=(2, 5, 5, 4)).astype(np.float32)
    layer(x)
    layer.kernel.assign(3 * layer.kernel)
    for _ in range(100):
        layer(x, training=True)
    u = layer.u.numpy()
    plain = tf.nn.conv2d(x, layer.kernel / spectral_norm(layer.kernel), 1, "SAME")
    np.testing.assert_allclose(layer(x), plain, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(layer.u, u)  # only training moves it
    names = [weight.name.split("/")[1] for weight in layer.trainable_weights]
    assert names == ["kernel:0", "bias:0"]


def test_the_gradient_of_a_normalized_convolution_is_that_of_w_over_sigma():
    """Miyato et al. 2018, eq. 12, by central differences; u is a constant."""
    tf.keras.utils.set_random_seed(0)
    layer = SpectralConv2D(3, 1, use_bias=False)
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 4)).astype(np.float32)
    layer(x, training=True)
    u = layer.u.numpy().astype(float)
    target = np.random.default_rng(1).normal(size=(2, 3, 3, 3))

    def loss(w):
        return np.sum((x @ w / np.linalg.norm(w @ u) - target) ** 2)

    w = layer.kernel.numpy().astype(float)[0, 0]
    expected = np.zeros_like(w)
    for index in np.ndindex(w.shape):
        step = np.zeros_like(w)
        step[index] = 1e-5
        expected[index] = (loss(w + step) - loss(w - step)) / 2e-5
    with tf.GradientTape() as tape:
        value = tf.reduce_sum((layer(x) - target.astype(np.float32)) ** 2)
    assert float(value) == pytest.approx(loss(w), rel=1e-5)
    gradient = tape.gradient(value, layer.kernel)
    np.testing.assert_allclose(gradient[0, 0], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("height", "width", "size"), [(11, 11, 8), (7, 12, 3), (5, 5, 5)])
def test_adaptive_pooling_takes_the_maximum_of_each_window(height, width, size):
    x = np.random.default_rng(0).normal(size=(2, height, width, 3)).astype(np.float32)
    pooled = AdaptiveMaxPool2D(size)(x)
    for i in range(size):
        for j in range(size):
            rows = slice(int(i * height / size), int(np.ceil((i + 1) * height / size)))
            columns = slice(int(j * width / size), int(np.ceil((j + 1) * width / size)))
            np.testing.assert_array_equal(pooled[:, i, j], x[:, rows, columns].max(axis=(1, 2)))
