"""In: the Nature network. Out: its published shapes, and the Q-values that NumPy computes."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from numpy.lib.stride_tricks import sliding_window_view

from agents.errors import UserError
from agents.networks import (
    impala_encoder,
    nature_encoder,
    nature_network,
    precision_policy,
    q_network,
)
from agents.networks.layers import NoisyDense, SpectralConv2D

OBSERVATIONS = np.random.default_rng(0).integers(0, 256, (5, 84, 84, 4), np.uint8)
OBSERVATIONS[0], OBSERVATIONS[1] = 0, 255

# Mnih et al. 2015, Methods, "Model architecture"; flax's "SAME" rounds 84/4, 21/2 and 11/1 up.
SHAPES = {
    "valid": [(20, 20, 32), (9, 9, 64), (7, 7, 64), (3136,), (512,), (6,)],
    "same": [(21, 21, 32), (11, 11, 64), (11, 11, 64), (7744,), (512,), (6,)],
}


def make(seed=0, num_actions=6, **kwargs):
    tf.keras.utils.set_random_seed(seed)
    model = nature_network(num_actions, **kwargs)
    for weight in model.weights:  # also biases, which start at 0
        if weight.shape.rank == 1:
            weight.assign(tf.random.normal(weight.shape, stddev=0.05))
    return model


@pytest.mark.parametrize("padding", SHAPES)
def test_layers_have_the_published_shapes(padding):
    layers = nature_network(6, padding=padding).layers
    assert [layer.output_shape[1:] for layer in layers[-6:]] == SHAPES[padding]


@pytest.mark.parametrize(
    ("padding", "num_actions", "parameters"),
    [
        # 8*8*4*32 + 32, 4*4*32*64 + 64, 3*3*64*64 + 64, 3136*512 + 512, 512*A + A
        ("valid", 4, 8_224 + 32_832 + 36_928 + 1_606_144 + 2_052),
        ("valid", 6, 1_687_206),
        ("valid", 18, 1_693_362),
        ("same", 6, 8_224 + 32_832 + 36_928 + 3_965_440 + 3_078),  # 7744*512 + 512
    ],
)
def test_parameter_counts(padding, num_actions, parameters):
    assert nature_network(num_actions, padding=padding).count_params() == parameters


def test_the_nature_network_has_the_outputs_of_distributional_agents():
    assert nature_network(6, atoms=51).output_shape == (None, 6, 51)
    quantiles = nature_network(6, cosines=64)([OBSERVATIONS, np.full(8, 0.5, np.float32)])
    assert quantiles.shape == (5, 6, 8)


def test_weights_start_glorot_uniform_and_biases_at_0():
    for weight in nature_network(6).weights:
        if weight.shape.rank == 1:
            assert not np.any(weight)
            continue
        *receptive_field, fan_in, fan_out = weight.shape
        bound = np.sqrt(6 / (np.prod(receptive_field) * (fan_in + fan_out)))
        assert 0.95 * bound < np.max(np.abs(weight)) <= 1.0001 * bound
        np.testing.assert_allclose(np.std(weight), bound / np.sqrt(3), rtol=0.05)


def test_fan_in_uniform_is_dopamines():
    """variance_scaling(1 / sqrt(3), "fan_in", "uniform"), but for noisy layers."""
    for noisy_sigma in (None, 0.5):
        model = q_network(6, atoms=51, initializer="fan_in_uniform", noisy_sigma=noisy_sigma)
        for layer in model.layers:
            if hasattr(layer, "kernel"):
                is_noisy = isinstance(layer, NoisyDense)
                scale = 1 if is_noisy else np.sqrt(3)
                bound = np.sqrt(scale / np.prod(layer.kernel.shape[:-1]))
                assert 0.95 * bound < np.max(np.abs(layer.kernel)) <= 1.0001 * bound
                np.testing.assert_allclose(np.std(layer.kernel), bound / np.sqrt(3), rtol=0.05)
                assert is_noisy == np.any(layer.bias)


def convolution(x, kernel, bias, stride, padding):
    """Windows and tensor products, in float64."""
    size = len(kernel)
    if padding == "same":
        total = max(0, (-(-x.shape[1] // stride) - 1) * stride + size - x.shape[1])
        before_after = (total // 2, total - total // 2)
        x = np.pad(x, ((0, 0), before_after, before_after, (0, 0)))
    windows = sliding_window_view(x, (size, size), axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("byxcij,ijco->byxo", windows, kernel.astype(float), optimize=True) + bias


def numpy_nature(weights, observations, padding):
    """The network in float64."""
    x = observations / 255
    for layer, stride in enumerate((4, 2, 1)):
        x = np.maximum(convolution(x, *weights[2 * layer : 2 * layer + 2], stride, padding), 0)
    kernel, bias, head_kernel, head_bias = (w.astype(np.float64) for w in weights[6:])
    hidden = np.maximum(x.reshape(len(x), -1) @ kernel + bias, 0)
    return hidden @ head_kernel + head_bias


@pytest.mark.parametrize("padding", SHAPES)
def test_q_values_are_numpys(padding):
    model = make(padding=padding, precision="float32")
    q_values = model(OBSERVATIONS)
    expected = numpy_nature(model.get_weights(), OBSERVATIONS, padding)
    np.testing.assert_allclose(q_values, expected, rtol=1e-4, atol=1e-5)
    assert np.std(expected) > 1e-2


def test_bfloat16_computes_nearly_the_same_and_keeps_float32_outside():
    exact, rounded = make(precision="float32"), make(precision="mixed_bfloat16")
    assert {layer.compute_dtype for layer in rounded.layers[1:-1]} == {"bfloat16"}
    assert {weight.dtype for weight in rounded.weights} == {tf.float32}
    q_exact, q_rounded = exact(OBSERVATIONS), rounded(OBSERVATIONS)
    assert q_exact.dtype == q_rounded.dtype == tf.float32
    # 8 bits of significand, five layers deep.
    np.testing.assert_allclose(q_rounded, q_exact, atol=0.02 * np.abs(q_exact).max())
    assert not np.array_equal(q_rounded, q_exact)


def test_auto_is_bfloat16_where_the_hardware_multiplies_it():
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        has_bfloat16 = details["compute_capability"][0] >= 8
    else:
        flags = Path("/proc/cpuinfo").read_text().split()
        has_bfloat16 = not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags)
    expected = "mixed_bfloat16" if has_bfloat16 else "float32"
    assert precision_policy("auto").name == expected
    hidden = nature_network(6).layers[-2]
    assert hidden.compute_dtype == expected.removeprefix("mixed_")


@pytest.mark.parametrize(
    ("kwargs", "line"),
    [
        (
            {"precision": "float16"},
            "nature_network.precision must be 'auto' or 'float32' or 'mixed_bfloat16', "
            "got 'float16'",
        ),
        (
            {"padding": "SAME"},
            "nature_network.padding must be 'valid' or 'same' or None, got 'SAME'",
        ),
    ],
)
def test_a_wrong_value_is_named(kwargs, line):
    with pytest.raises(UserError) as error:
        nature_network(6, **kwargs)
    assert str(error.value).splitlines()[0] == line


def pixels(image, policy):
    """An encoder that shows 3 x 3 pixels."""
    return image[:, 40:43, 30:33, :1]


FEATURES = OBSERVATIONS[:, 40:43, 30:33, 0].reshape(5, 9) / 255
TAU = np.random.default_rng(1).uniform(size=7).astype(np.float32)


def dense_weights(model):
    """(kernel, bias) of the dense layers in the order of their making, in float64."""
    layers = [layer for layer in model.layers if isinstance(layer, tf.keras.layers.Dense)]
    layers.sort(key=lambda layer: int("0" + "".join(filter(str.isdigit, layer.name))))
    return [tuple(w.numpy().astype(float) for w in (x.kernel, x.bias)) for x in layers]


def numpy_head(weights, dueling, atoms, cosines):
    """`q_network` on FEATURES, from the papers' equations."""
    weights, x = iter(weights), FEATURES

    def dense(x):
        kernel, bias = next(weights)
        return x @ kernel + bias

    def linear(x):
        y = dense(x)
        return y.reshape(len(y), -1, atoms) if atoms else y

    if cosines:
        angles = np.pi * np.arange(1, cosines + 1) * TAU[:, None].astype(float)
        x = x[:, None] * np.maximum(dense(np.cos(angles)), 0)
    y = np.maximum(dense(x), 0)
    if dueling == "none":
        outputs = linear(y)
    else:
        value = linear(y)
        advantage = linear(y if dueling == "shared" else np.maximum(dense(x), 0))
        outputs = value + advantage - advantage.mean(axis=1 if atoms else -1, keepdims=True)
    assert not list(weights)
    return np.swapaxes(outputs, 1, 2) if cosines else outputs


