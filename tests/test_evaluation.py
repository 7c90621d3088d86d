"""In: an agent and real games. Out: the scores of whole games, one per environment."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.trajectories.time_step import StepType

from agents import configuration
from agents.algorithms.dqn import DQN
from agents.collection import EpsilonGreedy
from agents.environments import AtariEnvironment
from agents.errors import UserError
from agents.evaluation import Evaluation, Evaluator
from tests.tiny_dqn import tiny_network


@pytest.fixture
def bind():
    """Binds the environment's arguments, as a configuration does."""

    def bind(**arguments):
        bindings = [f"AtariEnvironment.{name} = {value!r}" for name, value in arguments.items()]
        configuration.load([], bindings)

    yield bind
    configuration.load([])


@pytest.fixture
def agent():
    tf.keras.utils.set_random_seed(0)
    return DQN(6, network=tiny_network, optimizer=lambda: tf.keras.optimizers.legacy.SGD(0.1))


def play_one_game_each(agent, episodes, epsilon, seed, **environment):
    """What an evaluation must give, from the time steps of whole games alone."""
    env = AtariEnvironment(num_envs=episodes, seed=seed, **environment)
    policy, rng = EpsilonGreedy(agent), np.random.default_rng(seed)
    time_step = env.reset()
    scores, steps, over = np.zeros(episodes), np.zeros(episodes), np.zeros(episodes, bool)
    newest, games = [], 0
    while not over.all():
        newest.append(time_step.observation[0, :, :, -1])
        time_step = env.step(policy.action(time_step.observation, epsilon, rng))
        scores += time_step.reward * ~over
        steps += ~over
        over |= time_step.step_type == StepType.LAST
        games += np.count_nonzero(time_step.step_type == StepType.LAST)
    return scores, steps, newest, games


@pytest.mark.parametrize(("epsilon", "cap"), [(1.0, 1600), (0.3, 400)])
def test_scores_are_the_first_game_of_every_environment(bind, agent, epsilon, cap):
    bind(game="space_invaders")
    evaluation = Evaluator(
        agent, episodes=3, epsilon=epsilon, max_frames_per_episode=cap, seed=4, film_agent_steps=60
    ).run()
    scores, steps, newest, _ = play_one_game_each(
        agent, 3, epsilon, 4, game="space_invaders", max_frames_per_episode=cap
    )
    assert evaluation.game == "space_invaders"
    np.testing.assert_array_equal(evaluation.scores, scores)
    np.testing.assert_array_equal(np.ceil(evaluation.frames / 4), steps)
    assert evaluation.frames.max() == cap
    # Under the longer cap some games end by themselves.
    assert (evaluation.frames.min() < cap) == (cap == 1600)
    np.testing.assert_array_equal(evaluation.film, newest[:60])
    assert evaluation.film.dtype == np.uint8


def test_games_side_by_side_or_after_each_other_are_the_same(bind, agent):
    bind(game="space_invaders")

    def run(num_envs):
        calls = []
        evaluator = Evaluator(
            agent, episodes=3, num_envs=num_envs, epsilon=0.0, max_frames_per_episode=1600, seed=4
        )
        return evaluator.run(lambda *call: calls.append(call)), calls

    (together, _), (apart, calls) = run(3), run(2)
    np.testing.assert_array_equal(together.scores, apart.scores)
    np.testing.assert_array_equal(together.frames, apart.frames)
    np.testing.assert_array_equal(together.film, apart.film)
    for one, other in zip(together.actions, apart.actions, strict=True):
        np.testing.assert_array_equal(one, other)
    assert calls[0] == (0, 1)
    assert [games for games, _ in calls] == sorted(games for games, _ in calls)
    assert calls[-1] == (3, len(apart.actions[2]))


