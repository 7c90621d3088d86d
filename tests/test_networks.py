"""In: the Nature network. Out: its published shapes, and the Q-values that NumPy computes."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from numpy.lib.stride_tricks import sliding_window_view

from agents.errors import UserError
from agents.networks import nature_network, precision_policy

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


def test_weights_start_glorot_uniform_and_biases_at_0():
    for weight in nature_network(6).weights:
        if weight.shape.rank == 1:
            assert not np.any(weight)
            continue
        *receptive_field, fan_in, fan_out = weight.shape
        bound = np.sqrt(6 / (np.prod(receptive_field) * (fan_in + fan_out)))
        assert 0.95 * bound < np.max(np.abs(weight)) <= bound
        np.testing.assert_allclose(np.std(weight), bound / np.sqrt(3), rtol=0.05)


def numpy_nature(weights, observations, padding):
    """The network in float64: windows, tensor products and rectifiers."""
    x = observations / 255
    for layer, stride in enumerate((4, 2, 1)):
        kernel, bias = (w.astype(np.float64) for w in weights[2 * layer : 2 * layer + 2])
        size = len(kernel)
        if padding == "same":
            total = max(0, (-(-x.shape[1] // stride) - 1) * stride + size - x.shape[1])
            before_after = (total // 2, total - total // 2)
            x = np.pad(x, ((0, 0), before_after, before_after, (0, 0)))
        windows = sliding_window_view(x, (size, size), axis=(1, 2))[:, ::stride, ::stride]
        x = np.maximum(np.einsum("byxcij,ijco->byxo", windows, kernel, optimize=True) + bias, 0)
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
        ({"padding": "SAME"}, "nature_network.padding must be 'valid' or 'same', got 'SAME'"),
    ],
)
def test_a_wrong_value_is_named(kwargs, line):
    with pytest.raises(UserError) as error:
        nature_network(6, **kwargs)
    assert str(error.value).splitlines()[0] == line
