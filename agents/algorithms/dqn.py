"""DQN (Mnih et al. 2015) on TF-Agents' `DqnAgent`, and what all algorithms of its family share.

In:  a batch of n-step `Transition`s, observations [B, 84, 84, 4] from 0 to 255, and weights, if
     any.
Out: an updated Q-network; loss, priorities, Q-values, targets and the gradient norm per update.

An algorithm of the family is a subclass. It says what its network puts out per action
(`_make_model`, `_outputs`), what Q-value that means (`_expectation`) and what is learned from a
transition (`_loss_per_transition`; where the outputs are values, only their target: `_td_target`,
`_next_outputs`).
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.agents.dqn import dqn_agent
from tf_agents.networks import sequential
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import Transition
from tf_agents.trajectories import time_step as ts
from tf_agents.utils import common

from agents.configuration import configurable
from agents.errors import UserError, require
from agents.networks import OBSERVATION_SHAPE
from agents.networks.layers import NoisyDense

LOSSES = {
    "mse": common.element_wise_squared_loss,
    "huber": common.element_wise_huber_loss,
}


class DqnLossInfo(NamedTuple):
    """Per transition, float32 [B]."""

    td_loss: tf.Tensor  # unweighted
    priority: tf.Tensor  # in a prioritized replay, at least 0
    q_value: tf.Tensor  # of the action taken
    target: tf.Tensor  # of that Q-value


class UpdateInfo(NamedTuple):
    """What one update reports."""

    loss: DqnLossInfo
    gradient_norm: tf.Tensor  # float32 scalar, before clipping


def observation_spec() -> tf.TensorSpec:
    """What every agent of this project observes."""
    return tensor_spec.BoundedTensorSpec(OBSERVATION_SHAPE, tf.uint8, 0, 255, "observation")


@configurable
class DQN(dqn_agent.DqnAgent):
    """TF-Agents' `DqnAgent` with global-norm clipping, Double Q-learning and image augmentation.

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
        double: bool = False,
        max_abs_reward: float | None = 1.0,
        max_gradient_norm: float | None = None,
        target_update_period_updates: int = 2000,
        target_update_tau: float = 1.0,
        augmentation: Callable[[tf.Tensor], tf.Tensor] | None = None,
        name: str | None = None,
    ):
        """Makes the online and the target network.

        Args:
          num_actions: of the game.
          network: `network(num_actions)` makes a Keras Q-network; distributional agents pass it
            what `agents.networks.q_network` takes besides.
          optimizer: `optimizer()` makes a Keras optimizer.
          n_step: agent steps per return.
          gamma: discount per agent step.
          loss: of the TD error delta; "mse" is delta^2, "huber" is delta^2 / 2 up to
            |delta| = 1 and |delta| - 1/2 beyond. Distributional agents have losses of their own.
          double: the online network chooses the next action and the target network judges it
            (van Hasselt et al. 2016); else the target network does both.
          max_abs_reward: rewards are clipped to this size for learning; None leaves them.
          max_gradient_norm: the gradient is scaled down to this global norm where it is larger;
            None leaves it.
          target_update_period_updates: updates between two updates of the target network.
          target_update_tau: share of the online network in the target network's update; 1 copies.
          augmentation: `augmentation(images)` changes the images of an update, bfloat16 from 0 to
            255, the observations and the next ones each on their own.
          name: of the algorithm, for run directories and exports; None is the class's.

        Raises:
          UserError: a value out of range.
        """
        period, tau = target_update_period_updates, target_update_tau
        norm = max_gradient_norm
        for argument, value, holds, range_ in (
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
            require(f"DQN.{argument}", value, holds, range_)
        if name is not None and not name.isidentifier():
            raise UserError(f"DQN.name must be of letters, digits and _, got {name!r}")
        self.num_actions = num_actions
        self.n_step = n_step
        self.gamma = gamma
        self.max_abs_reward = max_abs_reward
        self._double = double
        self._max_gradient_norm = max_gradient_norm
        self._augmentation = augmentation
        if augmentation is not None:  # its arguments are looked at now, not at the first update
            augmentation(tf.zeros((1, *OBSERVATION_SHAPE), tf.bfloat16))
        self._online, self._target = (self._make_model(network) for _ in range(2))
        # Where every update copies, both networks are one, and a pass of the target's is enough,
        # unless each pass has noise of its own.
        is_noisy = any(isinstance(layer, NoisyDense) for layer in self._online.layers)
        self._online_chooses = double and (period > 1 or tau < 1 or is_noisy)
        super().__init__(
            ts.time_step_spec(observation_spec()),
            tensor_spec.BoundedTensorSpec((), tf.int32, 0, num_actions - 1, "action"),
            q_network=self._policy_network(self._online, "QNetwork"),
            target_q_network=self._policy_network(self._target, "TargetQNetwork"),
            optimizer=optimizer(),
            n_step_update=n_step,
            td_errors_loss_fn=LOSSES[loss],
            gamma=gamma,
            target_update_period=period,
            target_update_tau=tau,
            train_step_counter=tf.Variable(tf.zeros((), tf.int64), name="updates"),
            name=name or type(self).__name__,
        )
        self.initialize()
        # Keras makes these at the first update, too late for a checkpoint to be checked against.
        self._optimizer._create_all_weights(self._online.trainable_weights)

    @property
    def precision(self) -> str:
        """In which the network computes: "float32" or "mixed_bfloat16"."""
        is_mixed = any(layer.compute_dtype == "bfloat16" for layer in self._online.layers)
        return "mixed_bfloat16" if is_mixed else "float32"

    def q_values(self, observation: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The online network's Q-values, float32 [B, num_actions], of [B, 84, 84, 4].

        Args:
          observation: from 0 to 255, of any type.
          training: acts as the algorithm does while it trains: noisy networks with their noise,
            implicit quantiles at random fractions. Without it equal observations have equal values.
        """
        return self._expectation(self._outputs(self._online, observation, training))

    def _with(self, kwargs: Mapping[str, Any], **own: Any) -> dict[str, Any]:
        """The arguments for a base class, some of which are this agent's own to give.

        So a user's binding of these, such as `DQN.loss`, is one that nothing uses.

        Raises:
          UserError: one of them is bound for this agent, as in `C51.loss`.
        """
        for argument in own.keys() & kwargs.keys():
            raise UserError(f"{type(self).__name__} has no use for {argument}: leave it out")
        return {**kwargs, **own}

    def _make_model(self, network: Callable[..., tf.keras.Model]) -> tf.keras.Model:
        return network(self.num_actions)

    def _outputs(
        self, model: tf.keras.Model, observation: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """What a network says of all actions: [B, num_actions], or [B, num_actions, N]."""
        return model(observation, training=training)

    def _expectation(self, outputs: tf.Tensor) -> tf.Tensor:
        """The Q-values [B, num_actions] of outputs."""
        return outputs

    def _policy_network(self, model: tf.keras.Model, name: str) -> sequential.Sequential:
        """The model's Q-values as `DqnAgent` asks for them; they share their weights."""
        observation = tf.keras.Input(OBSERVATION_SHAPE, dtype=tf.uint8)
        outputs = self._outputs(model, observation)
        q_values = self._expectation(outputs)
        if q_values is not outputs:  # else the model has them, and checkpoints a level less
            model = tf.keras.Model(observation, q_values)
        return sequential.Sequential([model], input_spec=observation_spec(), name=name)

    def _loss(
        self,
        experience: Transition,
        weights: tf.Tensor | None = None,
        training: bool = False,
    ) -> tf_agent.LossInfo:
        """Mean over the batch of weight * loss."""
        info = self._loss_per_transition(experience, training)
        loss = tf.reduce_mean(info.td_loss if weights is None else weights * info.td_loss)
        return tf_agent.LossInfo(loss, info)

    def _loss_per_transition(self, experience: Transition, training: bool) -> DqnLossInfo:
        """loss(delta), delta = target - Q(s, a) (Mnih et al. 2015, algorithm 1)."""
        time_step, action_step, _ = experience
        outputs = self._outputs(self._online, time_step.observation, training)
        q_value = common.index_with_actions(outputs, action_step.action)
        target = tf.stop_gradient(self._td_target(experience, training))
        td_loss = self._td_errors_loss_fn(target, q_value)
        return DqnLossInfo(td_loss, tf.abs(target - q_value), q_value, target)

    def _td_target(self, experience: Transition, training: bool) -> tf.Tensor:
        """r + gamma discount Q_target(s', a'), [B].

        r is the n-step return and the discount holds the other n - 1 powers of gamma, as
        `agents.replay.to_transition` makes them.
        """
        next_time_step = experience.next_time_step
        next_q_values = self._next_outputs(next_time_step.observation, training)
        return next_time_step.reward + self.gamma * next_time_step.discount * next_q_values

    def _next_outputs(self, next_observation: tf.Tensor, training: bool) -> tf.Tensor:
        """The target network's outputs [B] or [B, N] for the next action a', the best one."""
        outputs = self._outputs(self._target, next_observation, training)
        judges = outputs
        if self._online_chooses:
            judges = self._outputs(self._online, next_observation, training)
        best = tf.argmax(self._expectation(judges), axis=-1, output_type=tf.int32)
        return common.index_with_actions(outputs, best)

    def _train(self, experience: Transition, weights: tf.Tensor | None) -> tf_agent.LossInfo:
        """One update.

        Raises:
          tf.errors.InvalidArgumentError: the loss or the gradient is not finite; nothing has
            changed but the u of a `SpectralConv2D`.
        """
        if self._augmentation is not None:
            experience = _augmented(experience, self._augmentation)
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


def _augmented(
    experience: Transition, augmentation: Callable[[tf.Tensor], tf.Tensor]
) -> Transition:
    time_step, action_step, next_time_step = experience
    return Transition(
        time_step._replace(observation=augmentation(time_step.observation)),
        action_step,
        next_time_step._replace(observation=augmentation(next_time_step.observation)),
    )
