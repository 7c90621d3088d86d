"""Evaluation: an agent goes in, the scores of whole games come out.

Every environment plays one game, so that short games are not counted more often than long ones,
as they would be if the first games to end were taken.
"""

import dataclasses

import numpy as np

from agents.algorithms.dqn import DQN
from agents.collection import EpsilonGreedy
from agents.configuration import configurable
from agents.environments import AtariEnvironment
from agents.errors import require
from agents.scores import human_normalized


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Games in the order of their environments."""

    game: str
    scores: np.ndarray  # float64 [episodes], raw
    frames: np.ndarray  # int64 [episodes], length of the games
    film: np.ndarray  # uint8 [T, 84, 84], what the network saw of the first game

    def statistics(self) -> dict[str, float]:
        """Mean, median, sd (n - 1) and mean length; the human-normalized mean where published."""
        mean = float(self.scores.mean())
        statistics = {
            "mean": mean,
            "median": float(np.median(self.scores)),
            "sd": float(self.scores.std(ddof=1)) if len(self.scores) > 1 else 0.0,
            "mean_frames": float(self.frames.mean()),
        }
        normalized = human_normalized(self.game, mean)
        return statistics if normalized is None else statistics | {"human_normalized": normalized}


@configurable
class Evaluator:
    """Plays whole games with a nearly greedy policy, in environments of its own."""

    def __init__(
        self,
        agent: DQN,
        *,
        episodes: int = 10,
        epsilon: float = 0.001,
        max_frames_per_episode: int = 18_000,
        seed: int = 1_000_000,
        film_agent_steps: int = 300,
    ):
        """Takes the protocol of training, except that a lost life does not end an episode.

        Args:
          agent: to evaluate.
          episodes: games, played side by side.
          epsilon: probability of a random action.
          max_frames_per_episode: a game is cut here; 18,000 frames are the five minutes of
            Mnih et al. 2015.
          seed: of games and actions, the same for every evaluation.
          film_agent_steps: length of the film at most.

        Raises:
          UserError: a value out of range.
        """
        for name, value in (("episodes", episodes), ("film_agent_steps", film_agent_steps)):
            require(f"Evaluator.{name}", value, value >= 1, "at least 1")
        require("Evaluator.seed", seed, seed >= 0, "at least 0")
        require("Evaluator.epsilon", epsilon, 0 <= epsilon <= 1, "between 0 and 1")
        self._policy = EpsilonGreedy(agent)
        self._episodes = episodes
        self._epsilon = epsilon
        self._max_frames_per_episode = max_frames_per_episode
        self._seed = seed
        self._film_agent_steps = film_agent_steps

    def run(self) -> Evaluation:
        """Plays the games; the same network gives the same scores."""
        n = self._episodes
        rng = np.random.default_rng(self._seed)
        env = AtariEnvironment(
            num_envs=n,
            seed=self._seed,
            terminal_on_life_loss=False,
            max_frames_per_episode=self._max_frames_per_episode,
        )
        time_step = env.reset()
        scores, frames, playing, film = np.zeros(n), np.zeros(n, np.int64), np.ones(n, bool), []
        while playing.any():
            if playing[0] and len(film) < self._film_agent_steps:
                film.append(time_step.observation[0, :, :, -1].copy())
            actions = self._policy.action(time_step.observation, self._epsilon, rng)
            time_step = env.step(actions)
            info = env.get_info()
            ended = playing & info["game_over"]
            scores[ended] = info["score"][ended]
            frames[ended] = info["episode_frames"][ended]
            playing &= ~ended
        return Evaluation(env.game, scores, frames, np.stack(film))
