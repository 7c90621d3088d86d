"""In: the name of a precision. Out: the Keras policy in which a network's layers compute."""

from typing import Literal

import tensorflow as tf

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
