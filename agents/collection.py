"""Collecting: an environment and a policy go in; transitions and finished episodes come out.

One call steps all N environments once: act, step, write. Episodes are whole games with their raw
score, whatever a protocol calls an episode for learning.
"""

import collections
import contextlib
import dataclasses
import time
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import tensorflow as tf
from tf_agents.drivers import driver
from tf_agents.trajectories import TimeStep
from tf_agents.trajectories.time_step import StepType

from agents.configuration import configurable
from agents.environments import AtariEnvironment
from agents.errors import require
from agents.replay import Replay


@configurable
@dataclasses.dataclass(frozen=True)
class LinearEpsilon:
    """Exploration rate: 1 during the warm-up, then linear to `final` during the decay.

    Raises:
      UserError: a value out of range.
    """

    final: float = 0.01
    decay_agent_steps: int = 250_000
    warmup_agent_steps: int = 20_000

    def __post_init__(self):
        require("LinearEpsilon.final", self.final, 0 <= self.final <= 1, "between 0 and 1")
        for name in ("decay_agent_steps", "warmup_agent_steps"):
            value = getattr(self, name)
            require(f"LinearEpsilon.{name}", value, value >= 0, "at least 0")

    def __call__(self, agent_steps: int) -> float:
        """The exploration rate after this many agent steps."""
        left = 1 - (agent_steps - self.warmup_agent_steps) / max(1, self.decay_agent_steps)
        return self.final + (1 - self.final) * min(1.0, max(0.0, left))

    def summary(self, total_agent_steps: int) -> str:
        """What a run of this length does, in words."""
        start = self.warmup_agent_steps
        end = start + self.decay_agent_steps
        if end == 0:
            return f"epsilon {self.final:g}"
        text = f"epsilon 1 {f'until {start:,}' if start else 'at first'}, "
        text += f"{self.final:g} from {end:,} agent steps"
        if end > total_agent_steps:
            text += f", {self(total_agent_steps):.3g} at the end"
        return text


class QFunction(Protocol):
    """What acts: an agent, or an exported model of one."""

    num_actions: int

    def q_values(self, observation: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Q-values float32 [B, num_actions] of observations [B, 84, 84, 4].

        Args:
          observation: from 0 to 255, of any type.
          training: acts as the algorithm does while it trains.
        """
        ...


class EpsilonGreedy:
    """Acts greedily on the agent's Q-values, or uniformly with probability epsilon."""

    def __init__(self, agent: QFunction, training: bool = False):
        """Acts as the agent does in training, with a noisy network's noise, or without."""
        self._num_actions = agent.num_actions

        @tf.function
        def greedy(frames: tf.Tensor) -> tf.Tensor:
            # bfloat16 holds 0 to 255 exactly; oneDNN transposes it at full speed, unlike uint8. The
            # shape between keeps TensorFlow from transposing first and casting then.
            stacks = tf.ensure_shape(tf.cast(frames, tf.bfloat16), frames.shape)
            observation = tf.transpose(stacks, [0, 2, 3, 1])
            return tf.argmax(agent.q_values(observation, training), axis=-1, output_type=tf.int32)

        self._greedy = greedy

    def action(
        self, observation: np.ndarray, epsilon: float, rng: np.random.Generator
    ) -> np.ndarray:
        """Actions int32 [N] for observations uint8 [N, 84, 84, 4].

        What it draws from `rng` depends on N alone, so equal generators explore alike.
        """
        n = len(observation)
        explore = rng.random(n) < epsilon
        actions = rng.integers(self._num_actions, size=n, dtype=np.int32)
        if explore.all():
            return actions
        # The environment hands out a view with the stack moved last; moving it back is free, and
        # the transpose is done by TensorFlow.
        frames = np.moveaxis(observation, -1, 1)
        return np.where(explore, actions, self._greedy(tf.constant(frames)).numpy())


class Episode(NamedTuple):
    """A finished game."""

    environment: int
    score: float  # raw
    clipped_return: float  # sum of the rewards clipped to +-1
    frames: int  # those of a no-op start included
    agent_steps: int  # resets excluded


class StageSeconds(collections.defaultdict[str, float]):
    """Seconds spent per stage since the last `take`; stages may overlap."""

    def __init__(self):
        super().__init__(float)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time spent within, and names it in a profiler's trace."""
        start = time.perf_counter()
        with tf.profiler.experimental.Trace(name):
            yield
        self[name] += time.perf_counter() - start

    def take(self) -> dict[str, float]:
        """The seconds so far; counting starts anew."""
        taken = dict(self)
        self.clear()
        return taken


class VectorDriver(driver.Driver):
    """Steps all environments of a batch together and writes what happened to the replay."""

    def __init__(
        self,
        env: AtariEnvironment,
        policy: EpsilonGreedy,
        replay: Replay,
        rng: np.random.Generator,
        seconds: StageSeconds,
    ):
        """Starts a game in every environment.

        Args:
          env: of N environments.
          policy: acts in them.
          replay: gets every time step.
          rng: of the exploration.
          seconds: the time spent "acting", in the "environment" and "writing" is added to it.
        """
        super().__init__(env, policy, observers=[replay.write])
        self._rng = rng
        self._seconds = seconds
        n = env.batch_size
        self._clipped_return = np.zeros(n)
        self._agent_steps = np.zeros(n, np.int64)
        self._time_step: TimeStep = env.reset()
        replay.write(self._time_step, np.zeros(n, np.int32))

    def run(self, epsilon: float) -> tuple[int, list[Episode]]:
        """One step of all environments: `act`, then `observe`."""
        return self.act(epsilon), self.observe()

    def act(self, epsilon: float) -> int:
        """Starts a step of all environments, with this exploration rate.

        Returns:
          The number of agent steps under way, which is N less the environments that are reset.
        """
        self._was_last = self._time_step.step_type == StepType.LAST
        with self._seconds.stage("acting"):
            self._actions = self.policy.action(self._time_step.observation, epsilon, self._rng)
        self.env.send(self._actions)
        return int(np.count_nonzero(~self._was_last))

    def observe(self) -> list[Episode]:
        """Waits for the end of the step and writes it.

        Returns:
          The games that ended.
        """
        with self._seconds.stage("environment"):
            self._time_step = self.env.receive()
        with self._seconds.stage("writing"):
            for observe in self.observers:
                observe(self._time_step, self._actions)

        self._clipped_return += np.clip(self._time_step.reward, -1, 1)
        self._agent_steps += ~self._was_last
        info = self.env.get_info()
        over = np.flatnonzero(info["game_over"])
        episodes = [
            Episode(
                environment=int(i),
                score=float(info["score"][i]),
                clipped_return=float(self._clipped_return[i]),
                frames=int(info["episode_frames"][i]),
                agent_steps=int(self._agent_steps[i]),
            )
            for i in over
        ]
        self._clipped_return[over] = 0
        self._agent_steps[over] = 0
        return episodes
