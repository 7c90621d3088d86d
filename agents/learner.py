"""The learner: batches of windows go in, an updated agent and its statistics come out.

Many updates run inside one graph call, so Python is entered once a call and not once an update.
"""

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
        """Does this many updates, at least one.

        Returns:
          Means over them of "loss", "q_value", "target", "gradient_norm" (before clipping) and
          "sampling_seconds", the wait for a batch per update.

        Raises:
          NonFiniteLossError: the agent is then as it was before the bad update.
        """
        try:
            means = self._run(tf.constant(updates))
        except tf.errors.InvalidArgumentError as e:
            if "not finite" not in e.message:
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
        names = ("loss", "q_value", "target", "gradient_norm", "sampling_seconds")
        sums = dict.fromkeys(names, tf.zeros(()))
        for _ in tf.range(updates):
            start = tf.timestamp()
            with tf.control_dependencies([start]):
                window: Window = next(self._iterator)
            with tf.control_dependencies(tf.nest.flatten(window)):
                waited = tf.cast(tf.timestamp() - start, tf.float32)
            transition = to_transition(window, self._agent.gamma, self._agent.max_abs_reward)
            loss, (per_transition, gradient_norm) = self._agent.train(transition)
            values = {
                "loss": loss,
                "q_value": tf.reduce_mean(per_transition.q_value),
                "target": tf.reduce_mean(per_transition.target),
                "gradient_norm": gradient_norm,
                "sampling_seconds": waited,
            }
            sums = {name: sums[name] + values[name] for name in sums}
        return {name: total / tf.cast(updates, tf.float32) for name, total in sums.items()}
