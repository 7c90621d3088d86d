"""The learner: batches of windows go in, an updated agent, its statistics and priorities come out.

Many updates run inside one graph call, so Python is entered once a call and not once an update.
Of every tensor that Python holds TensorFlow 2.15 leaks some 50 bytes under Python 3.11, so a call
makes few of them.
"""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from agents.algorithms.dqn import DQN
from agents.replay import Window, importance_weights, to_transition

_MEANS = ("loss", "q_value", "target", "gradient_norm")
_constant = functools.lru_cache(maxsize=16, typed=True)(tf.constant)


class NonFiniteLossError(Exception):
    """The loss or the gradient became inf or nan."""


class Learner:
    """Runs updates of an agent over an endless dataset of windows."""

    def __init__(
        self,
        agent: DQN,
        dataset: tf.data.Dataset,
        update_priorities: Callable[[np.ndarray, np.ndarray], None] | None = None,
    ):
        """Draws nothing yet.

        Args:
          agent: to update.
          dataset: endless `Window`s.
          update_priorities: is given the keys uint64 [updates * B] and priorities float32
            [updates * B] after each `run`, in their order; the losses are then weighted. None where
            the windows are drawn uniformly.
        """
        self._agent = agent
        self._iterator = iter(dataset)
        self._update_priorities = update_priorities
        self._updates: int | None = None  # not looked at since the last call

    def run(self, updates: int, importance_exponent: float = 0.0) -> dict[str, float]:
        """Does this many updates, at least one.

        Args:
          updates: how many; their batches are held in memory together.
          importance_exponent: of the weights of prioritized windows, see `importance_weights`.

        Returns:
          Means over them of "loss" (unweighted), "q_value", "target", "gradient_norm" (before
          clipping) and "sampling_seconds", the wait for a batch per update.

        Raises:
          NonFiniteLossError: the agent is then as it was before the bad update.
        """
        self._updates = None
        try:
            means, batches = self._run(_constant(updates), _constant(float(importance_exponent)))
        except tf.errors.InvalidArgumentError as e:
            if "not finite" not in e.message:
                raise
            raise NonFiniteLossError(
                f"the loss or its gradient is not finite at update {self.updates + 1}"
            ) from e
        if self._update_priorities is not None:
            self._update_priorities(*(part.numpy().ravel() for part in batches))
        return dict(zip((*_MEANS, "sampling_seconds"), means.numpy().tolist(), strict=True))

    @property
    def updates(self) -> int:
        """Updates done so far."""
        if self._updates is None:
            self._updates = int(self._agent.train_step_counter)
        return self._updates

    @tf.function
    def _run(
        self, updates: tf.Tensor, importance_exponent: tf.Tensor
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        """The means of `run`, float32 [5]; keys and priorities [updates, B], if there are any."""
        # All are drawn first: what unpacks a batch would take a core from the update before.
        start = tf.timestamp()
        specs = tf.nest.flatten(self._iterator.element_spec)
        drawn = [tf.TensorArray(spec.dtype, updates, element_shape=spec.shape) for spec in specs]
        with tf.control_dependencies([start]):
            for update in tf.range(updates):
                batch = next(self._iterator)
                drawn = [parts.write(update, p) for parts, p in zip(drawn, batch, strict=True)]
        with tf.control_dependencies([parts.flow for parts in drawn]):
            sampling_seconds = tf.cast(tf.timestamp() - start, tf.float32)
        # A lone thread might otherwise look at the clock last.
        with tf.control_dependencies([sampling_seconds]):
            updates = tf.identity(updates)

        sums = tf.zeros(len(_MEANS))
        keys = tf.TensorArray(tf.uint64, updates)
        priorities = tf.TensorArray(tf.float32, updates)
        for update in tf.range(updates):
            window = Window(*(parts.read(update) for parts in drawn))
            transition = to_transition(window, self._agent.gamma, self._agent.max_abs_reward)
            weights = None
            if self._update_priorities is not None:
                weights = importance_weights(window.probability, importance_exponent)
            _, (per_transition, gradient_norm) = self._agent.train(transition, weights)
            keys = keys.write(update, window.key)
            priorities = priorities.write(update, per_transition.priority)
            means = [
                tf.reduce_mean(part)
                for part in (per_transition.td_loss, per_transition.q_value, per_transition.target)
            ]
            sums += tf.stack([*means, gradient_norm])
        means = tf.concat([sums, [sampling_seconds]], axis=0) / tf.cast(updates, tf.float32)
        is_prioritized = self._update_priorities is not None
        return means, (keys.stack(), priorities.stack()) if is_prioritized else ()