def test_a_game_comes_again_from_its_seed_and_actions(bind, agent):
    bind(game="space_invaders", noop_max=30, terminal_on_life_loss=True)
    evaluation = Evaluator(
        agent, episodes=2, epsilon=0.9, max_frames_per_episode=1600, seed=5
    ).run()
    for i, (score, frames, actions) in enumerate(
        zip(evaluation.scores, evaluation.frames, evaluation.actions, strict=True)
    ):
        env = AtariEnvironment("space_invaders", seed=5 + i, noop_max=30)
        env.reset()
        for action in actions:
            assert not env.get_info()["game_over"][0]
            env.step(np.array([action]))
        assert env.get_info()["score"][0] == score
        assert env.get_info()["episode_frames"][0] == frames


def test_equal_seeds_play_equal_games(bind, agent):
    bind(game="space_invaders")

    def evaluator(seed):
        return Evaluator(agent, episodes=2, epsilon=0.5, max_frames_per_episode=400, seed=seed)

    one = evaluator(3)
    first, again, same_seed, other_seed = (e.run() for e in (one, one, evaluator(3), evaluator(4)))
    for other in (again, same_seed):
        np.testing.assert_array_equal(first.scores, other.scores)
        np.testing.assert_array_equal(first.film, other.film)
    assert not np.array_equal(first.film, other_seed.film)


def test_neither_a_lost_life_nor_a_second_game_counts(bind, agent):
    agent.num_actions = 4  # Breakout's, where only chance acts
    bind(game="breakout", terminal_on_life_loss=True)
    evaluation = Evaluator(agent, episodes=3, epsilon=1.0, seed=1).run()
    scores, steps, _, games = play_one_game_each(
        agent, 3, 1.0, 1, game="breakout", terminal_on_life_loss=False
    )
    np.testing.assert_array_equal(evaluation.scores, scores)
    np.testing.assert_array_equal(np.ceil(evaluation.frames / 4), steps)
    assert games > 3  # the shortest is over a second time before the longest


def test_the_cap_cuts_every_game_and_the_film_ends_with_the_first(bind, agent):
    bind(game="space_invaders")
    evaluation = Evaluator(agent, episodes=2, max_frames_per_episode=200).run()
    np.testing.assert_array_equal(evaluation.frames, [200, 200])
    assert evaluation.film.shape == (50, 84, 84)


def statistics(game, scores):
    frames = np.arange(len(scores)) * 100 + 500
    film = np.zeros((1, 84, 84), np.uint8)
    return Evaluation(game, np.array(scores), frames, film, []).statistics()


def test_statistics():
    assert statistics("space_invaders", [100.0, 200.0, 600.0]) == pytest.approx(
        {
            "mean": 300,
            "median": 200,
            "sd": ((200**2 + 100**2 + 300**2) / (3 - 1)) ** 0.5,
            "mean_frames": 600,
            "human_normalized": (300 - 148.0) / (1668.7 - 148.0),
        }
    )


def test_one_game_has_no_spread_and_an_unpublished_one_no_human():
    assert statistics("adventure", [7.0]) == {
        "mean": 7,
        "median": 7,
        "sd": 0,
        "mean_frames": 500,
    }


@pytest.mark.parametrize(
    ("kwargs", "line"),
    [
        ({"episodes": 0}, "Evaluator.episodes must be at least 1, got 0"),
        ({"num_envs": 0}, "Evaluator.num_envs must be at least 1, got 0"),
        ({"epsilon": -0.1}, "Evaluator.epsilon must be between 0 and 1, got -0.1"),
        ({"seed": -1}, "Evaluator.seed must be between 0 and 2,147,483,638, got -1"),
        ({"seed": 2**31 - 9}, "Evaluator.seed must be between 0 and 2,147,483,638, got 2147483639"),
        (
            {"max_frames_per_episode": 3},
            "Evaluator.max_frames_per_episode must be between 4 and 2,147,483,647, got 3",
        ),
        ({"film_agent_steps": 0}, "Evaluator.film_agent_steps must be at least 1, got 0"),
    ],
)
def test_a_value_out_of_range_is_named(agent, kwargs, line):
    with pytest.raises(UserError) as error:
        Evaluator(agent, **kwargs)
    assert str(error.value).splitlines()[0] == line
