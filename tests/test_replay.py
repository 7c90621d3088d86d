"""In: episodes of every shape, written step by step. Out: what the replay hands back, against a
model that reads the n-step transitions off the whole episodes."""

import collections
import contextlib
import dataclasses
import hashlib
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import portpicker
import pytest
import tensorflow as tf
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tf_agents.trajectories import TimeStep

from agents import replay as replay_module
from agents.checkpoints import lay_replay
from agents.environments import AtariEnvironment
from agents.errors import UserError
from agents.replay import (
    MAX_PENDING_ITEMS,
    MAX_PENDING_PRIORITIES,
    PENDING_CHECK_PERIOD_TIME_STEPS,
    Ending,
    ImportanceExponent,
    Replay,
    Window,
    importance_weights,
    to_transition,
)

ROOT = Path(__file__).parent.parent
FIRST, MID, LAST = 0, 1, 2
# Powers of one half and whole rewards: every sum is exact in float32, so bits can be compared.
GAMMA = 0.5


@dataclasses.dataclass(frozen=True)
class Step:
    """What one environment says at one time step."""

    step_type: int
    action: int  # that led here
    reward: float
    discount: float
    observation: np.ndarray  # uint8 [84, 84, 4]


Transition = collections.namedtuple(
    "Transition", "observation action reward discount next_observation"
)


def digest(observation):
    """Stands for all bits of an observation, and can be read in a failure's report."""
    return hashlib.sha256(observation.tobytes()).hexdigest()[:16]


def n_step_transitions(steps, n, max_abs_reward):
    """All transitions of one environment, read off its steps by the definition.

    Hessel et al. 2018, eq. 1: S_t, A_t, R_{t+1} + gamma R_{t+2} + ... (n terms, fewer where the
    episode ends before), S_{t+n}. The agent bootstraps with gamma times the discount.
    """
    episodes = []
    for step in steps:
        if step.step_type == FIRST:
            episodes.append([])
        episodes[-1].append(step)
    transitions = []
    for episode in episodes:
        ended = episode[-1].step_type == LAST
        for t in range(len(episode) - 1):
            following = episode[t + 1 : t + 1 + n]
            if len(following) < n and not ended:
                continue  # its return is not known yet
            total = 0.0
            for k, step in enumerate(following):
                reward = step.reward
                if max_abs_reward is not None:
                    reward = max(-max_abs_reward, min(max_abs_reward, reward))
                total += GAMMA**k * reward
            last = following[-1]
            discount = GAMMA ** (len(following) - 1) if last.discount else 0.0
            transitions.append(
                Transition(
                    digest(episode[t].observation),
                    following[0].action,
                    total,
                    discount,
                    digest(last.observation),
                )
            )
    return transitions


def write(replay, environments):
    """Writes the steps of all environments, which must be equally many."""
    buffer = np.empty((len(environments), 4, 84, 84), np.uint8)
    for steps in zip(*environments, strict=True):
        # Like the environment's observation: stacks first in memory, last in the shape. The replay
        # has to copy what it keeps, since the buffer is used again.
        np.stack([step.observation.transpose(2, 0, 1) for step in steps], out=buffer)
        time_step = TimeStep(
            np.array([step.step_type for step in steps], np.int32),
            np.array([step.reward for step in steps], np.float32),
            np.array([step.discount for step in steps], np.float32),
            buffer.transpose(0, 2, 3, 1),
        )
        replay.write(time_step, np.array([step.action for step in steps], np.int32))


