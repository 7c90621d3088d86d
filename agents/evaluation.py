"""Evaluation: an agent goes in, the scores of whole games come out.

Every environment plays one game, so that short games are not counted more often than long ones,
as they would be if the first games to end were taken.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from agents import configuration
from agents.collection import EpsilonGreedy, QFunction
from agents.configuration import configurable
from agents.environments import AtariEnvironment
from agents.errors import require
from agents.scores import human_normalized


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Games in the order of their seeds."""

    game: str
    scores: np.ndarray  # float64 [episodes], raw
    frames: np.ndarray  # int64 [episodes], length of the games
    film: np.ndarray  # uint8 [T, 84, 84], what the network saw of the first game
    actions: list[np.ndarray]  # per game int32 [T]: with its seed, enough to play it again

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
        agent: QFunction,
        *,
        episodes: int = 10,
        num_envs: int = 32,
        epsilon: float = 0.001,
        max_frames_per_episode: int = 18_000,
        seed: int = 1_000_000,
        film_agent_steps: int = 300,
    ):
        """Takes the protocol of training, except that a lost life does not end an episode.

        Args:
          agent: to evaluate.
          episodes: games to play.
          num_envs: games played side by side at most; the next ones begin when all are over.
          epsilon: probability of a random action.
          max_frames_per_episode: a game is cut here; 18,000 frames are the five minutes of
            Mnih et al. 2015.
          seed: of games and actions, the same for every evaluation. Game i is the first one of an
            `AtariEnvironment` with the seed `seed + i`.
          film_agent_steps: length of the film at most.

        Raises:
          UserError: a value out of range.
        """
        for name, value in (
            ("episodes", episodes),
            ("num_envs", num_envs),
            ("film_agent_steps", film_agent_steps),
        ):
            require(f"Evaluator.{name}", value, value >= 1, "at least 1")
        last = 2**31 - episodes
        require("Evaluator.seed", seed, 0 <= seed <= last, f"between 0 and {last:,}")
        frames = max_frames_per_episode
        step = configuration.argument(AtariEnvironment, "frameskip")
        holds = step <= frames < 2**31
        range_ = f"between {step} and {2**31 - 1:,}"
        require("Evaluator.max_frames_per_episode", frames, holds, range_)
        require("Evaluator.epsilon", epsilon, 0 <= epsilon <= 1, "between 0 and 1")
        self.episodes = episodes
        self.num_envs = num_envs
        self.epsilon = epsilon
        self.seed = seed
        self._policy = EpsilonGreedy(agent)
        self.max_frames_per_episode = max_frames_per_episode
        self._film_agent_steps = film_agent_steps

    def run(self, progress: Callable[[int, int], None] = lambda *_: None) -> Evaluation:
        """Plays the games; the same network gives the same scores.

        Args:
          progress: is told after every step how many games are over, and how many agent steps
            those under way have.
        """
        rng = np.random.default_rng(self.seed)
        parts = [
            self._play(first, min(self.num_envs, self.episodes - first), rng, progress)
            for first in range(0, self.episodes, self.num_envs)
        ]
        return dataclasses.replace(
            parts[0],
            scores=np.concatenate([part.scores for part in parts]),
            frames=np.concatenate([part.frames for part in parts]),
            actions=[actions for part in parts for actions in part.actions],
        )

    def _play(
        self, first: int, n: int, rng: np.random.Generator, progress: Callable[[int, int], None]
    ) -> Evaluation:
        """The games from `first` on, one in each of n environments."""
        env = self.environment(first, n)
        time_step = env.reset()
        scores, frames, playing = np.zeros(n), np.zeros(n, np.int64), np.ones(n, bool)
        film, played, lengths = [], [], np.zeros(n, np.int64)
        while playing.any():
            if playing[0] and len(film) < self._film_agent_steps:
                film.append(time_step.observation[0, :, :, -1].copy())
            actions = self._policy.action(time_step.observation, self.epsilon, rng)
            time_step = env.step(actions)
            info = env.get_info()
            played.append(actions)
            lengths += playing
            ended = playing & info["game_over"]
            scores[ended] = info["score"][ended]
            frames[ended] = info["episode_frames"][ended]
            playing &= ~ended
            progress(first + n - np.count_nonzero(playing), len(played))
        games = [
            taken[:length] for taken, length in zip(np.transpose(played), lengths, strict=True)
        ]
        return Evaluation(env.game, scores, frames, np.stack(film), games)

    def environment(self, first: int, num_envs: int) -> AtariEnvironment:
        """Copies of the game in which the games from `first` on are played, one in each."""
        return AtariEnvironment(
            num_envs=num_envs,
            seed=self.seed + first,
            terminal_on_life_loss=False,
            max_frames_per_episode=self.max_frames_per_episode,
        )