@pytest.mark.parametrize("dueling", ["none", "streams", "shared"])
@pytest.mark.parametrize("outputs", [{}, {"atoms": 3}, {"cosines": 4}])
@pytest.mark.parametrize("noisy_sigma", [None, 0.5])
def test_heads_are_numpys(dueling, outputs, noisy_sigma):
    tf.keras.utils.set_random_seed(0)
    tf.keras.backend.clear_session()  # layers are counted from 0 again
    model = q_network(
        6,
        **outputs,
        encoder=pixels,
        hidden_units=16,
        dueling=dueling,
        noisy_sigma=noisy_sigma,
        precision="float32",
    )
    for weight in model.weights:
        weight.assign_add(tf.random.normal(weight.shape, stddev=0.1))
    inputs = [OBSERVATIONS, TAU] if "cosines" in outputs else OBSERVATIONS
    weights = dense_weights(model)
    expected = numpy_head(weights, dueling, outputs.get("atoms"), outputs.get("cosines"))
    np.testing.assert_allclose(model(inputs), expected, rtol=1e-4, atol=1e-5)
    assert model(inputs).dtype == tf.float32
    noisy = [layer for layer in model.layers if isinstance(layer, NoisyDense)]
    # All but the embedding of quantile fractions.
    assert len(noisy) == (len(weights) - ("cosines" in outputs) if noisy_sigma else 0)
    differ = not np.array_equal(model(inputs, training=True), model(inputs, training=True))
    assert differ == bool(noisy)


