"""Encoders: scaled images go in, feature maps come out.

In:  [B, 84, 84, 4], a tensor of Keras' functional API, and the policy of the layers.
Out: [B, H, W, C] in the policy's compute dtype, after a rectifier.

Both take `spectral_norm` and `layer_norm`. Spectral normalization sets the largest singular value
of convolutions to 1 (Miyato et al. 2018; for Q-networks Gogianu et al. 2021). Layer normalization
is over the channels of each position, after every convolution (Ba et al. 2016; as in PQN, Gallici
et al. 2024).
"""

from typing import Literal

import tensorflow as tf

from agents.configuration import configurable
from agents.errors import require
from agents.networks.layers import AdaptiveMaxPool2D, SpectralConv2D

layers = tf.keras.layers


@configurable
def nature_encoder(
    image: tf.Tensor,
    policy: tf.keras.mixed_precision.Policy,
    *,
    padding: Literal["valid", "same"] = "valid",
    spectral_norm: bool = False,
    layer_norm: bool = False,
) -> tf.Tensor:
    """The three convolutions of Mnih et al. 2015, "Human-level control through deep RL".

    Args:
      image: to encode.
      policy: of the layers.
      padding: the paper's "valid" gives [B, 7, 7, 64]; Dopamine's JAX agents use "same", which
        gives [B, 11, 11, 64].
      spectral_norm: normalizes all three convolutions.
      layer_norm: normalizes what comes out of them.
    """
    kind = SpectralConv2D if spectral_norm else layers.Conv2D
    x = image
    for filters, kernel_size, strides in ((32, 8, 4), (64, 4, 2), (64, 3, 1)):
        activation = None if layer_norm else "relu"
        x = kind(
            filters, kernel_size, strides, padding=padding, activation=activation, dtype=policy
        )(x)
        if layer_norm:
            x = layers.ReLU(dtype=policy)(layers.LayerNormalization(dtype=policy)(x))
    return x


@configurable
def impala_encoder(
    image: tf.Tensor,
    policy: tf.keras.mixed_precision.Policy,
    *,
    width: float = 1.0,
    max_pool_size: int | None = None,
    spectral_norm: bool = False,
    layer_norm: bool = False,
) -> tf.Tensor:
    """The deep residual network of IMPALA (Espeholt et al. 2018, figure 3).

    Args:
      image: to encode.
      policy: of the layers.
      width: multiplies the 16, 32 and 32 channels of the three stages.
      max_pool_size: pools the maps, of 11 x 11, to this height and width; None leaves them.
      spectral_norm: normalizes the convolutions within the residual blocks, as the authors of Fast
        Rainbow (Schmidt and Schmied 2021) do.
      layer_norm: normalizes what comes out of every convolution.

    Raises:
      UserError: a value out of range.
    """
    require("impala_encoder.width", width, width > 0, "above 0")
    size = max_pool_size
    holds = size is None or 1 <= size <= 11
    require("impala_encoder.max_pool_size", size, holds, "between 1 and 11, or None")

    def convolution(x: tf.Tensor, channels: int, kind: type = layers.Conv2D) -> tf.Tensor:
        x = kind(channels, 3, padding="same", dtype=policy)(x)
        return layers.LayerNormalization(dtype=policy)(x) if layer_norm else x

    def rectified(x: tf.Tensor) -> tf.Tensor:
        return layers.ReLU(dtype=policy)(x)

    residual = SpectralConv2D if spectral_norm else layers.Conv2D
    x = image
    for base in (16, 32, 32):
        channels = max(1, round(base * width))
        x = convolution(x, channels)
        x = layers.MaxPool2D(3, 2, padding="same", dtype=policy)(x)
        for _ in range(2):
            y = convolution(rectified(x), channels, residual)
            y = convolution(rectified(y), channels, residual)
            x = layers.Add(dtype=policy)([x, y])
    x = rectified(x)
    return x if size is None else AdaptiveMaxPool2D(size, dtype=policy)(x)
