"""Image augmentation: observations go in, shifted and dimmed ones of the same shape come out."""

import tensorflow as tf

from agents.configuration import configurable
from agents.errors import require


@configurable
def shift_and_intensity(
    images: tf.Tensor, *, max_shift_pixels: int = 4, intensity_sd: float = 0.05
) -> tf.Tensor:
    """The augmentation of DrQ (Kostrikov et al. 2021) and SPR (Schwarzer et al. 2021) on Atari.

    Each image is moved by an offset of its own, the border repeated, and multiplied by
    1 + intensity_sd * clip(N(0, 1), -2, 2). Offsets are those of Dopamine's published code, from
    -max_shift_pixels to max_shift_pixels - 1.

    Args:
      images: [B, H, W, C], of any type.
      max_shift_pixels: at least 1.
      intensity_sd: at least 0.

    Returns:
      float32 [B, H, W, C].

    Raises:
      UserError: a value out of range.
    """
    shift, sd = max_shift_pixels, intensity_sd
    require("shift_and_intensity.max_shift_pixels", shift, shift >= 1, "at least 1")
    require("shift_and_intensity.intensity_sd", sd, sd >= 0, "at least 0")
    shape, batch_size = images.shape, tf.shape(images)[0]
    for axis in (1, 2):
        size = tf.shape(images)[axis]
        offset = tf.random.uniform(tf.stack([batch_size, 1]), -shift, shift, tf.int32)
        # Reading beyond the border gives the border.
        index = tf.clip_by_value(offset + tf.range(size), 0, size - 1)
        images = tf.gather(images, index, axis=axis, batch_dims=1)
    noise = tf.clip_by_value(tf.random.normal(tf.stack([batch_size, 1, 1, 1])), -2.0, 2.0)
    return tf.ensure_shape(tf.cast(images, tf.float32) * (1 + sd * noise), shape)