def test_augmented_images_are_not_cut_to_whole_numbers():
    model = q_network(6, encoder=pixels, hidden_units=16, precision="float32")
    brighter, whole = model(OBSERVATIONS + np.float32(0.9)), model(OBSERVATIONS)
    assert np.min(np.max(np.abs(brighter - whole), axis=1)) > 0


def encode(encoder, x, precision="float32", **kwargs):
    image = tf.keras.Input(x.shape[1:], dtype=tf.float32)
    model = tf.keras.Model(image, encoder(image, precision_policy(precision), **kwargs))
    return model, model(x.astype(np.float32))


def numpy_normalized(x, gamma, beta):
    """Layer normalization over channels; Keras adds 0.001 to the variance."""
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return gamma * (x - mean) / np.sqrt(variance + 0.001) + beta


def numpy_encoder(weights, x, is_impala, layer_norm):
    """Either encoder in float64; takes the weights in the order in which they are used."""
    weights = iter(weights)

    def layer(x, stride, padding):
        x = convolution(x, next(weights), next(weights), stride, padding)
        return numpy_normalized(x, next(weights), next(weights)) if layer_norm else x

    def rectified(x):
        return np.maximum(x, 0)

    if not is_impala:
        for stride in (4, 2, 1):
            x = rectified(layer(x, stride, "valid"))
        return x
    for _ in range(3):
        x = layer(x, 1, "same")
        # 3 x 3 maxima at every second place; an even side is padded at its end alone.
        padded = np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=-np.inf)
        x = sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::2, ::2].max(axis=(-2, -1))
        for _ in range(2):
            y = layer(rectified(x), 1, "same")
            x = x + layer(rectified(y), 1, "same")
    return rectified(x)


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize(
    ("encoder", "side", "kwargs"),
    [(nature_encoder, 44, {}), (impala_encoder, 16, {"width": 0.125})],
)
def test_encoders_are_numpys(encoder, side, kwargs, layer_norm):
    tf.keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).uniform(size=(3, side, side, 4))
    model, _ = encode(encoder, x, layer_norm=layer_norm, **kwargs)
    for weight in model.weights:
        weight.assign_add(tf.random.normal(weight.shape, stddev=0.1))
    expected = numpy_encoder(model.get_weights(), x, encoder is impala_encoder, layer_norm)
    np.testing.assert_allclose(model(x.astype(np.float32)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("kwargs", "shape", "parameters"),
    [
        # Espeholt et al. 2018, figure 3: 592 + 4 * 2,320 + 4,640 + 5 * 9,248 + 4 * 9,248
        ({}, (11, 11, 32), 97_744),
        # 1,184 + 4 * 9,248 + 18,496 + 5 * 36,928 + 4 * 36,928
        ({"width": 2.0, "max_pool_size": 8}, (8, 8, 64), 389_024),
    ],
)
def test_impala_has_the_published_shape(kwargs, shape, parameters):
    model, features = encode(impala_encoder, OBSERVATIONS[:1], **kwargs)
    assert features.shape[1:] == shape
    assert model.count_params() == parameters


@pytest.mark.parametrize(("encoder", "convolutions"), [(nature_encoder, 3), (impala_encoder, 12)])
def test_spectral_norm_is_where_it_is_said_to_be(encoder, convolutions):
    model, features = encode(encoder, OBSERVATIONS[:1], "mixed_bfloat16", spectral_norm=True)
    normalized = [layer for layer in model.layers if isinstance(layer, SpectralConv2D)]
    assert len(normalized) == convolutions
    assert features.dtype == tf.bfloat16
    assert {layer.u.dtype for layer in normalized} == {tf.float32}


@pytest.mark.parametrize(
    ("make", "kwargs", "line"),
    [
        (q_network, {"dueling": "both"}, "q_network.dueling must be 'none' or 'streams' or"),
        (q_network, {"noisy_sigma": 0.0}, "q_network.noisy_sigma must be above 0, or None"),
        (q_network, {"hidden_units": 0}, "q_network.hidden_units must be at least 1"),
        (impala_encoder, {"width": 0.0}, "impala_encoder.width must be above 0"),
        (impala_encoder, {"max_pool_size": 12}, "impala_encoder.max_pool_size must be between 1"),
    ],
)
def test_a_wrong_value_of_a_part_is_named(make, kwargs, line):
    arguments = (6,) if make is q_network else (None, None)
    with pytest.raises(UserError) as error:
        make(*arguments, **kwargs)
    assert str(error.value).startswith(line)
