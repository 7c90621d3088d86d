"""In: real games, a real replay, an agent. Out: exploration rates, actions and whole games."""

import time

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.trajectories.time_step import StepType

from agents.algorithms.dqn import DQN
from agents.collection import EpsilonGreedy, LinearEpsilon, StageSeconds, VectorDriver
from agents.environments import AtariEnvironment
from agents.errors import UserError
from agents.networks import q_network
from agents.replay import Replay
from tests.tiny_dqn import tiny_network


def make_agent(num_actions):
    tf.keras.utils.set_random_seed(0)
    return DQN(
        num_actions, network=tiny_network, optimizer=lambda: tf.keras.optimizers.legacy.SGD(0.1)
    )


def test_the_exploration_is_told_in_words():
    schedule = LinearEpsilon(final=0.1, decay_agent_steps=4000, warmup_agent_steps=1000)
    told = "epsilon 1 until 1,000, 0.1 from 5,000 agent steps"
    assert schedule.summary(5000) == told
    assert schedule.summary(3000) == f"{told}, 0.55 at the end"
    schedule = LinearEpsilon(final=0.1, decay_agent_steps=300, warmup_agent_steps=0)
    assert LinearEpsilon(0.1, 0, 0).summary(1) == "epsilon 0.1"
    assert schedule.summary(1) == "epsilon 1 at first, 0.1 from 300 agent steps, 0.997 at the end"


@pytest.mark.parametrize(
    ("agent_steps", "epsilon"),
    [(0, 1), (19_999, 1), (20_000, 1), (145_000, 0.505), (270_000, 0.01), (10_000_000, 0.01)],
)
def test_epsilon_is_dopamines(agent_steps, epsilon):
    """Castro et al. 2018: 1 for 20,000 agent steps, then linear to 0.01 over 250,000."""
    schedule = LinearEpsilon(0.01, decay_agent_steps=250_000, warmup_agent_steps=20_000)
    assert schedule(agent_steps) == pytest.approx(epsilon)
    assert LinearEpsilon() == schedule


def test_epsilon_is_natures():
    """Mnih et al. 2015: 1 to 0.1 over the first million."""
    schedule = LinearEpsilon(0.1, decay_agent_steps=1_000_000, warmup_agent_steps=0)
    assert [schedule(n) for n in (0, 500_000, 1_000_000)] == pytest.approx([1, 0.55, 0.1])


def test_epsilon_without_decay_drops_at_once():
    schedule = LinearEpsilon(0.1, decay_agent_steps=0, warmup_agent_steps=10)
    assert [schedule(n) for n in (0, 10, 11, 99)] == pytest.approx([1, 1, 0.1, 0.1])


@pytest.mark.parametrize(
    ("kwargs", "line"),
    [
        ({"final": 1.5}, "LinearEpsilon.final must be between 0 and 1, got 1.5"),
        ({"decay_agent_steps": -1}, "LinearEpsilon.decay_agent_steps must be at least 0, got -1"),
        ({"warmup_agent_steps": -1}, "LinearEpsilon.warmup_agent_steps must be at least 0, got -1"),
    ],
)
def test_an_exploration_out_of_range_is_named(kwargs, line):
    with pytest.raises(UserError) as error:
        LinearEpsilon(**kwargs)
    assert str(error.value).splitlines()[0] == line


OBSERVATIONS = np.random.default_rng(0).integers(0, 256, (32, 84, 84, 4), np.uint8)
OBSERVATIONS *= np.random.default_rng(1).integers(0, 2, (32, 1, 1, 4), np.uint8)  # black frames
# As the environment hands them out: the newest frame last, but not in memory.
VIEW = np.moveaxis(np.ascontiguousarray(np.moveaxis(OBSERVATIONS, -1, 1)), 1, -1)


def test_a_noisy_networks_noise_is_on_in_training_alone():
    def network(num_actions):
        return q_network(num_actions, noisy_sigma=5.0, hidden_units=4, precision="float32")

    agent = DQN(6, network=network, optimizer=lambda: tf.keras.optimizers.legacy.SGD(0.1))
    acting = EpsilonGreedy(agent, training=True), EpsilonGreedy(agent)
    rng = np.random.default_rng(0)
    noisy, quiet = (
        [policy.action(OBSERVATIONS, 0.0, rng).tolist() for _ in range(10)] for policy in acting
    )
    assert quiet == 10 * [np.argmax(agent.q_values(OBSERVATIONS), axis=1).tolist()]
    assert len({tuple(actions) for actions in noisy}) > 1


def test_greedy_actions_are_the_best_q_values():
    agent = make_agent(5)
    best = np.argmax(agent.q_values(OBSERVATIONS), axis=1)
    for observation in (OBSERVATIONS, VIEW):
        actions = EpsilonGreedy(agent).action(observation, 0.0, np.random.default_rng(0))
        np.testing.assert_array_equal(actions, best)
        assert actions.dtype == np.int32
    assert len(set(best)) > 1


@pytest.mark.parametrize("epsilon", [0.25, 1.0])
def test_random_actions_are_as_frequent_as_epsilon_and_uniform(epsilon):
    num_actions, calls = 5, 100
    policy, rng = EpsilonGreedy(make_agent(num_actions)), np.random.default_rng(0)
    best = policy.action(VIEW, 0.0, rng)
    actions = np.array([policy.action(VIEW, epsilon, rng) for _ in range(calls)])
    n = actions.size
    # From one to the next: how far from the greedy action, uniform over the others.
    counts = np.bincount(((actions - best) % num_actions).ravel(), minlength=num_actions)
    probabilities = np.full(num_actions, epsilon / num_actions)
    probabilities[0] += 1 - epsilon
    sd = np.sqrt(n * probabilities * (1 - probabilities))
    assert np.all(np.abs(counts - n * probabilities) < 4 * sd)  # binomial
    assert np.any(counts != n * probabilities)


