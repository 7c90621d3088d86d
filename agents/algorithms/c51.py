"""C51 (Bellemare et al. 2017): a categorical distribution of the return per action.

In:  as `agents.algorithms.dqn`; the network puts out logits [B, num_actions, num_atoms].
Out: as there; the loss and the priority of a transition are its cross-entropy.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tf_agents.agents.categorical_dqn.categorical_dqn_agent import project_distribution
from tf_agents.trajectories import Transition
from tf_agents.utils import common

from agents.algorithms.dqn import DQN, DqnLossInfo
from agents.configuration import configurable
from agents.errors import require


@configurable
class C51(DQN):
    """DQN that learns the distribution of returns over equally spaced atoms.

    TF-Agents' `CategoricalDqnAgent` ignores weights, has no Double Q-learning and no priorities.
    """

    def __init__(
        self,
        num_actions: int,
        *,
        num_atoms: int = 51,
        v_min: float = -10.0,
        v_max: float = 10.0,
        **kwargs,
    ):
        """Makes the networks.

        Args:
          num_actions: of the game.
          num_atoms: returns that have a probability, v_min and v_max among them.
          v_min: the least return; lesser ones count as it.
          v_max: the largest return; larger ones count as it.
          **kwargs: those of `DQN` but `loss`.

        Raises:
          UserError: a value out of range.
        """
        require("C51.num_atoms", num_atoms, num_atoms >= 2, "at least 2")
        require("C51.v_max", v_max, v_max > v_min, f"above v_min, which is {v_min}")
        self._num_atoms = num_atoms
        self._v_min, self._v_max = v_min, v_max
        super().__init__(num_actions, **self._with(kwargs, loss="mse"))  # of no use here

    def _make_model(self, network: Callable[..., tf.keras.Model]) -> tf.keras.Model:
        return network(self.num_actions, atoms=self._num_atoms)

    def _support(self) -> tf.Tensor:
        """The atoms, float32 [num_atoms]."""
        return tf.constant(np.linspace(self._v_min, self._v_max, self._num_atoms), tf.float32)

    def _expectation(self, outputs: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.nn.softmax(outputs) * self._support(), axis=-1)

    def _loss_per_transition(self, experience: Transition, training: bool) -> DqnLossInfo:
        """The cross-entropy of the projected target distribution (algorithm 1, eq. 7)."""
        time_step, action_step, next_time_step = experience
        outputs = self._outputs(self._online, time_step.observation, training)
        logits = common.index_with_actions(outputs, action_step.action)
        next_logits = self._next_outputs(next_time_step.observation, training)
        discount = self.gamma * next_time_step.discount
        support = self._support()
        returns = next_time_step.reward[:, None] + discount[:, None] * support
        target = project_distribution(returns, tf.nn.softmax(next_logits), support)
        target = tf.stop_gradient(target)
        td_loss = tf.nn.softmax_cross_entropy_with_logits(target, logits)
        target_value = tf.reduce_sum(target * support, axis=-1)
        return DqnLossInfo(td_loss, td_loss, self._expectation(logits), target_value)
