"""The film of a game is the game's own screen, and what stands beside it is what the agent had."""

import numpy as np
import pytest
import tensorflow as tf

from agents import configuration
from agents.algorithms.dqn import DQN
from agents.evaluation import Evaluator
from agents.reporting.film import film
from tests.tiny_dqn import tiny_network

YELLOW = (240, 200, 60)


@pytest.fixture(scope="module")
def agent():
    tf.keras.utils.set_random_seed(0)
    return DQN(6, network=tiny_network, optimizer=lambda: tf.keras.optimizers.legacy.SGD(0.1))


@pytest.fixture(scope="module")
def evaluator(agent):
    configuration.load([], ["AtariEnvironment.game = 'space_invaders'"])
    yield Evaluator(agent, episodes=2, epsilon=0.5, max_frames_per_episode=200, seed=3)
    configuration.load([])


@pytest.fixture(scope="module")
def evaluation(evaluator):
    return evaluator.run()


@pytest.fixture(scope="module")
def plain(evaluation, evaluator):
    return list(film(evaluation, evaluator, 1, scale=2))


def test_it_shows_every_frame_of_the_emulator_enlarged(evaluation, evaluator, plain):
    screens = evaluator.environment(1, 1).screens(3 + 1, evaluation.actions[1])
    frames = np.concatenate(list(screens))
    assert len(plain) == len(frames) == 1 + 4 * len(evaluation.actions[1])
    for shown, frame in zip(plain, frames, strict=True):
        assert shown.shape == (420, 320, 3)
        np.testing.assert_array_equal(shown[::2, ::2], frame)
        np.testing.assert_array_equal(shown[1::2, 1::2], frame)


def test_another_game_is_another_film(evaluation, evaluator, plain):
    other = film(evaluation, evaluator, 0, scale=2)
    assert any((one != another).any() for one, another in zip(other, plain, strict=False))


def test_the_overlay_shows_what_the_action_was_chosen_by(evaluation, evaluator, plain, agent):
    env = evaluator.environment(1, 1)
    observation = env.reset().observation
    actions = evaluation.actions[1]
    frames = list(film(evaluation, evaluator, 1, scale=2, caption="here", overlay=agent))
    assert {frame.shape for frame in frames} == {(440, 320 + 376, 3)}
    np.testing.assert_array_equal(frames[9][20:, :320], plain[9])
    bars, widths, q_values = np.zeros(len(actions), int), [], []
    for step, action in enumerate(actions):
        for frame in frames[1 + 4 * step : 5 + 4 * step]:
            for i in range(4):  # the stack
                left = 320 + 8 + i * (84 + 8)
                seen = frame[20 : 20 + 84, left : left + 84]
                np.testing.assert_array_equal(
                    seen, observation[0, :, :, [i] * 3].transpose(1, 2, 0)
                )
        is_yellow = (frames[1 + 4 * step][:, 320:] == YELLOW).all(axis=-1)
        rows = np.flatnonzero(is_yellow.any(axis=1))
        bars[step] = (rows[0] - (2 * 16 + 84 + 8)) // 16
        widths.append(is_yellow[rows[0]].sum())
        q_values.append(agent.q_values(tf.constant(observation)).numpy()[0, action])
        observation = env.step(action[None]).observation
    np.testing.assert_array_equal(bars, actions)
    order = np.argsort(q_values)
    assert (np.diff(np.array(widths)[order]) >= 0).all(), "a larger Q-value has a longer bar"
    assert len(set(widths)) > 3


def test_a_game_that_comes_out_otherwise_is_an_error(evaluation, evaluator):
    evaluation.scores[0] += 5
    with pytest.raises(RuntimeError, match="did not repeat itself"):
        list(film(evaluation, evaluator, 0, scale=1))
    evaluation.scores[0] -= 5
