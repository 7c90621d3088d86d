"""Training: a configuration goes in; a trained agent, its record and its checkpoints come out.

One loop, one process: the driver steps all environments, the learner does the updates that are
due, and at set numbers of agent steps the run is logged, evaluated and saved.
"""

import collections
import fractions
import json
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import gin
import numpy as np
import tensorflow as tf

from agents import checkpoints, configuration
from agents.algorithms.dqn import DQN
from agents.checkpoints import Checkpoints
from agents.collection import EpsilonGreedy, Episode, LinearEpsilon, StageSeconds, VectorDriver
from agents.configuration import configurable
from agents.environments import AtariEnvironment, rom_name
from agents.errors import UserError
from agents.evaluation import Evaluator
from agents.learner import Learner, NonFiniteLossError
from agents.replay import Replay
from agents.run_directory import RunDirectory, environment_facts
from agents.summaries import RunLog

RECENT_EPISODES = 100


class Reporter(Protocol):
    """Who watches a training; all counts as in `Training`."""

    def start(self, summary: Mapping[str, str], agent_steps: int, total_agent_steps: int) -> None:
        """What will run, before it runs."""

    def progress(self, agent_steps: int, values: Mapping[str, float]) -> None:
        """Where the run stands, many times a second."""

    def message(self, text: str) -> None:
        """Something worth a line."""


