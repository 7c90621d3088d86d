"""The learner: batches of windows go in, an updated agent and its statistics come out.

Many updates run inside one graph call, so Python is entered once a call and not once an update.
"""

from typing import Any

import tensorflow as tf

from agents.algorithms.dqn import DQN
from agents.replay import Window, to_transition


class NonFiniteLossError(Exception):
    """The loss or the gradient became inf or nan."""


class Learner:
    """Runs updates of an agent over an endless dataset of windows."""

    def __init__(self, agent: DQN, dataset: tf.data.Dataset):
        self._agent = agent
        self._iterator = iter(dataset)

    def run(self, updates: int) -> dict[str, float]:
        """Does this many updates.

        Returns:
          Means over them of "loss", "q_value", "target", "gradient_norm" and
          "sampling_seconds", the wait for a batch per update.

        Raises:
          NonFiniteLossError: the network is then as it was before the bad update.
        """
        try:
            means = self._run(tf.constant(updates))
        except tf.errors.InvalidArgumentError as e:
            if "not finite" not in str(e.message):
                raise
            raise NonFiniteLossError(
                f"the loss or its gradient is not finite at update {self.updates + 1}"
            ) from e
        return {name: float(mean) for name, mean in means.items()}

    @property
    def updates(self) -> int:
        """Updates done so far."""
        return int(self._agent.train_step_counter)

    @tf.function
    def _run(self, updates: tf.Tensor) -> dict[str, tf.Tensor]:
        zero = tf.zeros(())
        sums = dict.fromkeys(
            ("loss", "q_value", "target", "gradient_norm", "sampling_seconds"), zero
        )
        for _ in tf.range(updates):
            start = tf.timestamp()
            with tf.control_dependencies([start]):
                window: Window = next(self._iterator)
            with tf.control_dependencies(tf.nest.flatten(window)):
                waited = tf.cast(tf.timestamp() - start, tf.float32)
            transition = to_transition(window, self._agent.gamma, self._agent.max_abs_reward)
            info: Any = self._agent.train(transition)
            sums = {
                "loss": sums["loss"] + info.loss,
                "q_value": sums["q_value"] + tf.reduce_mean(info.extra.loss.q_value),
                "target": sums["target"] + tf.reduce_mean(info.extra.loss.target),
                "gradient_norm": sums["gradient_norm"] + info.extra.gradient_norm,
                "sampling_seconds": sums["sampling_seconds"] + waited,
            }
        count = tf.cast(updates, tf.float32)
        return {name: total / count for name, total in sums.items()}


