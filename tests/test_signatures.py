"""Bytes and raw frames give what the observations give that ALE makes of them."""

import numpy as np
import pytest
import tensorflow as tf

from agents.environments import AtariEnvironment
from agents.serving import examples, golden
from agents.serving.signatures import preprocess


@pytest.mark.parametrize(
    ("game", "screen_shape", "frameskip"),
    [
        ("space_invaders", (210, 160), 4),
        ("freeway", (210, 160), 1),
        ("ms_pacman", (210, 160), 2),
        ("carnival", (214, 160), 4),
    ],
)
def test_preprocessing_is_ales(game, screen_shape, frameskip):
    env = AtariEnvironment(
        game, seed=3, num_threads=1, repeat_action_probability=0.0, frameskip=frameskip
    )
    actions = examples.random_actions(env.num_actions, 24)
    observations = examples.observations(env, actions)
    frames = examples.frames(game, actions, env.frameskip, seed=3)
    assert frames.shape == (25, 4, 2, *screen_shape, 3)
    assert (frames[0, :3] == 0).all()
    assert (frames[24, 0] != frames[24, 3]).any()
    difference = np.abs(preprocess(tf.constant(frames)).numpy().astype(int) - observations)
    assert difference.max() <= 1
    assert np.count_nonzero(difference) < difference.size / 1000


def test_each_signature_gives_the_golden_answers(exported):
    signatures = tf.saved_model.load(str(exported)).signatures
    for case in golden.cases(exported):
        inputs = {key: tf.constant(value) for key, value in case.inputs.items()}
        outputs = {key: x.numpy() for key, x in signatures[case.signature](**inputs).items()}
        assert case.check(outputs) <= 1e-5


def test_another_answer_is_not_golden(exported):
    case = next(golden.cases(exported))
    right = {"action": case.action, "q_values": case.q_values}
    case.check(right)
    for wrong in (
        {"action": (case.action + 1) % 6},
        {"q_values": case.q_values * (1 + 3e-5)},
        {"q_values": case.q_values * np.nan},
        {"q_values": case.q_values[:1]},
        {"action": case.action[:1]},
    ):
        with pytest.raises(ValueError, match="serving_default: "):
            case.check(right | wrong)


@pytest.mark.parametrize(
    "rows", [[bytes(2 * 28_224)], [bytes(28_223)], [bytes(28_224), b""], [bytes(14_112)] * 2]
)
def test_bytes_of_another_length_are_an_error_in_the_graph(exported, rows):
    policy = tf.saved_model.load(str(exported)).signatures["serving_bytes"]
    with pytest.raises(tf.errors.InvalidArgumentError):
        policy(observation_bytes=tf.constant(rows))
