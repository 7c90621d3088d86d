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
from agents.errors import require
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
    """TF-Agents' `DqnAgent` with global-norm clipping and one target forward an update.

    `tf.train.Checkpoint(agent=...)` holds all that an update changes: both networks, the
    optimizer, the count of updates (`train_step_counter`) and that of the target's updates.
    """

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
          loss: of the TD error delta; "mse" is delta^2, "huber" is delta^2 / 2 up to
            |delta| = 1 and |delta| - 1/2 beyond.
          max_abs_reward: rewards are clipped to this size for learning; None leaves them.
          max_gradient_norm: the gradient is scaled down to this global norm where it is larger;
            None leaves it.
          target_update_period_updates: updates between two updates of the target network.
          target_update_tau: share of the online network in the target network's update; 1 copies.

        Raises:
          UserError: a value out of range.
        """
        period, tau = target_update_period_updates, target_update_tau
        norm = max_gradient_norm
        for name, value, holds, range_ in (
            ("n_step", n_step, n_step >= 1, "at least 1"),
            ("gamma", gamma, 0 <= gamma <= 1, "between 0 and 1"),
            (
                "max_abs_reward",
                max_abs_reward,
                max_abs_reward is None or max_abs_reward > 0,
                "above 0, or None",
            ),
            ("max_gradient_norm", norm, norm is None or norm > 0, "above 0, or None"),
            ("target_update_period_updates", period, period >= 1, "at least 1"),
            ("target_update_tau", tau, 0 < tau <= 1, "above 0 and at most 1"),
        ):
            require(f"{type(self).__name__}.{name}", value, holds, range_)
        self.num_actions = num_actions
        self.n_step = n_step
        self.gamma = gamma
        self.max_abs_reward = max_abs_reward
        self._max_gradient_norm = max_gradient_norm
        self._online, self._target = network(num_actions), network(num_actions)
        super().__init__(
            ts.time_step_spec(observation_spec()),
            tensor_spec.BoundedTensorSpec((), tf.int32, 0, num_actions - 1, "action"),
            q_network=_tf_agents_network(self._online, "QNetwork"),
            target_q_network=_tf_agents_network(self._target, "TargetQNetwork"),
            optimizer=optimizer(),
            n_step_update=n_step,
            td_errors_loss_fn=LOSSES[loss],
            gamma=gamma,
            target_update_period=period,
            target_update_tau=tau,
            train_step_counter=tf.Variable(tf.zeros((), tf.int64), name="updates"),
        )
        self.initialize()
        # Keras makes these at the first update, too late for a checkpoint to be checked against.
        self._optimizer._create_all_weights(self._online.trainable_weights)

    def q_values(self, observation: tf.Tensor) -> tf.Tensor:
        """The online network's Q-values, float32 [B, num_actions], of uint8 [B, 84, 84, 4]."""
        return self._online(observation)

    def _loss(
        self,
        experience: Transition,
        weights: tf.Tensor | None = None,
        training: bool = False,
    ) -> tf_agent.LossInfo:
        """Mean over the batch of weight * loss(delta) (Mnih et al. 2015, algorithm 1).

        delta = r + gamma discount max_a' Q_target(s', a') - Q(s, a), where r is the n-step return
        and the discount holds the other n - 1 powers of gamma, as `agents.replay.to_transition`
        makes them.
        """
        time_step, action_step, next_time_step = experience
        q_values = self._online(time_step.observation, training=training)
        q_value = common.index_with_actions(q_values, action_step.action)
        target = dqn_agent.compute_td_targets(
            self._compute_next_q_values(next_time_step, action_step.info),
            next_time_step.reward,
            self.gamma * next_time_step.discount,
        )
        td_loss = self._td_errors_loss_fn(target, q_value)
        loss = tf.reduce_mean(td_loss if weights is None else weights * td_loss)
        return tf_agent.LossInfo(loss, DqnLossInfo(td_loss, target - q_value, q_value, target))

    def _compute_next_q_values(self, next_time_steps: ts.TimeStep, info) -> tf.Tensor:
        """max_a' Q_target(s', a') in one forward; TF-Agents' own runs the target network twice."""
        return tf.reduce_max(self._target(next_time_steps.observation), axis=-1)

    def _train(self, experience: Transition, weights: tf.Tensor | None) -> tf_agent.LossInfo:
        """One update.

        Raises:
          tf.errors.InvalidArgumentError: the loss or the gradient is not finite; nothing has
            changed.
        """
        variables = self._online.trainable_weights
        with tf.GradientTape() as tape:
            loss_info = self._loss(experience, weights=weights, training=True)
        gradients = tape.gradient(loss_info.loss, variables)
        norm = tf.linalg.global_norm(gradients)
        if self._max_gradient_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, self._max_gradient_norm, norm)
        checks = [
            tf.debugging.check_numerics(loss_info.loss, "the loss is not finite"),
            tf.debugging.check_numerics(norm, "the gradient is not finite"),
        ]
        # A graph would otherwise apply the gradient before, or while, it checks it.
        with tf.control_dependencies(checks):
            self._optimizer.apply_gradients(zip(gradients, variables, strict=True))
            self.train_step_counter.assign_add(1)
            self._update_target()
        return tf_agent.LossInfo(loss_info.loss, UpdateInfo(loss_info.extra, norm))


@configurable
class DoubleDQN(DQN):
    """Double DQN (van Hasselt et al. 2016): the online network chooses, the target one judges."""

    def _compute_next_q_values(self, next_time_steps: ts.TimeStep, info) -> tf.Tensor:
        """Q_target(s', argmax_a' Q(s', a'))."""
        observation = next_time_steps.observation
        best = tf.argmax(self._online(observation), axis=-1, output_type=tf.int32)
        return common.index_with_actions(self._target(observation), best)


def _tf_agents_network(model: tf.keras.Model, name: str) -> sequential.Sequential:
    """The model as `DqnAgent` asks for it; both share their weights."""
    return sequential.Sequential([model], input_spec=observation_spec(), name=name)
