"""In: images whose every pixel tells its place. Out: shifts and intensities as published."""

import numpy as np
import pytest
import tensorflow as tf

from agents.algorithms.augmentation import shift_and_intensity
from agents.algorithms.dqn import DQN
from agents.errors import UserError
from agents.replay import to_transition
from tests.tiny_dqn import ENDINGS, make_agent, random_window

BATCH = 2_000
ROWS, COLUMNS = np.meshgrid(np.arange(12), np.arange(9), indexing="ij")
IMAGE = np.stack([ROWS, COLUMNS], axis=-1).astype(np.uint8) + 100


def test_shifts_repeat_the_border_and_are_uniform_and_independent():
    images = np.tile(IMAGE, (BATCH, 1, 1, 1))
    out = shift_and_intensity(images, max_shift_pixels=2, intensity_sd=0.0).numpy()
    assert (out.dtype, out.shape) == (np.float32, images.shape)
    shifts = out[:, 5, 5].astype(int) - IMAGE[5, 5]
    padded = np.pad(IMAGE, ((2, 2), (2, 2), (0, 0)), "edge")
    for image, (y, x) in zip(out, shifts, strict=True):
        np.testing.assert_array_equal(image, padded[2 + y : 14 + y, 2 + x : 11 + x])
    counts = np.histogram2d(*shifts.T, bins=4, range=((-2.5, 1.5), (-2.5, 1.5)))[0]
    assert counts.sum() == BATCH, "the published code never shifts by the full width downwards"
    assert np.all(np.abs(counts - BATCH / 16) < 5 * np.sqrt(BATCH / 16))


def test_intensities_are_clipped_normal_and_one_per_image():
    images = np.full((BATCH, 4, 4, 2), 200, np.uint8)
    scale = shift_and_intensity(images, intensity_sd=0.05).numpy() / 200
    assert np.all(scale == scale[:, :1, :1, :1])
    noise = (scale[:, 0, 0, 0] - 1) / 0.05
    assert -2.0001 < noise.min() < -1.999
    assert 1.999 < noise.max() < 2.0001
    assert abs(noise.mean()) < 5 / np.sqrt(BATCH)
    # A normal variable clipped at 2 has a variance of 0.9205.
    assert abs(noise.var() - 0.9205) < 5 * np.sqrt(2 / BATCH)


def test_an_update_augments_both_observations_each_on_its_own():
    seen = []

    def augmentation(images):
        seen.append(images.numpy())
        return tf.zeros_like(images) + len(seen)

    agent = make_agent(DQN, augmentation=augmentation)
    seen.clear()  # an agent tries its augmentation when it is made
    window = random_window(np.random.default_rng(0), ENDINGS[1])
    transition = to_transition(window, 0.99, 1.0)
    info = agent._train(transition, None)  # eagerly, so that the images can be looked at
    np.testing.assert_array_equal(seen[0], transition.time_step.observation)
    np.testing.assert_array_equal(seen[1], transition.next_time_step.observation)
    agent = make_agent(DQN)
    first, second = (tf.fill((len(window.frames), 84, 84, 4), np.uint8(i)) for i in (1, 2))
    by_hand = agent.loss(
        transition._replace(
            time_step=transition.time_step._replace(observation=first),
            next_time_step=transition.next_time_step._replace(observation=second),
        )
    )
    np.testing.assert_allclose(info.loss, by_hand.loss, rtol=1e-5)


@pytest.mark.parametrize("kwargs", [{"max_shift_pixels": 0}, {"intensity_sd": -1.0}])
def test_a_value_out_of_range_is_named(kwargs):
    ((name, value),) = kwargs.items()
    with pytest.raises(UserError, match=rf"shift_and_intensity.{name} must be .*, got {value}"):
        shift_and_intensity(np.zeros((1, 4, 4, 1), np.uint8), **kwargs)
