"""The Q-network: an encoder and a head. Observations go in, values per action come out.

In:  observation uint8 or float [B, 84, 84, 4], 0 to 255.
Out: float32, also under mixed precision, [B, num_actions] values, or [B, num_actions, N] where an
     agent asks for distributions.
"""

import math
from collections.abc import Callable
from typing import Literal

import tensorflow as tf

from agents.configuration import configurable
from agents.errors import require
from agents.networks.encoders import nature_encoder
from agents.networks.layers import NoisyDense
from agents.networks.precision import Precision, precision_policy

OBSERVATION_SHAPE = (84, 84, 4)

layers = tf.keras.layers


@configurable
def q_network(
    num_actions: int,
    *,
    atoms: int | None = None,
    cosines: int | None = None,
    encoder: Callable[..., tf.Tensor] = nature_encoder,
    hidden_units: int = 512,
    dueling: Literal["none", "streams", "shared"] = "none",
    noisy_sigma: float | None = None,
    initializer: Literal["glorot_uniform", "fan_in_uniform"] = "glorot_uniform",
    precision: Precision = "auto",
) -> tf.keras.Model:
    """Makes a network of an encoder, a hidden layer and a linear layer.

    Args:
      num_actions: of the game.
      atoms: the agent's; numbers per action: outputs are [B, num_actions, atoms].
      cosines: the agent's; makes an implicit quantile network (Dabney et al. 2018, eq. 4, with the
        cosines 1 to n of Dopamine for 0 to n - 1), whose second input tau float32 [N] are quantile
        fractions and whose outputs are the quantiles [B, num_actions, N].
      encoder: `encoder(image, policy)`, see `agents.networks.encoders`.
      hidden_units: of a hidden layer.
      dueling: "streams" adds value and advantage, the advantages' mean taken off, from a hidden
        layer each (Wang et al. 2016, eq. 9); "shared" from one hidden layer, as Dopamine's full
        Rainbow; "none" has neither.
      noisy_sigma: the sigma_0 of noisy dense layers (Fortunato et al. 2018) in the head; None
        makes plain ones.
      initializer: of the kernels; "fan_in_uniform", that of Dopamine's distributional networks,
        has a variance of 1 / (sqrt(3) inputs). Noisy layers start as published, other biases at 0.
      precision: of the arithmetic. Weights and outputs are float32 in all of them.

    Returns:
      A Keras model. Noise is on where it is called with `training=True`.

    Raises:
      UserError: a value out of range.
    """
    require("q_network.hidden_units", hidden_units, hidden_units >= 1, "at least 1")
    sigma = noisy_sigma
    require("q_network.noisy_sigma", sigma, sigma is None or sigma > 0, "above 0, or None")
    policy = precision_policy(precision)

    def dense(x: tf.Tensor, units: int, activation: str | None, dtype) -> tf.Tensor:
        if sigma is not None:
            return NoisyDense(units, sigma, activation=activation, dtype=dtype)(x)
        return layers.Dense(units, activation=activation, dtype=dtype)(x)

    def hidden(x: tf.Tensor) -> tf.Tensor:
        return dense(x, hidden_units, "relu", policy)

    def linear(x: tf.Tensor, rows: int) -> tf.Tensor:
        y = dense(x, rows * (atoms or 1), None, tf.float32)
        return layers.Reshape((rows, atoms), dtype=tf.float32)(y) if atoms else y

    # Of the compute dtype: Keras casts what it is given to it, and augmented images are no uint8.
    observation = layers.Input(OBSERVATION_SHAPE, dtype=policy.compute_dtype, name="observation")
    inputs = [observation]
    x = encoder(layers.Rescaling(1 / 255, dtype=policy)(observation), policy)
    x = layers.Flatten(dtype=policy)(x)
    if cosines:
        tau = layers.Input((), dtype=tf.float32, name="tau")
        inputs.append(tau)
        features = x.shape[-1]
        angles = math.pi * tf.range(1.0, cosines + 1) * tau[:, None]
        embedding = layers.Dense(features, activation="relu", dtype=policy)(tf.cos(angles))
        # An observation at a fraction is a row, [B * N, ...], from here to the outputs: TensorFlow
        # fuses the bias and the rectifier of a dense layer into its product only where that has two
        # dimensions.
        x = tf.reshape(x[:, None] * embedding, (-1, features))
    y = hidden(x)
    if dueling == "none":
        outputs = linear(y, num_actions)
    else:
        value = linear(y, 1)
        advantage = linear(y if dueling == "shared" else hidden(x), num_actions)
        mean = tf.reduce_mean(advantage, axis=-2 if atoms else -1, keepdims=True)
        outputs = value + advantage - mean
    if cosines:
        outputs = tf.reshape(outputs, (-1, tf.shape(tau)[0], num_actions))
        outputs = layers.Permute((2, 1), dtype=tf.float32)(outputs)
    model = tf.keras.Model(inputs if cosines else observation, outputs)
    if initializer == "fan_in_uniform":
        _start_fan_in_uniform(model)
    return model


def _start_fan_in_uniform(model: tf.keras.Model) -> None:
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D | layers.Dense) and not isinstance(layer, NoisyDense):
            draw = tf.keras.initializers.VarianceScaling(1 / math.sqrt(3), "fan_in", "uniform")
            layer.kernel.assign(draw(layer.kernel.shape))


@configurable
def nature_network(
    num_actions: int,
    *,
    atoms: int | None = None,
    cosines: int | None = None,
    padding: Literal["valid", "same"] | None = None,
    precision: Precision = "auto",
) -> tf.keras.Model:
    """`q_network`, as it is bound, with `nature_encoder`: what runs from before it name.

    Args:
      num_actions: of the game.
      atoms: as `q_network`'s.
      cosines: as `q_network`'s.
      padding: of the convolutions; flattened they have 3136 ("valid") or 7744 ("same") features.
        None leaves the encoder's.
      precision: of the arithmetic.

    Returns:
      A Keras model, as `q_network`.
    """

    def encoder(image: tf.Tensor, policy: tf.keras.mixed_precision.Policy) -> tf.Tensor:
        if padding is None:
            return nature_encoder(image, policy)
        return nature_encoder(image, policy, padding=padding)

    return q_network(
        num_actions, atoms=atoms, cosines=cosines, encoder=encoder, precision=precision
    )
