"""IQN (Dabney et al. 2018, "Implicit Quantile Networks"): any quantile of the return per action.

In:  as `agents.algorithms.dqn`; the network takes observations and fractions tau [N], and puts out
     quantiles [B, num_actions, N].
Out: as there; the loss and the priority of a transition are its quantile Huber loss.

A batch shares its fractions, so that their embedding costs as many times less as there are
transitions, and they are stratified: n of them are one of each of n equal parts of [0, 1]. For a
given next action, loss and gradient are sums over fractions, with the same expectation as with the
paper's, which are independent and drawn for each transition, and no more noise where that was
measured (docs/algorithms.md). The next action itself is chosen with less noise.
"""

from collections.abc import Callable

import tensorflow as tf
from tf_agents.utils import common

from agents.algorithms.qr_dqn import QRDQN, midpoints
from agents.configuration import configurable
from agents.errors import require


@configurable
class IQN(QRDQN):
    """QR-DQN whose fractions are drawn for each update, of predictions and targets each."""

    def __init__(
        self,
        num_actions: int,
        *,
        num_tau: int = 64,
        num_target_tau: int = 64,
        num_action_tau: int = 32,
        num_cosines: int = 64,
        **kwargs,
    ):
        """Makes the networks.

        Args:
          num_actions: of the game.
          num_tau: fractions per batch (N below the paper's eq. 3).
          num_target_tau: those of the targets (N').
          num_action_tau: those that are averaged to choose an action (K). They are random in
            training and the middles of equal parts otherwise.
          num_cosines: that embed a fraction (n in eq. 4).
          **kwargs: `kappa`, and those of `DQN` but `loss`.

        Raises:
          UserError: a value out of range.
        """
        for argument, value in (
            ("num_tau", num_tau),
            ("num_target_tau", num_target_tau),
            ("num_action_tau", num_action_tau),
            ("num_cosines", num_cosines),
        ):
            require(f"IQN.{argument}", value, value >= 1, "at least 1")
        self._num_target_tau = num_target_tau
        self._num_action_tau = num_action_tau
        self._num_cosines = num_cosines
        super().__init__(num_actions, **self._with(kwargs, num_quantiles=num_tau))

    def _make_model(self, network: Callable[..., tf.keras.Model]) -> tf.keras.Model:
        return network(self.num_actions, cosines=self._num_cosines)

    def _outputs(
        self, model: tf.keras.Model, observation: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """The quantiles [B, num_actions, num_action_tau] that choose an action."""
        k = self._num_action_tau
        tau = self._random_tau(k) if training else midpoints(k)
        return model([observation, tau], training=training)

    def _quantiles(
        self, observation: tf.Tensor, action: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        tau = self._random_tau(self._num_quantiles)
        outputs = self._online([observation, tau], training=training)
        return common.index_with_actions(outputs, action), tau

    def _next_outputs(self, next_observation: tf.Tensor, training: bool) -> tf.Tensor:
        """As DQN's; the fractions that choose the action are not those of the target."""
        n, k = self._num_target_tau, self._num_action_tau
        tau = self._random_tau(n)
        if self._online_chooses:
            quantiles = self._target([next_observation, tau], training=training)
            judges = self._outputs(self._online, next_observation, training=True)
        else:
            # One pass for both, which share what the encoder makes of the observations.
            tau = tf.concat([tau, self._random_tau(k)], axis=0)
            outputs = self._target([next_observation, tau], training=training)
            quantiles, judges = tf.split(outputs, [n, k], axis=-1)
        best = tf.argmax(self._expectation(judges), axis=-1, output_type=tf.int32)
        return common.index_with_actions(quantiles, best)

    def _random_tau(self, n: int) -> tf.Tensor:
        """Fractions, uniform in each of n equal parts of [0, 1], float32 [n]."""
        return (tf.range(float(n)) + tf.random.uniform([n])) / n
