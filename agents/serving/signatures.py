"""Signatures: an agent goes in, the functions that a server calls come out.

    serving_default: observation uint8 [B, 84, 84, 4]
    serving_bytes: observation_bytes string [B], each the 28,224 bytes of an observation, in C order
    frames: frames uint8 [B, 4, 2, height, width, 3], the emulator's screens in RGB: of the last
        four agent steps, oldest first, each step's last two; black before the game
    -> action int64 [B], q_values float32 [B, num_actions]; B is free

A wrong shape is an error in the graph itself (InvalidArgument), whatever server runs it.
"""

from collections.abc import Callable

import tensorflow as tf

from agents.algorithms.dqn import DQN
from agents.networks import OBSERVATION_SHAPE

FRAMES_PER_STEP = 2  # of an agent step's frames, the last two, whose maximum is observed
DEFAULT = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY
BYTES = "serving_bytes"
FRAMES = "frames"

_HEIGHT, _WIDTH, _STACK = OBSERVATION_SHAPE
_GRAY = (0.299, 0.587, 0.114)  # of red, green, blue: ITU-R BT.601, as ALE's palettes are made


def signatures(agent: DQN, screen_shape: tuple[int, int]) -> dict[str, Callable]:
    """The functions, `tf.function`s, by their names.

    Args:
      agent: its `q_values` are called.
      screen_shape: height and width of the game's screen.
    """

    def policy(observation: tf.Tensor) -> dict[str, tf.Tensor]:
        q_values = agent.q_values(observation)
        return {"action": tf.argmax(q_values, axis=-1), "q_values": q_values}

    @tf.function(
        input_signature=[tf.TensorSpec((None, *OBSERVATION_SHAPE), tf.uint8, "observation")]
    )
    def default(observation: tf.Tensor) -> dict[str, tf.Tensor]:
        return policy(tf.ensure_shape(observation, (None, *OBSERVATION_SHAPE)))

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "observation_bytes")])
    def from_bytes(observation_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        flat = tf.io.decode_raw(tf.ensure_shape(observation_bytes, (None,)), tf.uint8)
        # The number of rows is named, or one string of twice the length would count as two.
        shape = (tf.shape(observation_bytes)[0], *OBSERVATION_SHAPE)
        return policy(tf.reshape(flat, shape))

    frames_shape = (None, _STACK, FRAMES_PER_STEP, *screen_shape, 3)

    @tf.function(input_signature=[tf.TensorSpec(frames_shape, tf.uint8, "frames")])
    def from_frames(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        return policy(preprocess(tf.ensure_shape(frames, frames_shape)))

    return {DEFAULT: default, BYTES: from_bytes, FRAMES: from_frames}


def preprocess(frames: tf.Tensor) -> tf.Tensor:
    """ALE's preprocessing: grayscale, maximum of two frames, area resizing, stack.

    Args:
      frames: uint8 [B, 4, 2, height, width, 3].

    Returns:
      uint8 [B, 84, 84, 4]; a pixel in some thousands differs from ALE's by one, where the area's
      mean lies between two integers. Air Raid's grayscale in ALE is not made of its colours.
    """
    gray = tf.round(tf.reduce_sum(tf.cast(frames, tf.float32) * _GRAY, axis=-1))
    stack = tf.transpose(tf.reduce_max(gray, axis=2), (0, 2, 3, 1))
    resized = tf.image.resize(stack, (_HEIGHT, _WIDTH), method="area")
    return tf.cast(tf.round(resized), tf.uint8)
