"""The replay: TimeSteps of N environments go in, batches of n-step transitions come out.

In:  one batched `TimeStep` per environment step (observation uint8 [N, 84, 84, 4], raw reward
     float32 [N]) with the actions int [N] that led to it.
Out: a `tf.data.Dataset` of `Window`s, and `to_transition`, which turns them into the
     `Transition`s of stacked frames that a TF-Agents `DqnAgent` learns from.

Every frame is stored once. An environment's writer appends one row a time step: the newest frame
and how it was reached (action, raw reward, how the step ended). An item of the table is a window
over the last n + 4 rows, so neighbouring transitions share their frames:

    row      0    1    2    3    4    5    6    7
    frame   [o    o    o    s0   s1   s2]  s3   s4        n = 2: this window is the transition
    action                       a0   a1   a2   a3        s0, a0, r1 + gamma r2 -> s2
    reward                       r1   r2   r3   r4

An episode starts with the four frames of its first stack and ends with n - 1 padding rows, so it
yields exactly one transition per action, the first and the last n - 1 among them, and no window
reaches over its end. The reset between two episodes is a FIRST step: it writes frames but is never
the outcome of an action. An episode that is given up, or still goes on, lacks its last n - 1
transitions until their return is complete.

A prioritized replay (Schaul et al. 2016) draws a window with probability P(i) = p_i^alpha / sum_k
p_k^alpha. Windows come in with the largest priority seen so far, so that each is learned from soon:
their rows hold it in a column of their own, from which Reverb's writer takes it.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import enum
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import reverb
import tensorflow as tf
from tf_agents.trajectories import PolicyStep, TimeStep, Transition
from tf_agents.trajectories.time_step import StepType

from agents.configuration import configurable
from agents.errors import UserError, require
from agents.ports import obstacle

FRAME_SHAPE = (84, 84)
STACK = 4
TABLE = "transitions"
FLUSH_TIMEOUT_MS = 60_000
# Reverb warns of 50 items that an environment's writer has yet to send, and would hold any number.
# Asking costs an eighth of a write, so it is done every few time steps. Until the next time there
# come 8 items, and n - 1 more at an episode's end: up to n = 10 they stay below 50.
MAX_PENDING_ITEMS = 32
PENDING_CHECK_PERIOD_TIME_STEPS = 8
# Batches of priorities on their way to the table; the learner waits where there are more.
MAX_PENDING_PRIORITIES = 8
# Dopamine's: a transition that was learned by heart can still be drawn.
MIN_PRIORITY = 1e-10

_PADDING_FRAME = np.zeros(FRAME_SHAPE, np.uint8)


class Ending(enum.IntEnum):
    """How the step that led to a row ended."""

    GOES_ON = 0
    TERMINATED = 1
    TRUNCATED = 2
    PADDING = 3  # no step at all: a row before an episode's first or after its last frame


_PADDING_OUTCOME = np.array([0, 0, Ending.PADDING], np.float32)


class Window(NamedTuple):
    """A batch of stored windows as the dataset yields it.

    frames: uint8 [B, n + 4, 84, 84], oldest first.
    outcomes: float32 [B, n, 3]: action, raw reward and `Ending` of the n steps that followed the
      first stack.
    key: uint64 [B], the item's key in the table.
    probability: float64 [B], with which the item was drawn.
    """

    frames: tf.Tensor
    outcomes: tf.Tensor
    key: tf.Tensor
    probability: tf.Tensor


def to_transition(window: Window, gamma: float, max_abs_reward: float | None) -> Transition:
    """Stacks the frames and folds the rewards of a batch of windows.

    With m the number of real steps in the window (n, or fewer at an episode's end), the result is
    the n-step return's transition (Sutton 1988; Hessel et al. 2018, eq. 1)

        s_t, a_t, sum_{k<m} gamma^k clip(r_{t+k+1}), discount, s_{t+m}

    where discount = gamma^(m-1), or 0 if the episode terminated. A TF-Agents agent multiplies the
    discount by gamma once more. Truncation bootstraps: its discount is not 0.

    Args:
      window: a batch of windows.
      gamma: discount per agent step.
      max_abs_reward: rewards are clipped to [-max_abs_reward, max_abs_reward]; None leaves them.

    Returns:
      `Transition` of [B] tensors: observations bfloat16 [B, 84, 84, 4] from 0 to 255, actions
      int32 [B], rewards and discounts float32 [B].
    """
    action, reward, ending = tf.unstack(window.outcomes, axis=-1)
    n = reward.shape[1]
    if max_abs_reward is not None:
        reward = tf.clip_by_value(reward, -max_abs_reward, max_abs_reward)
    real = tf.cast(ending != Ending.PADDING, tf.float32)
    powers = tf.constant(gamma ** np.arange(n), tf.float32)
    n_step_return = tf.reduce_sum(powers * real * reward, axis=1)
    num_real = tf.cast(tf.reduce_sum(real, axis=1), tf.int32)
    terminated = tf.reduce_any(ending == Ending.TERMINATED, axis=1)
    discount = tf.where(terminated, 0.0, tf.gather(powers, num_real - 1))

    # bfloat16 holds 0 to 255 exactly, and oneDNN transposes it, unlike uint8, at full speed.
    frames = tf.cast(window.frames, tf.bfloat16)
    if n == 1:
        next_frames = frames[:, 1:]
    else:  # which of them are the last stack depends on m
        stack = num_real[:, None] + tf.range(STACK)
        next_frames = tf.gather(frames, stack, axis=1, batch_dims=1)
    observation, next_observation = (
        tf.transpose(stack, [0, 2, 3, 1]) for stack in (frames[:, :STACK], next_frames)
    )

    batch_size = tf.shape(n_step_return)[:1]
    zeros = tf.zeros(batch_size)
    return Transition(
        time_step=TimeStep(tf.fill(batch_size, StepType.MID), zeros, zeros + 1, observation),
        action_step=PolicyStep(tf.cast(action[:, 0], tf.int32)),
        next_time_step=TimeStep(
            tf.fill(batch_size, StepType.MID), n_step_return, discount, next_observation
        ),
    )


def importance_weights(probability: tf.Tensor, exponent: tf.Tensor) -> tf.Tensor:
    """The weights (N P(i))^-beta of a batch, divided by the largest (Schaul et al. 2016, 3.4).

    Args:
      probability: P(i), with which each window was drawn, float64 [B].
      exponent: beta, a scalar.

    Returns:
      float32 [B]; 1 for the least probable. N, the size of the table, drops out.
    """
    ratio = tf.reduce_min(probability) / probability
    return tf.cast(ratio, tf.float32) ** exponent


@configurable
@dataclasses.dataclass(frozen=True)
class ImportanceExponent:
    """The exponent beta of importance weights, from `initial` linearly to `final`.

    The default is Dopamine's, constant. Uniform replays make no use of it.

    Raises:
      UserError: a value out of range, or a way from one to the other without a length.
    """

    initial: float = 0.5
    final: float = 0.5
    annealing_agent_steps: int = 0

    def __post_init__(self):
        for name in ("initial", "final"):
            value = getattr(self, name)
            require(f"ImportanceExponent.{name}", value, 0 <= value <= 1, "between 0 and 1")
        steps = self.annealing_agent_steps
        require("ImportanceExponent.annealing_agent_steps", steps, steps >= 0, "at least 0")
        if self.initial != self.final and steps == 0:
            raise UserError(
                f"ImportanceExponent goes from {self.initial:g} to {self.final:g} "
                "in 0 agent steps: name its annealing_agent_steps, or make initial and final "
                "the same"
            )

    def __call__(self, agent_steps: int) -> float:
        """The exponent after this many agent steps."""
        share = min(1.0, agent_steps / max(1, self.annealing_agent_steps))
        return self.initial + (self.final - self.initial) * share


@configurable
class Replay:
    """A Reverb table of n-step windows with one writer per environment."""

    def __init__(
        self,
        num_envs: int,
        n_step: int,
        scratch_dir: str | Path,
        *,
        capacity: int = 1_000_000,
        batch_size: int = 32,
        prefetch_batches: int = 0,
        priority_exponent: float | None = None,
        port: int | None = None,
    ):
        """Starts the server, from the table saved in `scratch_dir` if there is one.

        Reverb listens on every network interface without authentication; keep the port closed to
        strangers.

        Args:
          num_envs: environments that write.
          n_step: steps per transition.
          scratch_dir: where Reverb writes its checkpoints; must hold nothing else, since Reverb
            deletes what it finds there.
          capacity: transitions held; the oldest makes room for the newest.
          batch_size: transitions per batch.
          prefetch_batches: batches drawn while the learner is busy, for a learner that leaves the
            cores idle, as a GPU does.
          priority_exponent: alpha of the probabilities; None draws uniformly.
          port: of the Reverb server; None takes a free one.

        Raises:
          UserError: a value out of range, or the port is taken.
        """
        for name, value, high in (
            ("capacity", capacity, 2**31 - 1),
            ("batch_size", batch_size, 2**31 - 1),
        ):
            require(f"Replay.{name}", value, 1 <= value <= high, f"between 1 and {high:,}")
        holds = capacity >= batch_size
        require("Replay.capacity", capacity, holds, f"at least Replay.batch_size, {batch_size}")
        prefetch = prefetch_batches
        require("Replay.prefetch_batches", prefetch, prefetch >= 0, "at least 0")
        alpha = priority_exponent
        holds = alpha is None or alpha >= 0
        require("Replay.priority_exponent", alpha, holds, "at least 0, or None")
        if port is not None:
            check_port(port)
        self.is_prioritized = alpha is not None
        self.max_priority = 1.0  # seen so far; a checkpoint has to keep it
        self.n_step = n_step
        self.capacity = capacity
        self._batch_size = batch_size
        self._prefetch_batches = prefetch_batches
        row = [tf.TensorSpec(FRAME_SHAPE, tf.uint8), tf.TensorSpec((3,), tf.float32)]
        selector, priority = reverb.selectors.Uniform(), None
        if alpha is not None:
            row.append(tf.TensorSpec((), tf.float32))
            selector = reverb.selectors.Prioritized(alpha)
            # Of a window's one priority it is the maximum and the mean.
            priority = reverb.structured.td_error(1.0, (None, None, None), lambda row: row[2])
        window = reverb.structured.pattern_from_transform(
            (None,) * len(row),
            lambda row: (row[0][-(n_step + STACK) :], row[1][-n_step:], *(p[-1:] for p in row[2:])),
        )
        config = reverb.structured.create_config(window, TABLE, priority=priority)
        table = reverb.Table(
            name=TABLE,
            sampler=selector,
            remover=reverb.selectors.Fifo(),
            max_size=capacity,
            rate_limiter=reverb.rate_limiters.MinSize(1),
            signature=reverb.structured.infer_signature([config], tuple(row)),
        )
        with _threads_that_give_way():
            self._server = reverb.Server(
                [table],
                port=port,
                checkpointer=reverb.checkpointers.DefaultCheckpointer(str(scratch_dir)),
            )
            self._client = reverb.Client(f"localhost:{self.port}")
            self._writers = [self._client.structured_writer([config]) for _ in range(num_envs)]
        self._time_steps = 0  # written
        self._sender = concurrent.futures.ThreadPoolExecutor(1, "priorities")
        self._sent = collections.deque[concurrent.futures.Future]()

    @property
    def port(self) -> int:
        """Port of the Reverb server."""
        return self._server.port

    def __len__(self) -> int:
        """Transitions in the table."""
        return self._client.server_info()[TABLE].current_size

    def write(self, time_step: TimeStep, actions: np.ndarray) -> None:
        """Stores one time step of every environment.

        Args:
          time_step: batched, observation uint8 [N, 84, 84, 4], raw reward [N].
          actions: int [N], the actions that led to it; ignored where the step is FIRST.

        Raises:
          UserError: the server took too long.
        """
        step_types = time_step.step_type
        observations = time_step.observation
        endings = np.where(
            step_types == StepType.LAST,
            np.where(time_step.discount == 0, Ending.TERMINATED, Ending.TRUNCATED),
            Ending.GOES_ON,
        )
        outcomes = np.stack([actions, time_step.reward, endings], axis=1).astype(np.float32)
        priority = (np.float32(self.max_priority),) if self.is_prioritized else ()
        for i, writer in enumerate(self._writers):
            if step_types[i] == StepType.FIRST:
                _wait(writer.end_episode)
                for age in range(STACK):
                    writer.append((observations[i, :, :, age], _PADDING_OUTCOME, *priority))
            else:
                writer.append((observations[i, :, :, -1], outcomes[i], *priority))
            if step_types[i] == StepType.LAST:
                for _ in range(self.n_step - 1):
                    writer.append((_PADDING_FRAME, _PADDING_OUTCOME, *priority))
        self._time_steps += 1
        if self._time_steps % PENDING_CHECK_PERIOD_TIME_STEPS == 0:
            self._flush(MAX_PENDING_ITEMS)

    def update_priorities(self, keys: np.ndarray, priorities: np.ndarray) -> None:
        """Sends priorities to the table, beside whatever else is done; see `flush`.

        Args:
          keys: of windows, uint64 [M]; of a key that comes twice the later priority counts, and
            those of windows that have made room for newer ones count no more.
          priorities: p_i, at least 0, float32 [M].
        """
        priorities = np.maximum(priorities, MIN_PRIORITY)
        self.max_priority = max(self.max_priority, float(priorities.max()))
        if len(self._sent) == MAX_PENDING_PRIORITIES:
            self._sent.popleft().result()
        updates = dict(zip(keys.tolist(), priorities.tolist(), strict=True))
        self._sent.append(
            self._sender.submit(self._client.mutate_priorities, TABLE, updates=updates)
        )

    def flush(self) -> None:
        """Waits until every complete window and every priority is in the table.

        Raises:
          UserError: the server took too long.
        """
        self._flush(0)
        while self._sent:
            self._sent.popleft().result()

    def _flush(self, max_pending_items: int) -> None:
        for writer in self._writers:
            _wait(writer.flush, max_pending_items)

    def dataset(self) -> tf.data.Dataset:
        """Endless batches of drawn `Window`s; waits while the table is empty.

        Prioritized windows are drawn by the priorities of that moment: those of the batches that
        are drawn ahead do not know the latest updates.

        An iterator draws its first sample when it is asked for its first batch.
        """
        samples = reverb.TrajectoryDataset.from_table_signature(
            server_address=f"localhost:{self.port}",
            table=TABLE,
            # Few: they are unpacked while the learner needs the cores, by priorities that grow old.
            max_in_flight_samples_per_worker=max(1, self._batch_size // 4),
            num_workers_per_iterator=2,
        )
        windows = samples.batch(self._batch_size, drop_remainder=True).map(
            lambda batch: Window(*batch.data[:2], batch.info.key, batch.info.probability)
        )
        # Reverb draws as soon as its own dataset has an iterator: the first batches would all be
        # of the first few transitions ever written. The outer dataset puts that iterator off.
        batches = tf.data.Dataset.range(1).flat_map(lambda _: windows)
        if self._prefetch_batches:
            return batches.prefetch(self._prefetch_batches)
        options = tf.data.Options()
        # tf.data would add one that unpacks beside the learner.
        options.experimental_optimization.inject_prefetch = False
        return batches.with_options(options)

    def save(self, directory: Path) -> None:
        """Writes the table's content into `directory`, which must be on the same file system.

        Raises:
          UserError: the server took too long.
          OSError: it cannot be written.
        """
        self.flush()
        try:
            written = self._client.checkpoint()
        except (LookupError, RuntimeError) as e:  # Reverb's, of a disk that is full or out of reach
            raise OSError(str(e)) from e
        shutil.move(written, directory)

    def close(self) -> None:
        """Stops the server. From then on no dataset has a further batch: asking for one hangs."""
        self._sender.shutdown(cancel_futures=True)
        # A writer waits for the server when it goes, and for ever once that is stopped: one that
        # an error's traceback refers to goes later than `clear`.
        with contextlib.suppress(Exception):  # what else can be closed is closed
            self._flush(0)
        self._writers.clear()
        self._server.stop()


@contextlib.contextmanager
def _threads_that_give_way() -> Iterator[None]:
    """Threads begun within wait for a free core; they take none from the thread that wakes them.

    Every row that is written wakes some of Reverb's. Where cores are few, they would interrupt the
    writing a few times per transition, which doubled its time on two.
    """
    try:
        policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))  # of this thread, and inherited
    except OSError:  # some sandboxes know no policies; then they interrupt
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def _wait(wait: Callable[..., None], *arguments: int) -> None:
    """Calls a writer's method that waits for the server, and once more if its time runs out.

    That happens, too, where the process was stopped meanwhile (Ctrl-Z) or the machine slept.

    Raises:
      UserError: the time ran out twice.
    """
    for is_last in (False, True):
        try:
            return wait(*arguments, timeout_ms=FLUSH_TIMEOUT_MS)
        except reverb.errors.DeadlineExceededError as e:
            if is_last:
                raise UserError(
                    f"the replay has not taken in {2 * FLUSH_TIMEOUT_MS / 1000:g} s what was "
                    "written: look at what else this machine does, and go on with --run_dir"
                ) from e


def check_port(port: int) -> None:
    """Raises a UserError if `Replay.port` is no port, or one that is taken."""
    require("Replay.port", port, 1 <= port < 2**16, f"between 1 and {2**16 - 1:,}")
    if reason := obstacle("", port):
        raise UserError(
            f"port {port} of Replay.port cannot be used ({reason}): "
            "choose another or leave the binding out"
        )
