"""Munchausen DQN (Vieillard et al. 2020): DQN that adds its scaled log-policy to the reward.

In:  as `agents.algorithms.dqn`.
Out: as there.
"""

import tensorflow as tf
from tf_agents.trajectories import Transition
from tf_agents.utils import common

from agents.algorithms.dqn import DQN
from agents.configuration import configurable
from agents.errors import UserError, require


@configurable
class MunchausenDQN(DQN):
    """DQN with a soft target and the Munchausen term."""

    def __init__(
        self,
        num_actions: int,
        *,
        alpha: float = 0.9,
        temperature: float = 0.03,
        min_log_policy: float = -1.0,
        **kwargs,
    ):
        """Makes the networks.

        Args:
          num_actions: of the game.
          alpha: weight of the Munchausen term.
          temperature: tau, of the policy softmax(Q / tau).
          min_log_policy: l_0, below which tau log pi(a|s) is clipped.
          **kwargs: those of `DQN`.

        Raises:
          UserError: a value out of range, or Double Q-learning, which a soft target has no use for.
        """
        require("MunchausenDQN.alpha", alpha, 0 <= alpha <= 1, "between 0 and 1")
        require("MunchausenDQN.temperature", temperature, temperature > 0, "above 0")
        require("MunchausenDQN.min_log_policy", min_log_policy, min_log_policy <= 0, "at most 0")
        self._alpha = alpha
        self._temperature = temperature
        self._min_log_policy = min_log_policy
        super().__init__(num_actions, **kwargs)
        if self._double:
            raise UserError("MunchausenDQN chooses no next action: leave DQN.double out")

    def _td_target(self, experience: Transition, training: bool) -> tf.Tensor:
        """The target of the paper's eq. 1 with the clipping of its section 3, [B].

            r + alpha clip(tau log pi(a|s), l_0, 0)
              + gamma discount sum_a' pi(a'|s') (Q(s', a') - tau log pi(a'|s'))

        where Q is the target network's and pi = softmax(Q / tau). With n-step returns the term of
        the first action is added, and not those of the others, whose observations are not there.
        """
        time_step, action_step, next_time_step = experience
        log_policy = self._scaled_log_policy(
            self._outputs(self._target, time_step.observation, training)
        )
        bonus = common.index_with_actions(log_policy, action_step.action)
        bonus = self._alpha * tf.clip_by_value(bonus, self._min_log_policy, 0.0)
        next_q_values = self._outputs(self._target, next_time_step.observation, training)
        next_log_policy = self._scaled_log_policy(next_q_values)
        policy = tf.nn.softmax(next_q_values / self._temperature)
        soft_value = tf.reduce_sum(policy * (next_q_values - next_log_policy), axis=-1)
        discount = self.gamma * next_time_step.discount
        return next_time_step.reward + bonus + discount * soft_value

    def _scaled_log_policy(self, q_values: tf.Tensor) -> tf.Tensor:
        """tau log pi, [B, num_actions]."""
        return self._temperature * tf.nn.log_softmax(q_values / self._temperature)