def stored_transitions(replay, max_abs_reward=None):
    """Samples until each item has been seen, and returns the transition of each."""
    replay.flush()
    size, frames, outcomes = len(replay), {}, {}
    batches = iter(replay.dataset())
    # An item is missed by 40 draws per item with probability e^-40.
    for _ in range(1 + 40 * size // 32):
        if len(frames) == size:
            break
        window = next(batches)
        np.testing.assert_allclose(window.probability, 1 / size)
        for i, key in enumerate(window.key.numpy()):
            frames[key], outcomes[key] = window.frames[i], window.outcomes[i]
    assert len(frames) == size
    if not size:
        return []
    window = Window(tf.stack([*frames.values()]), tf.stack([*outcomes.values()]), None, None)
    transition = to_transition(window, GAMMA, max_abs_reward)
    parts = (
        transition.time_step.observation,
        transition.action_step.action,
        transition.next_time_step.reward,
        transition.next_time_step.discount,
        transition.next_time_step.observation,
    )
    dtypes = [tf.bfloat16, tf.int32, *2 * [tf.float32], tf.bfloat16]
    assert [part.dtype for part in parts] == dtypes
    return [
        Transition(digest(s.astype(np.uint8)), a, r, d, digest(s_next.astype(np.uint8)))
        for s, a, r, d, s_next in zip(*(part.numpy() for part in parts), strict=True)
    ]


def assert_same(actual, expected):
    assert len(actual) == len(expected)
    assert collections.Counter(actual) == collections.Counter(expected)


ENDINGS = ("terminated", "truncated", "given up")
EPISODES = st.lists(
    st.tuples(st.integers(1, 8), st.sampled_from(ENDINGS), st.booleans()), min_size=1, max_size=5
)


def play(episodes, num_steps, rng):
    """The steps of one environment: the episodes, then one that goes on until `num_steps`.

    An episode is (actions, ending, whether its first stack is black but for the newest frame);
    after a lost life it is not. "Given up" means reset without a LAST.
    """
    steps = []
    for length, ending, is_black in [*episodes, (num_steps, "given up", True)]:
        stack = rng.integers(0, 256, (84, 84, 4), np.uint8)
        stack[:, :, : 3 * is_black] = 0
        steps.append(Step(FIRST, int(rng.integers(18)), 0.0, 1.0, stack))
        for i in range(1, length + 1):
            frame = rng.integers(0, 256, (84, 84, 1), np.uint8)
            stack = np.concatenate([stack[:, :, 1:], frame], axis=-1)
            is_last = i == length and ending != "given up"
            steps.append(
                Step(
                    LAST if is_last else MID,
                    int(rng.integers(18)),
                    float(rng.integers(-3, 4)),
                    0.0 if is_last and ending == "terminated" else 1.0,
                    stack,
                )
            )
    return steps[:num_steps]


def one_environment(lengths, seed=0):
    """Terminated episodes with these numbers of actions, one after the other."""
    num_steps = sum(lengths) + len(lengths)
    episodes = [(length, "terminated", True) for length in lengths]
    return play(episodes, num_steps, np.random.default_rng(seed))


@pytest.fixture
def make_replay(tmp_path):
    """Makes replays in directories of their own and stops them."""
    replays = []

    def make(num_envs=1, n_step=1, scratch_dir=None, **arguments):
        scratch_dir = scratch_dir or tmp_path / f"scratch_{len(replays)}"
        replays.append(Replay(num_envs, n_step, scratch_dir, **{"capacity": 10_000, **arguments}))
        return replays[-1]

    yield make
    for replay in replays:
        replay.close()


# Shrinking a failure would start hundreds of servers.
@settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    environments=st.lists(EPISODES, min_size=1, max_size=3),
    n=st.integers(1, 5),
    priority_exponent=st.sampled_from([None, 0.5]),  # all priorities are still equal
    max_abs_reward=st.sampled_from([None, 1.0]),
    seed=st.integers(0, 2**32),
)
def test_stores_exactly_the_n_step_transitions(
    tmp_path_factory, environments, n, priority_exponent, max_abs_reward, seed
):
    rng = np.random.default_rng(seed)
    num_steps = max(sum(length + 1 for length, _, _ in episodes) for episodes in environments)
    environments = [play(episodes, num_steps, rng) for episodes in environments]
    expected = [
        transition
        for steps in environments
        for transition in n_step_transitions(steps, n, max_abs_reward)
    ]
    scratch_dir = tmp_path_factory.mktemp("scratch")
    replay = Replay(
        len(environments), n, scratch_dir, capacity=1000, priority_exponent=priority_exponent
    )
    with contextlib.closing(replay):
        write(replay, environments)
        assert_same(stored_transitions(replay, max_abs_reward), expected)


