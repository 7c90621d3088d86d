"""DQN (Mnih et al. 2015) on TF-Agents' `DqnAgent`.

In:  a batch of n-step `Transition`s, observations uint8 [B, 84, 84, 4].
Out: an updated Q-network; loss, TD errors, Q-values, targets and the gradient norm per update.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.agents.dqn import dqn_agent
from tf_agents.networks import sequential
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import Transition
from tf_agents.trajectories import time_step as ts
from tf_agents.utils import common

from agents.configuration import configurable
from agents.errors import UserError
from agents.networks import OBSERVATION_SHAPE

LOSSES = {
    "mse": common.element_wise_squared_loss,
    "huber": common.element_wise_huber_loss,
}


class DqnLossInfo(NamedTuple):
    """Per transition, float32 [B]."""

    td_loss: tf.Tensor  # unweighted
    td_error: tf.Tensor  # signed, target minus Q
    q_value: tf.Tensor  # of the action taken
    target: tf.Tensor


class UpdateInfo(NamedTuple):
    """What one update reports."""

    loss: DqnLossInfo
    gradient_norm: tf.Tensor  # float32 scalar, before clipping


def observation_spec() -> tf.TensorSpec:
    """What every agent of this project observes."""
    return tensor_spec.BoundedTensorSpec(OBSERVATION_SHAPE, tf.uint8, 0, 255, "observation")


@configurable
class DQN(dqn_agent.DqnAgent):
    """TF-Agents' `DqnAgent` with global-norm clipping and one target forward an update."""

    def __init__(
        self,
        num_actions: int,
        *,
        network: Callable[..., tf.keras.Model],
        optimizer: Callable[[], tf.keras.optimizers.legacy.Optimizer],
        n_step: int = 1,
        gamma: float = 0.99,
        loss: Literal["mse", "huber"] = "mse",
        max_abs_reward: float | None = 1.0,
        max_gradient_norm: float | None = None,
        target_update_period_updates: int = 2000,
        target_update_tau: float = 1.0,
    ):
        """Makes the online and the target network.

        Args:
          num_actions: of the game.
          network: `network(num_actions)` makes a Keras Q-network.
          optimizer: `optimizer()` makes a Keras optimizer.
          n_step: agent steps per return.
          gamma: discount per agent step.
          loss: of the TD error; "huber" has its bend at 1. Both without a factor for "mse"
            (delta^2) and with 1/2 delta^2 inside the bend for "huber".
          max_abs_reward: rewards are clipped to this size for learning; None leaves them.
          max_gradient_norm: the gradient's global norm is clipped to this; None leaves it.
          target_update_period_updates: updates between two updates of the target network.
          target_update_tau: share of the online network in the target network's update; 1 copies.

        Raises:
          UserError: a value out of range.
        """
        for name, value, is_fine, range_ in (
            ("n_step", n_step, n_step >= 1, "at least 1"),
            ("gamma", gamma, 0 <= gamma <= 1, "between 0 and 1"),
            (
                "target_update_period_updates",
                target_update_period_updates,
                target_update_period_updates >= 1,
                "at least 1",
            ),
            (
                "target_update_tau",
                target_update_tau,
                0 < target_update_tau <= 1,
                "above 0 and at most 1",
            ),
        ):
            if not is_fine:
                raise UserError(f"{type(self).__name__}.{name} must be {range_}, got {value}")
        self.num_actions = num_actions
        self.n_step = n_step
        self.gamma = gamma
        self.max_abs_reward = max_abs_reward
        self._max_gradient_norm = max_gradient_norm
        q_network, target_q_network = (
            sequential.Sequential([network(num_actions)], input_spec=observation_spec(), name=name)
            for name in ("QNetwork", "TargetQNetwork")
        )
        super().__init__(
            ts.time_step_spec(observation_spec()),
            tensor_spec.BoundedTensorSpec((), tf.int32, 0, num_actions - 1, "action"),
            q_network=q_network,
            target_q_network=target_q_network,
            optimizer=optimizer(),
            n_step_update=n_step,
            td_errors_loss_fn=LOSSES[loss],
            gamma=gamma,
            target_update_period=target_update_period_updates,
            target_update_tau=target_update_tau,
            train_step_counter=tf.Variable(0, dtype=tf.int64, name="updates"),
        )
        self.initialize()

    def q_values(self, observation: tf.Tensor) -> tf.Tensor:
        """The online network's Q-values, float32 [B, num_actions], of uint8 [B, 84, 84, 4]."""
        return self._q_network(observation)[0]

    def _loss(
        self,
        experience: Transition,
        td_errors_loss_fn=None,
        gamma: float = 1.0,
        reward_scale_factor: float = 1.0,
        weights: tf.Tensor | None = None,
        training: bool = False,
    ) -> tf_agent.LossInfo:
        """Mean over the batch of weights * loss(r + gamma discount max_a' Q_target(s', a'), Q(s, a)).

        The reward is the n-step return and the discount holds the other n - 1 powers of gamma, as
        `agents.replay.to_transition` makes them (Mnih et al. 2015, algorithm 1).
        """
        del td_errors_loss_fn, reward_scale_factor
        q_value = self._compute_q_values(
            experience.time_step, experience.action_step.action, training=training
        )
        next_time_step = experience.next_time_step
        target = dqn_agent.compute_td_targets(
            self._compute_next_q_values(next_time_step, ()),
            next_time_step.reward,
            gamma * next_time_step.discount,
        )
        td_loss = self._td_errors_loss_fn(target, q_value)
        loss = tf.reduce_mean(td_loss if weights is None else weights * td_loss)
        return tf_agent.LossInfo(loss, DqnLossInfo(td_loss, target - q_value, q_value, target))

    def _compute_next_q_values(self, next_time_steps: ts.TimeStep, info) -> tf.Tensor:
        """max_a' Q_target(s', a') in one forward; TF-Agents' own runs the target network twice."""
        del info
        return tf.reduce_max(self._target_q_network(next_time_steps.observation)[0], axis=-1)

    def _train(self, experience: Transition, weights: tf.Tensor | None) -> tf_agent.LossInfo:
        """One update. Raises `tf.errors.InvalidArgumentError` if loss or gradient is not finite."""
        variables = self._q_network.trainable_weights
        with tf.GradientTape() as tape:
            loss_info = self._loss(experience, gamma=self._gamma, weights=weights, training=True)
        gradients = tape.gradient(loss_info.loss, variables)
        norm = tf.linalg.global_norm(gradients)
        tf.debugging.check_numerics(loss_info.loss, "the loss is not finite")
        tf.debugging.check_numerics(norm, "the gradient is not finite")
        if self._max_gradient_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, self._max_gradient_norm, norm)
        self._optimizer.apply_gradients(zip(gradients, variables))
        self.train_step_counter.assign_add(1)
        self._update_target()
        return tf_agent.LossInfo(loss_info.loss, UpdateInfo(loss_info.extra, norm))


@configurable
class DoubleDQN(DQN):
    """Double DQN (van Hasselt et al. 2016): the online network chooses, the target one judges."""

    def _compute_next_q_values(self, next_time_steps: ts.TimeStep, info) -> tf.Tensor:
        """Q_target(s', argmax_a' Q(s', a'))."""
        del info
        observation = next_time_steps.observation
        best = tf.argmax(self._q_network(observation)[0], axis=-1)
        return tf.gather(self._target_q_network(observation)[0], best, batch_dims=1)