def test_equal_generators_explore_alike_whatever_epsilon():
    agent = make_agent(5)
    one, other, greedy = (np.random.default_rng(seed) for seed in (7, 7, 7))
    policies = EpsilonGreedy(agent), EpsilonGreedy(agent)
    for _ in range(3):
        np.testing.assert_array_equal(
            policies[0].action(VIEW, 0.5, one), policies[1].action(VIEW, 0.5, other)
        )
        policies[0].action(VIEW, 0.0, greedy)
    assert one.bit_generator.state == other.bit_generator.state == greedy.bit_generator.state


def collect(tmp_path, env, steps, epsilon, seed=0):
    """Drives; returns every time step, its lives, the games, the agent steps, the replay's size."""
    replay = Replay(env.batch_size, 1, tmp_path / "replay", capacity=10_000)
    policy, seconds = EpsilonGreedy(make_agent(env.num_actions)), StageSeconds()
    try:
        driver = VectorDriver(env, policy, replay, np.random.default_rng(seed), seconds)
        time_steps, lives = [env.current_time_step()], [env.get_info()["lives"]]
        driver.observers.append(lambda time_step, actions: time_steps.append(time_step))
        driver.observers.append(lambda time_step, actions: lives.append(env.get_info()["lives"]))
        agent_steps, episodes = 0, []
        for _ in range(steps):
            taken, ended = driver.run(epsilon)
            agent_steps += taken
            episodes += ended
        replay.flush()
        assert seconds.keys() == {"acting", "environment", "writing"}
        return time_steps, np.array(lives), episodes, agent_steps, len(replay)
    finally:
        replay.close()


def whole_games(time_steps, ends_game):
    """Per environment: the games' (score, clipped return, agent steps), from the time steps."""
    games = []
    for i in range(len(time_steps[0].step_type)):
        score = clipped = steps = 0
        for t, time_step in enumerate(time_steps):
            if time_step.step_type[i] != StepType.FIRST:
                score += float(time_step.reward[i])
                clipped += min(max(float(time_step.reward[i]), -1), 1)
                steps += 1
            if ends_game(t, i):
                games.append((t, i, score, clipped, steps))
                score = clipped = steps = 0
    return [game[1:] for game in sorted(games)]


def test_episodes_are_the_sums_of_what_happened(tmp_path):
    env = AtariEnvironment("space_invaders", num_envs=3, seed=4, max_frames_per_episode=1600)
    time_steps, _, episodes, agent_steps, transitions = collect(tmp_path, env, 420, epsilon=1.0)
    games = whole_games(time_steps, lambda t, i: time_steps[t].step_type[i] == StepType.LAST)
    assert games == [(e.environment, e.score, e.clipped_return, e.agent_steps) for e in episodes]
    no_reset = sum(np.count_nonzero(t.step_type != StepType.FIRST) for t in time_steps)
    assert agent_steps == no_reset == transitions < 3 * 420
    assert all(e.clipped_return < e.score for e in episodes)  # rewards are 5 and more
    # Cut at the cap, or over within the last agent step of four frames.
    assert {e.frames == 1600 for e in episodes} == {True, False}
    for episode in episodes:
        assert 4 * (episode.agent_steps - 1) < episode.frames <= 4 * episode.agent_steps


def test_a_lost_life_ends_no_game(tmp_path):
    """In Breakout nothing scores while the game waits for FIRE, so no reward hides in a FIRST."""
    env = AtariEnvironment("breakout", num_envs=3, seed=1, terminal_on_life_loss=True)
    time_steps, lives, episodes, agent_steps, transitions = collect(tmp_path, env, 500, epsilon=1.0)
    is_last = np.array([t.step_type == StepType.LAST for t in time_steps])
    games = whole_games(time_steps, lambda t, i: is_last[t, i] and lives[t, i] == 0)
    assert games == [(e.environment, e.score, e.clipped_return, e.agent_steps) for e in episodes]
    assert np.count_nonzero(is_last) >= 5 * len(episodes) > 0
    assert agent_steps == transitions
    assert any(episode.score > 0 for episode in episodes)
    # Four frames an agent step, and four for the step that each of the four FIRSTs plays.
    for episode in episodes:
        assert 0 <= 4 * (episode.agent_steps + 4) - episode.frames < 4 * 5


def test_equal_seeds_collect_the_same(tmp_path):
    def observe(name, seed):
        env = AtariEnvironment("breakout", num_envs=2, seed=1)
        time_steps, *_ = collect(tmp_path / name, env, 40, epsilon=0.5, seed=seed)
        return np.array([time_step.observation for time_step in time_steps])

    first = observe("first", 5)
    np.testing.assert_array_equal(first, observe("same", 5))
    assert not np.array_equal(first, observe("other", 6))


def test_stage_seconds_add_up_until_taken():
    seconds = StageSeconds()
    start = time.perf_counter()
    for _ in range(2):
        with seconds.stage("acting"):
            time.sleep(0.01)
    passed = time.perf_counter() - start
    taken = seconds.take()
    assert taken.keys() == {"acting"}
    assert 0.02 <= taken["acting"] <= passed
    assert seconds.take() == {}