@pytest.mark.parametrize(("n", "terminal_on_life_loss"), [(1, False), (3, True)])
def test_stores_a_real_game(make_replay, n, terminal_on_life_loss):
    num_envs, rng = 2, np.random.default_rng(0)
    game = AtariEnvironment(
        "breakout",
        num_envs=num_envs,
        use_fire_reset=True,
        terminal_on_life_loss=terminal_on_life_loss,
    )
    replay = make_replay(num_envs, n)
    environments = [[] for _ in range(num_envs)]
    lives = np.zeros(num_envs, np.int32)
    time_step, actions = game.reset(), np.zeros(num_envs, np.int32)
    lost_lives = game_overs = 0
    for _ in range(260):
        replay.write(time_step, actions)
        info = game.get_info()
        lost_lives += np.sum(info["lives"] < lives)
        game_overs += np.sum(info["game_over"])
        lives = info["lives"]
        for i, steps in enumerate(environments):
            of_one = (part[i] for part in (time_step.reward, time_step.discount))
            observation = time_step.observation[i].copy()
            steps.append(Step(time_step.step_type[i], actions[i], *of_one, observation))
        actions = rng.integers(0, game.num_actions, num_envs, np.int32)
        time_step = game.step(actions)
    episodes = sum(step.step_type == LAST for steps in environments for step in steps)
    assert 0 < game_overs < lost_lives
    assert episodes == (lost_lives if terminal_on_life_loss else game_overs)
    expected = [t for steps in environments for t in n_step_transitions(steps, n, 1.0)]
    assert any(t.reward > 0 for t in expected)
    assert_same(stored_transitions(replay, 1.0), expected)


def test_n_step_return_by_hand():
    frames = np.broadcast_to(np.arange(7, dtype=np.uint8)[:, None, None], (2, 7, 84, 84))
    outcomes = [
        [[5, 1, Ending.GOES_ON], [6, -2, Ending.GOES_ON], [7, 3, Ending.GOES_ON]],
        [[5, 1, Ending.GOES_ON], [6, -2, Ending.TRUNCATED], [0, 0, Ending.PADDING]],
    ]
    window = Window(tf.constant(frames), tf.constant(outcomes, tf.float32), None, None)
    for max_abs_reward, returns in ((None, [1 - 1.8 + 2.43, 1 - 1.8]), (1.0, [0.91, 0.1])):
        transition = to_transition(window, 0.9, max_abs_reward)
        np.testing.assert_allclose(transition.next_time_step.reward, returns, rtol=1e-6)
        np.testing.assert_allclose(transition.next_time_step.discount, [0.81, 0.9], rtol=1e-6)
        np.testing.assert_array_equal(transition.action_step.action, [5, 5])
        np.testing.assert_array_equal(transition.time_step.observation[:, 0, 0], 2 * [range(4)])
        np.testing.assert_array_equal(
            transition.next_time_step.observation[:, 0, 0], [range(3, 7), range(2, 6)]
        )


def test_an_unfinished_episode_waits_for_its_last_returns(make_replay):
    replay, steps = make_replay(n_step=3), one_environment([6])
    write(replay, [steps[:5]])  # FIRST and four actions
    assert_same(stored_transitions(replay), n_step_transitions(steps[:5], 3, None))
    assert len(replay) == 2
    write(replay, [steps[5:]])
    assert_same(stored_transitions(replay), n_step_transitions(steps, 3, None))
    assert len(replay) == 6


def test_the_oldest_makes_room_for_the_newest(make_replay):
    replay, steps = make_replay(n_step=2, capacity=10, batch_size=8), one_environment([9, 4, 7])
    write(replay, [steps])
    assert_same(stored_transitions(replay), n_step_transitions(steps, 2, None)[-10:])


def test_a_writer_does_not_run_ahead(make_replay):
    replay, period = make_replay(), PENDING_CHECK_PERIOD_TIME_STEPS
    stack, one = np.zeros((1, 84, 84, 4), np.uint8), np.ones(1, np.float32)
    for step in range(5001):
        step_type = np.array([MID if step else FIRST])
        replay.write(TimeStep(step_type, one, one, stack), np.zeros(1, np.int32))
        if step % 100 == period - 2:  # after as many writes as lie between two looks
            assert step - MAX_PENDING_ITEMS - period < len(replay) <= step