@configurable
class Training:
    """A run from its first agent step, or its last checkpoint, to its last agent step."""

    def __init__(
        self,
        run_dir: str | Path,
        reporter: Reporter,
        *,
        agent: Callable[[int], DQN],
        agent_steps: int = 10_000_000,
        learning_starts_agent_steps: int = 20_000,
        updates_per_agent_step: float = 0.25,
        log_period_agent_steps: int = 2_500,
        evaluation_period_agent_steps: int = 250_000,
        checkpoint_period_agent_steps: int = 100_000,
        seed: int = 0,
    ):
        """Makes all parts and restores them from the run directory's last checkpoint, if any.

        Args:
          run_dir: holds everything the run leaves behind.
          reporter: is told what happens.
          agent: `agent(num_actions)` makes the agent.
          agent_steps: length of the run.
          learning_starts_agent_steps: agent steps before the first update.
          updates_per_agent_step: the replay ratio divided by the batch size; it holds exactly,
            counted from `learning_starts_agent_steps`.
          log_period_agent_steps: between two points in TensorBoard.
          evaluation_period_agent_steps: between two evaluations; one is before the first step.
          checkpoint_period_agent_steps: between two checkpoints.
          seed: of the network, the games and the exploration.

        Raises:
          UserError: the configuration or the run directory cannot be used.
        """
        for name, value in (
            ("agent_steps", agent_steps),
            ("log_period_agent_steps", log_period_agent_steps),
            ("evaluation_period_agent_steps", evaluation_period_agent_steps),
            ("checkpoint_period_agent_steps", checkpoint_period_agent_steps),
        ):
            if value < 1:
                raise UserError(f"Training.{name} must be at least 1, got {value}")
        if updates_per_agent_step <= 0:
            raise UserError(
                f"Training.updates_per_agent_step must be above 0, got {updates_per_agent_step}"
            )
        if learning_starts_agent_steps < 1:
            raise UserError(
                "Training.learning_starts_agent_steps must be at least 1, "
                f"got {learning_starts_agent_steps}"
            )
        self._reporter = reporter
        self._total_agent_steps = agent_steps
        self._learning_starts_agent_steps = learning_starts_agent_steps
        self._updates_per_agent_step = fractions.Fraction(updates_per_agent_step).limit_denominator(
            1_000_000
        )
        self._log_period = log_period_agent_steps
        self._evaluation_period = evaluation_period_agent_steps
        self._checkpoint_period = checkpoint_period_agent_steps

        self._run_dir = RunDirectory(Path(run_dir))
        self._checkpoints = Checkpoints(self._run_dir / "checkpoints")
        self._check_same_configuration()
        restored = self._checkpoints.latest()
        state = checkpoints.load_state(restored) if restored else None
        self.agent_steps: int = state["agent_steps"] if state else 0

        tf.keras.utils.set_random_seed(seed)
        self._rng = np.random.default_rng(seed)
        # A resumed run starts new games, which must not be those of the run's start.
        self._env = AtariEnvironment(seed=seed + self.agent_steps)
        self._agent = agent(self._env.num_actions)
        self._epsilon = LinearEpsilon()
        self._evaluator = Evaluator(self._agent)
        self._seconds = StageSeconds()
        self._recent: collections.deque[Episode] = collections.deque(maxlen=RECENT_EPISODES)
        self._episodes = 0
        scratch_dir = self._run_dir / "checkpoints" / ".reverb"
        if restored:
            checkpoints.link_replay(restored, scratch_dir)
        else:
            checkpoints.clear(scratch_dir)
        self._replay = Replay(self._env.batch_size, self._agent.n_step, scratch_dir)
        self._learner = Learner(self._agent, self._replay.dataset())
        if restored and state:
            checkpoints.load_agent(restored, self._agent)
            self._rng.bit_generator.state = state["rng"]
            self._recent.extend(Episode(*episode) for episode in state["recent_episodes"])
            self._episodes = state["episodes"]
            reporter.message(f"resumed at {self.agent_steps:,} agent steps from {restored}")
        configuration.check_used()
        self._write_configuration()
        self._log = RunLog(self._run_dir.path, self.agent_steps)
        self._log.text(
            self.agent_steps,
            "configuration",
            gin.markdown(gin.operative_config_str()),
        )

    def run(self) -> bool:
        """Trains until the last agent step or the first SIGINT or SIGTERM, and saves.

        Returns:
          Whether the run is complete.

        Raises:
          UserError: the loss is not finite; the last good checkpoint is kept.
        """
        self._reporter.start(self._summary(), self.agent_steps, self._total_agent_steps)
        try:
            with _StopSignal() as stop:
                self._loop(stop)
        except NonFiniteLossError as e:
            latest = self._checkpoints.latest()
            raise UserError(
                f"{e}: lower the learning rate or clip the gradient; "
                + (f"the last checkpoint is {latest}" if latest else "there is no checkpoint yet")
            ) from e
        finally:
            self._log.close()
            self._replay.close()
            self._run_dir.close()
        return self.agent_steps >= self._total_agent_steps

    def _loop(self, stop: "_StopSignal") -> None:
        driver = VectorDriver(
            self._env, EpsilonGreedy(self._agent), self._replay, self._rng, self._seconds
        )
        if self.agent_steps == 0:
            self._evaluate()
        means: dict[str, float] = {}
        logged_at, logged_steps, logged_updates = (
            time.perf_counter(),
            self.agent_steps,
            self._learner.updates,
        )
        while self.agent_steps < self._total_agent_steps and not stop.requested:
            before = self.agent_steps
            steps, episodes = driver.run(self._epsilon(before))
            self.agent_steps += steps
            for episode in episodes:
                self._record(episode)
            due = self._updates_due() - self._learner.updates
            if due > 0:
                means = self._learn(due)
            if _crosses(before, self.agent_steps, self._log_period):
                now = time.perf_counter()
                self._log_scalars(
                    means,
                    steps_per_second=(self.agent_steps - logged_steps) / (now - logged_at),
                    updates_per_second=(self._learner.updates - logged_updates)
                    / (now - logged_at),
                )
                logged_at, logged_steps = now, self.agent_steps
                logged_updates = self._learner.updates
            if _crosses(before, self.agent_steps, self._evaluation_period):
                self._evaluate()
            if _crosses(before, self.agent_steps, self._checkpoint_period):
                self._save()
            self._report()
        if self._checkpoints.latest_agent_steps() != self.agent_steps:
            self._save()

    def _updates_due(self) -> int:
        """Updates that this many agent steps call for, from the run's start."""
        learning_steps = max(0, self.agent_steps - self._learning_starts_agent_steps)
        return int(learning_steps * self._updates_per_agent_step)

    def _learn(self, updates: int) -> dict[str, float]:
        start = time.perf_counter()
        means = self._learner.run(updates)
        sampling = means.pop("sampling_seconds") * updates
        self._seconds.add("learning", start + sampling)
        self._seconds["sampling"] = self._seconds.get("sampling", 0.0) + sampling
        return means

    def _record(self, episode: Episode) -> None:
        self._episodes += 1
        self._recent.append(episode)
        self._log.episode(
            {
                "agent_steps": self.agent_steps,
                "frames": self._frames(),
                "environment": episode.environment,
                "score": episode.score,
                "clipped_return": episode.clipped_return,
                "episode_frames": episode.frames,
                "episode_agent_steps": episode.agent_steps,
            }
        )

    def _frames(self) -> int:
        return self.agent_steps * self._env.frameskip

    def _log_scalars(
        self, means: Mapping[str, float], steps_per_second: float, updates_per_second: float
    ) -> None:
        values: dict[str, float] = {}
        if self._recent:
            scores = [episode.score for episode in self._recent]
            values |= {
                "1_score/training_mean_of_100_games": float(np.mean(scores)),
                "1_score/clipped_return": float(
                    np.mean([episode.clipped_return for episode in self._recent])
                ),
                "1_score/game_length_frames": float(
                    np.mean([episode.frames for episode in self._recent])
                ),
            }
        values |= {f"3_learning/{name}": value for name, value in means.items()}
        values |= {
            "3_learning/epsilon": self._epsilon(self.agent_steps),
            "3_learning/updates": self._learner.updates,
            "3_learning/replay_transitions": len(self._replay),
            "4_speed/agent_steps_per_second": steps_per_second,
            "4_speed/frames_per_second": steps_per_second * self._env.frameskip,
            "4_speed/updates_per_second": updates_per_second,
            "4_speed/frames": self._frames(),
        }
        values |= {f"5_seconds/{stage}": spent for stage, spent in self._seconds.take().items()}
        self._log.scalars(self.agent_steps, values)

    def _evaluate(self) -> None:
        start = time.perf_counter()
        self._reporter.message("evaluating")
        evaluation = self._evaluator.run()
        statistics = evaluation.statistics()
        self._log.scalars(
            self.agent_steps, {f"2_evaluation/{name}": x for name, x in statistics.items()}
        )
        self._log.film(self.agent_steps, "2_evaluation/game", evaluation.film)
        self._log.evaluation(
            {
                "agent_steps": self.agent_steps,
                "frames": self._frames(),
                **statistics,
                "scores": evaluation.scores.tolist(),
                "episode_frames": evaluation.frames.tolist(),
            }
        )
        self._reporter.message(
            f"evaluation at {self.agent_steps:,} agent steps: mean {statistics['mean']:.1f}, "
            f"median {statistics['median']:.1f}, sd {statistics['sd']:.1f} "
            f"over {len(evaluation.scores)} games"
        )
        self._seconds.add("evaluation", start)

    def _save(self) -> None:
        start = time.perf_counter()
        self._log.flush()
        self._replay.flush()
        path = self._checkpoints.save(
            self.agent_steps,
            self._agent,
            self._replay.save,
            {
                "agent_steps": self.agent_steps,
                "frames": self._frames(),
                "updates": self._learner.updates,
                "epsilon": self._epsilon(self.agent_steps),
                "episodes": self._episodes,
                "replay_transitions": len(self._replay),
                "recent_episodes": list(self._recent),
                "rng": self._rng.bit_generator.state,
            },
        )
        self._seconds.add("saving", start)
        self._reporter.message(f"saved {path} in {time.perf_counter() - start:.1f} s")

    def _report(self) -> None:
        values: dict[str, float] = {
            "frames": self._frames(),
            "epsilon": self._epsilon(self.agent_steps),
            "updates": self._learner.updates,
        }
        if self._recent:
            values["recent_score"] = float(np.mean([episode.score for episode in self._recent]))
        self._reporter.progress(self.agent_steps, values)

    def _summary(self) -> dict[str, str]:
        gpus = tf.config.list_physical_devices("GPU")
        return {
            "game": f"{self._env.game}, {self._env.batch_size} environments",
            "algorithm": type(self._agent).__name__,
            "agent steps": f"{self._total_agent_steps:,}",
            "frames": f"{self._total_agent_steps * self._env.frameskip:,}",
            "updates per agent step": str(self._updates_per_agent_step),
            "replay capacity": f"{self._replay.capacity:,} transitions",
            "device": f"{len(gpus)} GPU" if gpus else "CPU",
            "run directory": str(self._run_dir.path),
        }

    def _check_same_configuration(self) -> None:
        path = self._run_dir / "config.json"
        if not path.exists():
            return
        old, new = json.loads(path.read_text()), configuration.bindings()
        for bindings in (old, new):
            bindings.pop("Training.agent_steps", None)  # a run may be made longer
        differences = configuration.differences(old, new)
        if differences:
            raise UserError(
                f"{self._run_dir.path} holds a run of another configuration "
                f"({'; '.join(differences)}): choose another --run_dir"
            )

    def _write_configuration(self) -> None:
        self._run_dir.write_text("config.gin", gin.config_str())
        self._run_dir.write_text("operative_config.gin", gin.operative_config_str())
        self._run_dir.write_json("config.json", configuration.bindings())
        if not (self._run_dir / "run.json").exists():
            self._run_dir.write_json("run.json", environment_facts())


class _StopSignal:
    """The first SIGINT or SIGTERM asks to stop; the next one acts as if this were not here."""

    def __init__(self):
        self.requested = False

    def __enter__(self) -> "_StopSignal":
        self._previous = {
            number: signal.signal(number, self._handle)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._restore()

    def _handle(self, number: int, frame: Any) -> None:
        self.requested = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)


def _crosses(before: int, after: int, period: int) -> bool:
    """Whether a multiple of the period lies in (before, after]."""
    return after // period > before // period


def run_name() -> str:
    """The name of a run of the present configuration, such as "space_invaders_DQN"."""
    bindings = configuration.bindings()
    game = bindings.get("AtariEnvironment.game", "'game'").strip("'")
    return f"{rom_name(game)}_{bindings.get('Training.agent', '@DQN').lstrip('@')}"
