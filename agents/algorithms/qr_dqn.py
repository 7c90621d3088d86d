"""QR-DQN (Dabney et al. 2018): quantiles of the return per action.

In:  as `agents.algorithms.dqn`; the network puts out quantiles [B, num_actions, num_quantiles].
Out: as there; the loss and the priority of a transition are its quantile Huber loss.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tf_agents.trajectories import Transition
from tf_agents.utils import common

from agents.algorithms.dqn import DQN, DqnLossInfo
from agents.configuration import configurable
from agents.errors import require


def quantile_huber_loss(
    target: tf.Tensor, predicted: tf.Tensor, tau: tf.Tensor, kappa: float
) -> tf.Tensor:
    """The quantile Huber loss (Dabney et al. 2018, eq. 10), float32 [B].

    With delta = target_j - predicted_i it is the sum over i and the mean over j of

        |tau_i - 1{delta < 0}| huber_kappa(delta) / kappa

    Args:
      target: samples of the target distribution, [B, M].
      predicted: quantiles, [B, N].
      tau: their fractions, [N].
      kappa: up to which the Huber loss is quadratic.
    """
    delta = target[:, :, None] - predicted[:, None, :]
    size = tf.abs(delta)
    huber = tf.where(size <= kappa, size**2 / 2, kappa * (size - kappa / 2))
    weight = tf.abs(tau - tf.cast(delta < 0, tf.float32))
    return tf.reduce_sum(tf.reduce_mean(weight * huber / kappa, axis=1), axis=-1)


@configurable
class QRDQN(DQN):
    """DQN that learns the quantiles of the return at equally spaced fractions."""

    def __init__(self, num_actions: int, *, num_quantiles: int = 200, kappa: float = 1.0, **kwargs):
        """Makes the networks.

        Args:
          num_actions: of the game.
          num_quantiles: per action.
          kappa: of the quantile Huber loss.
          **kwargs: those of `DQN` but `loss`.

        Raises:
          UserError: a value out of range.
        """
        require("QRDQN.num_quantiles", num_quantiles, num_quantiles >= 1, "at least 1")
        require("QRDQN.kappa", kappa, kappa > 0, "above 0")
        self._num_quantiles = num_quantiles
        self._kappa = kappa
        super().__init__(num_actions, **self._with(kwargs, loss="mse"))  # of no use here

    def _make_model(self, network: Callable[..., tf.keras.Model]) -> tf.keras.Model:
        return network(self.num_actions, atoms=self._num_quantiles)

    def _expectation(self, outputs: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(outputs, axis=-1)

    def _loss_per_transition(self, experience: Transition, training: bool) -> DqnLossInfo:
        time_step, action_step, next_time_step = experience
        predicted, tau = self._quantiles(time_step.observation, action_step.action, training)
        next_quantiles = self._next_outputs(next_time_step.observation, training)
        discount = self.gamma * next_time_step.discount
        target = next_time_step.reward[:, None] + discount[:, None] * next_quantiles
        target = tf.stop_gradient(target)
        td_loss = quantile_huber_loss(target, predicted, tau, self._kappa)
        q_value, target_value = self._expectation(predicted), self._expectation(target)
        return DqnLossInfo(td_loss, td_loss, q_value, target_value)

    def _quantiles(
        self, observation: tf.Tensor, action: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The online network's quantiles [B, N] of the action taken, and their fractions [N]."""
        outputs = self._outputs(self._online, observation, training)
        return common.index_with_actions(outputs, action), midpoints(self._num_quantiles)


def midpoints(n: int) -> tf.Tensor:
    """The middles of n equal parts of [0, 1], float32 [n]."""
    return tf.constant((np.arange(n) + 0.5) / n, tf.float32)