def test_threads_of_the_replay_take_no_core_from_the_one_that_writes(make_replay):
    def policies():
        found = {}
        for thread in map(int, os.listdir("/proc/self/task")):
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                found[thread] = os.sched_getscheduler(thread)
        return found

    before = policies()
    make_replay(num_envs=32)
    after = policies()
    begun = [policy for thread, policy in after.items() if thread not in before]
    assert begun.count(os.SCHED_BATCH) >= 32, "one for each writer"
    assert len(begun) - begun.count(os.SCHED_BATCH) < 16, "gRPC's own at most"
    own = threading.get_native_id()
    assert after[own] == before[own]


def run_ahead(replay):
    """Writes 6,000 transitions, faster than the server takes them."""
    frames = np.random.default_rng(0).integers(0, 256, (6_004, 84, 84), np.uint8)
    for frame in frames:
        replay._writers[0].append((frame, np.zeros(3, np.float32)))


def test_a_server_that_takes_too_long_is_an_error(make_replay, monkeypatch):
    replay = make_replay()
    run_ahead(replay)
    monkeypatch.setattr(replay_module, "FLUSH_TIMEOUT_MS", 1)
    with pytest.raises(UserError, match=r"has not taken in 0\.002 s what was written: look at"):
        replay.flush()
    monkeypatch.setattr(replay_module, "FLUSH_TIMEOUT_MS", 60_000)
    replay.flush()
    assert len(replay) == 6_000


def test_a_process_that_is_stopped_while_it_waits_goes_on_and_ends():
    # In a process of its own: a shell would take a stopped pytest for one to put aside.
    code = "from tests import test_replay; test_replay.flush_while_stopped()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=100)


def flush_while_stopped():
    """Is stopped, as Ctrl-Z does it, for longer than a flush may take."""
    pid = os.getpid()
    stop = f"read _; kill -STOP {pid}; sleep 5; kill -CONT {pid}"
    with (
        tempfile.TemporaryDirectory() as scratch_dir,
        subprocess.Popen(["sh", "-c", stop], stdin=subprocess.PIPE) as shell,
    ):
        replay = Replay(1, 1, scratch_dir)
        run_ahead(replay)
        replay_module.FLUSH_TIMEOUT_MS = 3_000
        start = time.monotonic()
        shell.stdin.write(b"\n")
        shell.stdin.close()
        replay.flush()
        assert time.monotonic() - start > 4, "was not stopped in time"
        assert len(replay) == 6_000

        replay_module.FLUSH_TIMEOUT_MS = 60_000
        run_ahead(replay)
        writers = list(replay._writers)  # as the traceback of an error would keep them
        replay.close()
        del writers


def test_the_first_batch_is_drawn_from_all_that_is_there(make_replay):
    replay = make_replay()
    batches = iter(replay.dataset())
    write(replay, [one_environment([3])])
    replay.flush()  # Reverb by itself would fill its queue now, from these three
    write(replay, [one_environment(20 * [9], seed=1)])
    replay.flush()
    assert len(set(next(batches).key.numpy())) > 16


def test_a_saved_replay_goes_on(make_replay, tmp_path):
    first, second, third = (one_environment([7, 5], seed) for seed in range(3))
    replay = make_replay(n_step=3, capacity=20, batch_size=8)
    write(replay, [first])
    (tmp_path / "1").mkdir()
    replay.save(tmp_path / "1" / "replay")
    write(replay, [second])  # is not part of the checkpoint
    replay.close()

    lay_replay(tmp_path / "1", tmp_path / "restored")
    restored = make_replay(n_step=3, capacity=20, batch_size=8, scratch_dir=tmp_path / "restored")
    assert_same(stored_transitions(restored), n_step_transitions(first, 3, None))
    write(restored, [third])
    both = n_step_transitions([*first, *third], 3, None)
    assert_same(stored_transitions(restored), both[-20:])
    (tmp_path / "2").mkdir()
    restored.save(tmp_path / "2" / "replay")
    restored.close()

    for name, expected in (("1", both[:12]), ("2", both[-20:])):  # both checkpoints are whole
        lay_replay(tmp_path / name, tmp_path / "again")
        again = make_replay(n_step=3, capacity=20, batch_size=8, scratch_dir=tmp_path / "again")
        assert_same(stored_transitions(again), expected)
        again.close()


