"""Keras Q-networks: stacked observations go in, one Q-value per action comes out.

In:  observation uint8 [B, 84, 84, 4].
Out: Q-values float32 [B, num_actions], also under mixed precision.
"""

from typing import Literal

import tensorflow as tf

from agents.configuration import configurable

OBSERVATION_SHAPE = (84, 84, 4)

Precision = Literal["auto", "float32", "mixed_bfloat16"]


def precision_policy(precision: str) -> tf.keras.mixed_precision.Policy:
    """The Keras policy of a precision.

    "auto" is mixed_bfloat16 where the device multiplies bfloat16 in hardware (a GPU of compute
    capability 8.0 or more, a CPU with avx512_bf16 or amx_bf16) and float32 elsewhere: without the
    hardware bfloat16 is emulated and slow.
    """
    if precision == "auto":
        precision = "mixed_bfloat16" if _has_bfloat16_hardware() else "float32"
    return tf.keras.mixed_precision.Policy(precision)


def _has_bfloat16_hardware() -> bool:
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        return details.get("compute_capability", (0, 0)) >= (8, 0)
    try:
        with open("/proc/cpuinfo") as cpuinfo:
            flags = next((line for line in cpuinfo if line.startswith("flags")), "").split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


@configurable
def nature_network(
    num_actions: int,
    *,
    padding: Literal["valid", "same"] = "valid",
    precision: Precision = "auto",
) -> tf.keras.Model:
    """The convolutional network of Mnih et al. 2015, "Human-level control through deep RL".

    Args:
      num_actions: outputs.
      padding: of the convolutions. The paper's "valid" flattens to 3136 features; Dopamine's JAX
        agents use "same", which flattens to 7744.
      precision: of the arithmetic. Weights and Q-values are float32 in all of them.

    Returns:
      A Keras model, uint8 [B, 84, 84, 4] to float32 [B, num_actions]. Weights are initialised
      Glorot-uniform, biases 0.
    """
    policy = precision_policy(precision)
    layers = tf.keras.layers
    observation = layers.Input(OBSERVATION_SHAPE, dtype=tf.uint8, name="observation")
    x = layers.Rescaling(1 / 255, dtype=policy)(observation)
    for filters, kernel_size, strides in ((32, 8, 4), (64, 4, 2), (64, 3, 1)):
        x = layers.Conv2D(
            filters, kernel_size, strides, padding=padding, activation="relu", dtype=policy
        )(x)
    x = layers.Flatten(dtype=policy)(x)
    x = layers.Dense(512, activation="relu", dtype=policy)(x)
    return tf.keras.Model(observation, layers.Dense(num_actions, dtype=tf.float32)(x))
