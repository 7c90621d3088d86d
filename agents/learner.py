"""The learner: batches of windows go in, an updated agent, its statistics and priorities come out.

Many updates run inside one graph call, so Python is entered once a call and not once an update.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from agents.algorithms.dqn import DQN
from agents.replay import Window, importance_weights, to_transition


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
        try:
            means, keys, priorities = self._run(
                tf.constant(updates), tf.constant(importance_exponent, tf.float32)
            )
        except tf.errors.InvalidArgumentError as e:
            if "not finite" not in e.message:
                raise
            raise NonFiniteLossError(
                f"the loss or its gradient is not finite at update {self.updates + 1}"
            ) from e
        if self._update_priorities is not None:
            self._update_priorities(keys.numpy().ravel(), priorities.numpy().ravel())
        return {name: float(mean) for name, mean in means.items()}

    @property
    def updates(self) -> int:
        """Updates done so far."""
        return int(self._agent.train_step_counter)

    @tf.function
    def _run(
        self, updates: tf.Tensor, importance_exponent: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
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

        names = ("loss", "q_value", "target", "gradient_norm")
        sums: dict[str, tf.Tensor] = dict.fromkeys(names, tf.zeros(()))
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
            values = {
                "loss": tf.reduce_mean(per_transition.td_loss),
                "q_value": tf.reduce_mean(per_transition.q_value),
                "target": tf.reduce_mean(per_transition.target),
                "gradient_norm": gradient_norm,
            }
            sums = {name: sums[name] + values[name] for name in sums}
        sums["sampling_seconds"] = sampling_seconds
        means = {name: total / tf.cast(updates, tf.float32) for name, total in sums.items()}
        return means, keys.stack(), priorities.stack()