def test_a_full_disk_is_an_os_error_and_the_replay_goes_on(make_replay, tmp_path):
    steps = one_environment([9])
    replay = make_replay()
    write(replay, [steps])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, limits[1]))  # no file can grow
        with pytest.raises(OSError, match="chunks"):
            replay.save(tmp_path / "first")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    replay.save(tmp_path / "second")
    assert not (tmp_path / "first").exists()
    assert_same(stored_transitions(replay), n_step_transitions(steps, 1, None))


def test_an_unfinished_episode_is_saved_as_far_as_it_got(make_replay, tmp_path):
    steps = one_environment([9])[:-1]
    replay = make_replay(n_step=2)
    write(replay, [steps])
    replay.save(tmp_path / "replay")
    replay.close()
    lay_replay(tmp_path, tmp_path / "restored")
    restored = make_replay(n_step=2, scratch_dir=tmp_path / "restored")
    assert_same(stored_transitions(restored), n_step_transitions(steps, 2, None))


def drawn(replay, draws=400):
    """How often each key was drawn, and with what probability."""
    replay.flush()
    counts, probabilities = collections.Counter(), {}
    batches = iter(replay.dataset())
    while counts.total() < draws:
        window = next(batches)
        counts.update(window.key.numpy().tolist())
        probabilities |= dict(
            zip(window.key.numpy().tolist(), window.probability.numpy(), strict=True)
        )
    return counts, probabilities


def test_windows_are_drawn_by_their_priorities(make_replay):
    replay = make_replay(n_step=2, priority_exponent=0.6)
    write(replay, [one_environment([9, 3])])
    keys = np.array(sorted(drawn(replay)[0]), np.uint64)
    assert len(keys) == len(replay) == 12
    priorities = np.random.default_rng(0).uniform(0, 3, 12).astype(np.float32)
    replay.update_priorities(keys, priorities)
    counts, probabilities = drawn(replay, draws=6_000)
    p = priorities.astype(float) ** 0.6 / np.sum(priorities.astype(float) ** 0.6)
    np.testing.assert_allclose([probabilities[key] for key in keys.tolist()], p, rtol=1e-5)
    n = counts.total()
    frequencies = np.array([counts[key] for key in keys.tolist()])
    assert np.all(np.abs(frequencies - n * p) < 5 * np.sqrt(n * p * (1 - p)))


def test_new_windows_have_the_largest_priority_seen(make_replay):
    replay = make_replay(n_step=3, priority_exponent=1.0)
    write(replay, [one_environment([5])])
    old = np.array(sorted(drawn(replay)[0]), np.uint64)
    replay.update_priorities(old, np.array([0.5, 4, 0.25, 0.125, 0.125], np.float32))
    replay.update_priorities(old[:2], np.array([2, 2], np.float32))  # the largest is still 4
    assert replay.max_priority == 4
    write(replay, [one_environment([2], seed=1)])
    probabilities = drawn(replay, draws=3_000)[1]
    keys = [*old.tolist(), *sorted(set(probabilities) - set(old.tolist()))]
    priorities = np.array([2, 2, 0.25, 0.125, 0.125, 4, 4])
    expected = dict(zip(keys, priorities / priorities.sum(), strict=True))
    assert probabilities == pytest.approx(expected)


def test_priorities_arrive_in_their_order_and_survive_what_is_gone(make_replay):
    replay = make_replay(priority_exponent=1.0, capacity=4, batch_size=4)
    write(replay, [one_environment([4])])
    gone = np.array(sorted(drawn(replay)[0]), np.uint64)
    write(replay, [one_environment([4], seed=1)])
    keys = np.array(sorted(drawn(replay)[0]), np.uint64)
    for priority in range(3 * MAX_PENDING_PRIORITIES):
        replay.update_priorities(gone, np.full(4, 100, np.float32))
        replay.update_priorities(keys, np.full(4, priority, np.float32))
    twice = np.concatenate([keys, keys[:1]])
    replay.update_priorities(twice, np.array([5, 2, 0, 2, 1], np.float32))
    probabilities = drawn(replay)[1]
    assert [probabilities.get(key, 0) for key in keys.tolist()] == pytest.approx([0.2, 0.4, 0, 0.4])


def test_a_saved_replay_keeps_its_priorities(make_replay, tmp_path):
    replay = make_replay(priority_exponent=1.0)
    write(replay, [one_environment([4])])
    keys = np.array(sorted(drawn(replay)[0]), np.uint64)
    replay.update_priorities(keys, np.array([1, 2, 3, 4], np.float32))
    replay.save(tmp_path / "replay")  # waits for the priorities
    replay.close()
    lay_replay(tmp_path, tmp_path / "restored")
    restored = make_replay(priority_exponent=1.0, scratch_dir=tmp_path / "restored")
    probabilities = drawn(restored)[1]
    assert [probabilities[key] for key in keys.tolist()] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    restored.update_priorities(keys[:1], np.array([91], np.float32))
    assert drawn(restored)[1][keys.tolist()[0]] == pytest.approx(0.91)


def test_a_priority_that_cannot_be_sent_is_an_error(make_replay):
    replay = make_replay(priority_exponent=1.0)
    write(replay, [one_environment([4])])
    keys = np.array(sorted(drawn(replay)[0]), np.uint64)
    replay.update_priorities(keys, np.full(4, np.nan, np.float32))
    with pytest.raises(ValueError, match=r"(?i)nan|finite|priorit"):
        replay.flush()


def test_importance_weights_are_the_papers():
    """Schaul et al. 2016, 3.4: (1/N 1/P(i))^beta, normalized by the largest."""
    probability = np.random.default_rng(0).dirichlet(np.ones(32))
    for beta in (0.0, 0.5, 1.0):
        weights = (1_000 * probability) ** -beta
        actual = importance_weights(tf.constant(probability), tf.constant(beta))
        assert actual.dtype == tf.float32
        np.testing.assert_allclose(actual, weights / weights.max(), rtol=1e-5)


def test_the_importance_exponent_is_annealed():
    assert [ImportanceExponent()(n) for n in (0, 1, 10**7)] == [0.5] * 3  # Dopamine's
    schedule = ImportanceExponent(initial=0.4, final=1.0, annealing_agent_steps=100)
    assert [schedule(n) for n in (0, 50, 100, 1_000)] == pytest.approx([0.4, 0.7, 1.0, 1.0])


@pytest.mark.parametrize(
    "argument", [{"initial": -0.1}, {"final": 1.1}, {"annealing_agent_steps": -1}]
)
def test_importance_exponents_out_of_range(argument):
    ((name, value),) = argument.items()
    with pytest.raises(UserError, match=rf"ImportanceExponent.{name} must be .*, got {value}"):
        ImportanceExponent(**argument)


def test_importance_exponents_that_change_in_no_agent_steps():
    with pytest.raises(UserError, match=r"from 0.5 to 1 in 0 agent steps: name its annealing_ag"):
        ImportanceExponent(final=1.0)


def test_a_port_is_used_once_at_a_time_and_again_at_once(make_replay):
    port = portpicker.pick_unused_port()
    replay = make_replay(port=port)
    assert replay.port == port
    with pytest.raises(UserError, match=rf"^port {port} of Replay\.port .*in use.*: choose"):
        make_replay(port=port)
    replay.close()
    assert make_replay(port=port).port == port


def test_batches_are_drawn_ahead_only_where_asked_for(make_replay):
    replay, ahead = make_replay(), make_replay(prefetch_batches=2)
    assert replay.dataset().options().experimental_optimization.inject_prefetch is False
    for filled in (replay, ahead):
        write(filled, [one_environment([40])])
        filled.flush()
        assert next(iter(filled.dataset())).frames.shape == (32, 5, 84, 84)
    assert "Prefetch" in type(ahead.dataset()).__name__


@pytest.mark.parametrize(
    "argument",
    [
        {"capacity": 0},
        {"capacity": 2**31},
        {"batch_size": 0},
        {"prefetch_batches": -1},
        {"priority_exponent": -0.5},
        {"port": 0},
        {"port": 65_536},
    ],
)
def test_values_out_of_range(make_replay, argument):
    ((name, value),) = argument.items()
    with pytest.raises(UserError) as error:
        make_replay(**argument)
    line = str(error.value).splitlines()[0]
    range_ = r"(between 1 and [\d,]+|at least 0(, or None)?)"
    assert re.fullmatch(rf"Replay\.{name} must be {range_}, got {value}", line)
