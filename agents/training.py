"""Training: a configuration goes in; a trained agent, its record and its checkpoints come out.

One loop, one process: the driver steps all environments, the learner does the updates that are
due, and at set numbers of agent steps the run is logged, evaluated and saved.
"""

import collections
import contextlib
import fractions
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import gin
import numpy as np
import tensorflow as tf

from agents import arguments, checkpoints, configuration, memory
from agents.algorithms.dqn import DQN
from agents.checkpoints import BestAgent, Checkpoints, Snapshots
from agents.collection import EpsilonGreedy, LinearEpsilon, StageSeconds, VectorDriver
from agents.configuration import configurable
from agents.environments import AtariEnvironment
from agents.errors import UserError, require
from agents.evaluation import Evaluator
from agents.learner import Learner, NonFiniteLossError
from agents.profiling import Profiler
from agents.replay import ImportanceExponent, Replay
from agents.reporting.runs import game_and_algorithm
from agents.run_directory import RunDirectory, as_seen_from_here
from agents.stop_signal import StopSignal
from agents.summaries import RunLog

# At most: an agent that has learned nothing may never begin its games.
_UNTRAINED_EPISODES = 10
_UNTRAINED_FRAMES_PER_EPISODE = 7_200


class _GivenUpError(Exception):
    """An evaluation ended for a stop."""


class Reporter(Protocol):
    """Who watches a training."""

    def start(self, summary: Mapping[str, str], agent_steps: int, total_agent_steps: int) -> None:
        """What will run, before it runs."""

    def progress(
        self, agent_steps: int, *, frames: int, epsilon: float, recent_score: float | None
    ) -> None:
        """Where the run stands, many times a second."""

    def evaluating(self, games_over: int, games: int, frames: int) -> None:
        """Where an evaluation stands, many times a second; `frames` of each game under way."""

    def message(self, text: str) -> None:
        """Something worth a line."""


@configurable
class Training:
    """A run from its first agent step, or its last checkpoint, to its last agent step."""

    def __init__(
        self,
        run_dir: RunDirectory,
        reporter: Reporter,
        *,
        agent: Callable[[int], DQN],
        agent_steps: int,
        learning_starts_agent_steps: int = 20_000,
        updates_per_agent_step: float = 0.25,
        log_period_agent_steps: int = 2_500,
        evaluation_period_agent_steps: int = 100_000,
        checkpoint_period_agent_steps: int = 100_000,
        seed: int = 0,
    ):
        """Makes all parts and restores them from the run directory's last checkpoint, if any.

        Args:
          run_dir: holds what the run leaves behind, and the run to go on with, if any.
          reporter: is told what happens.
          agent: `agent(num_actions)` makes the agent.
          agent_steps: length of the run.
          learning_starts_agent_steps: agent steps before the first update.
          updates_per_agent_step: the replay ratio divided by the batch size; it holds exactly,
            counted from `learning_starts_agent_steps`.
          log_period_agent_steps: between two points in TensorBoard.
          evaluation_period_agent_steps: between two evaluations; one more is after the last step
            and one, of 10 games of 7,200 frames at most, before the first.
          checkpoint_period_agent_steps: between two checkpoints.
          seed: of the network, the games and the exploration.

        Raises:
          UserError: the configuration or the run directory cannot be used.
        """
        for name, value in (
            ("agent_steps", agent_steps),
            ("learning_starts_agent_steps", learning_starts_agent_steps),
            ("log_period_agent_steps", log_period_agent_steps),
            ("evaluation_period_agent_steps", evaluation_period_agent_steps),
            ("checkpoint_period_agent_steps", checkpoint_period_agent_steps),
        ):
            require(f"Training.{name}", value, value >= 1, "at least 1")
        ratio = updates_per_agent_step
        holds = 1e-6 <= ratio <= 1e6
        require("Training.updates_per_agent_step", ratio, holds, "between 1e-6 and 1e6")
        require("Training.seed", seed, 0 <= seed < 2**32, "between 0 and 2**32 - 1")
        self._reporter = reporter
        self._total_agent_steps = agent_steps
        self._learning_starts_agent_steps = learning_starts_agent_steps
        self._updates_per_agent_step = fractions.Fraction(ratio).limit_denominator(1_000_000)
        self._log_period = log_period_agent_steps
        self._evaluation_period = evaluation_period_agent_steps
        self._checkpoint_period = checkpoint_period_agent_steps
        self._seed = seed

        self._run_dir = run_dir
        self._run_dir.check_same_configuration()
        self._checkpoints = Checkpoints(self._run_dir / "checkpoints")
        checkpoint = self._checkpoints.latest(reporter.message)
        if checkpoint is None and run_dir.has_progress():
            reporter.message(
                f"{as_seen_from_here(run_dir.path)} has no checkpoint to go on from: beginning anew"
            )
        state = checkpoints.load_state(checkpoint) if checkpoint else None
        self.agent_steps: int = state["log"]["agent_steps"] if state else 0

        # A resumed run starts new games and draws new noise, which must not be those of its start.
        games, noise = np.random.SeedSequence((seed, self.agent_steps)).generate_state(2)
        tf.keras.utils.set_random_seed(int(noise))
        self._rng = np.random.default_rng(seed)
        self._env = AtariEnvironment(seed=int(games) % 2**30)
        if self.agent_steps >= agent_steps + self._env.batch_size:  # a step of all may go beyond
            raise UserError(
                f"{as_seen_from_here(run_dir.path)} has {self.agent_steps:,} agent steps already: "
                f"leave Training.agent_steps = {agent_steps:,} out, or name more"
            )
        self.agent = agent(self._env.num_actions)
        # From then on there is a transition to learn from.
        fewest = self._env.batch_size * (self.agent.n_step + 1)
        require(
            "Training.learning_starts_agent_steps",
            learning_starts_agent_steps,
            learning_starts_agent_steps >= fewest,
            f"at least {fewest} (environments times n-step plus one)",
        )
        self._epsilon = LinearEpsilon()
        self._evaluator = Evaluator(self.agent)
        self._untrained_evaluator = Evaluator(
            self.agent,
            episodes=min(_UNTRAINED_EPISODES, self._evaluator.episodes),
            max_frames_per_episode=min(
                _UNTRAINED_FRAMES_PER_EPISODE, self._evaluator.max_frames_per_episode
            ),
        )
        self.seconds = StageSeconds()  # spent since the last log
        self._thread = ThreadPoolExecutor(1, "learner")
        self._learned = collections.Counter[str]()  # sums over the updates since the last log
        self._transitions = min(configuration.argument(Replay, "capacity"), agent_steps)
        memory.check_memory(self._transitions, self._env.game)
        memory.check_disk(self._transitions, self._env.game, self._run_dir.path)
        scratch_dir = self._run_dir / "checkpoints" / ".reverb"
        checkpoints.lay_replay(checkpoint, scratch_dir)
        self._replay = Replay(self._env.batch_size, self.agent.n_step, scratch_dir)
        try:
            self._begin(checkpoint, state)
        except BaseException:  # else Reverb's farewell would come after the line of the error
            self._replay.close()
            raise

    def _begin(self, checkpoint: Path | None, state: dict[str, Any] | None) -> None:
        """Makes the rest, goes on from the checkpoint, if any, and records what will run."""
        # Where nothing is weighted, a binding of it is one that nothing uses.
        self._importance_exponent = ImportanceExponent() if self._replay.is_prioritized else None
        self._learner = Learner(
            self.agent,
            self._replay.dataset(),
            self._replay.update_priorities if self._replay.is_prioritized else None,
        )
        if checkpoint and state:
            checkpoints.load_agent(checkpoint, self.agent)
            self._rng.bit_generator.state = state["rng"]
            # Checkpoints from before there were priorities have none.
            self._replay.max_priority = state.get("max_priority", self._replay.max_priority)
            shown = as_seen_from_here(checkpoint)
            self._reporter.message(f"resumed at {self.agent_steps:,} agent steps from {shown}")
        configuration.check_used()
        self._saved_agent_steps = self.agent_steps
        self._best = BestAgent(self._run_dir / "best", self.agent_steps)
        self._snapshots = Snapshots(self._run_dir / "snapshots", self.agent_steps)
        with self._writing("the record"):
            self._run_dir.write_configuration(self.agent_steps, self.agent.precision)
            log_state = state["log"] if state else None
            self._log = RunLog(self._run_dir.path, self._env.frameskip, log_state)
            self._log.configuration(self.agent_steps, gin.markdown(gin.operative_config_str()))

    def run(self, profile: bool = False) -> bool:
        """Trains until the last agent step or the first SIGINT, SIGTERM or SIGHUP, and saves.

        Args:
          profile: traces a stretch of the run, see `agents.profiling`.

        Returns:
          Whether the run is complete.

        Raises:
          UserError: the loss is not finite; the last good checkpoint is kept.
        """
        try:
            self._reporter.start(self._summary(), self.agent_steps, self._total_agent_steps)
            with StopSignal(lambda: self._reporter.message("stopping: saving what is new")) as stop:
                self._loop(stop, Profiler(self._run_dir / "profile") if profile else None)
        except NonFiniteLossError as e:
            raise UserError(
                f"{e}: start a new run with a lower learning rate, or with "
                f"DQN.max_gradient_norm = 10.0; {self._kept()}"
            ) from e
        finally:
            self._thread.shutdown()
            self._replay.close()
            # An error under way says more than one of the closing.
            is_failing = sys.exc_info()[0] is not None
            with contextlib.suppress(Exception) if is_failing else self._writing("the record"):
                self._log.close()
        return self.agent_steps >= self._total_agent_steps and not self._evaluation_is_due()

    def _loop(self, stop: StopSignal, profiler: Profiler | None) -> None:
        policy = EpsilonGreedy(self.agent, training=True)
        driver = VectorDriver(self._env, policy, self._replay, self._rng, self.seconds)
        if self._evaluation_is_due():
            self._evaluate(stop)
        while self.agent_steps < self._total_agent_steps and not stop.is_requested:
            before = self.agent_steps
            self.agent_steps += driver.act(self._epsilon(before))
            with self._learning(self._updates_due() - self._learner.updates):
                episodes = driver.observe()
            with self._writing("the record"):
                for episode in episodes:
                    self._log.episode(self.agent_steps, episode)
            if profiler and (report := profiler.update(self._learner.updates)):
                self._reporter.message(report)
            if _crosses(before, self.agent_steps, self._log_period):
                self._log_interval()
            is_last = self.agent_steps >= self._total_agent_steps
            if is_last or _crosses(before, self.agent_steps, self._checkpoint_period):
                self._save()
            if self._evaluation_is_due():  # after the save, since games may be long
                self._evaluate(stop)
            self._reporter.progress(
                self.agent_steps,
                frames=self.agent_steps * self._env.frameskip,
                epsilon=self._epsilon(self.agent_steps),
                recent_score=self._log.recent_score,
            )
        if self.agent_steps != self._saved_agent_steps:
            self._save()
        if profiler and (report := profiler.close()):
            self._reporter.message(report)

    def _evaluation_is_due(self) -> bool:
        """Also where the last process was killed or stopped before its evaluation was over."""
        then, now = self._log.evaluated_agent_steps, self.agent_steps
        if then is None or _crosses(then, now, self._evaluation_period):
            return True
        return then < now and now >= self._total_agent_steps

    def _updates_due(self) -> int:
        """Updates that the agent steps so far call for, from the run's start."""
        learning_steps = max(0, self.agent_steps - self._learning_starts_agent_steps)
        return int(learning_steps * self._updates_per_agent_step)

    @contextlib.contextmanager
    def _learning(self, updates: int) -> Iterator[None]:
        """Does so many updates beside what is done within: neither keeps Python for long."""
        if updates and self._learner.updates == 0:
            self._replay.flush()
        learning = self._thread.submit(self._learn, updates) if updates else None
        try:
            yield
        finally:
            if learning:
                learning.result()

    def _learn(self, updates: int) -> None:
        with self.seconds.stage("learning"):
            exponent = self._importance_exponent
            means = self._learner.run(updates, exponent(self.agent_steps) if exponent else 0.0)
        waited = means.pop("sampling_seconds") * updates
        self.seconds["learning"] -= waited
        self.seconds["sampling"] += waited
        self._learned.update({name: mean * updates for name, mean in means.items()})
        self._learned["updates"] += updates

    def _log_interval(self) -> None:
        updates = self._learned.pop("updates", 0)
        learning = {name: total / updates for name, total in self._learned.items()}
        self._learned.clear()
        learning["epsilon"] = self._epsilon(self.agent_steps)
        learning["replay_transitions"] = len(self._replay)
        seconds = self.seconds.take()
        memory.give_back_free_memory()
        with self._writing("the record"):
            self._log.interval(self.agent_steps, self._learner.updates, learning, seconds)

    def _evaluate(self, stop: StopSignal) -> None:
        evaluator = self._evaluator if self.agent_steps else self._untrained_evaluator
        games = evaluator.episodes
        self._reporter.message(
            f"evaluating at {self.agent_steps:,} agent steps: {_counted(games, 'game')} of "
            f"{evaluator.max_frames_per_episode:,} frames at most"
        )

        def show(games_over: int, agent_steps: int) -> None:
            if stop.is_requested:
                raise _GivenUpError
            self._reporter.evaluating(games_over, games, agent_steps * self._env.frameskip)

        with self.seconds.stage("evaluation"):
            try:
                show(0, 0)
                evaluation = evaluator.run(show)
            except _GivenUpError:
                self._reporter.message("gave up the evaluation: it begins anew with the next start")
                return
            statistics = evaluation.statistics()
            with self._writing("the evaluated agent"):
                if self.agent_steps:  # the untrained agent played games of its own
                    self._best.offer(self.agent_steps, self.agent, statistics["mean"])
                self._snapshots.add(self.agent_steps, self.agent)
            with self._writing("the record"):  # last: it says that the evaluation is over
                self._log.evaluation(self.agent_steps, evaluation)
        self._reporter.message(
            f"evaluation at {self.agent_steps:,} agent steps: mean {statistics['mean']:.1f}, "
            f"median {statistics['median']:.1f}, sd {statistics['sd']:.1f} "
            f"over {_counted(len(evaluation.scores), 'game')}"
        )

    def _save(self) -> None:
        start = time.perf_counter()
        state = {
            "log": self._log.state(self.agent_steps, self._learner.updates),
            "rng": self._rng.bit_generator.state,
            "max_priority": self._replay.max_priority,
        }
        with self._writing("the checkpoint"), self.seconds.stage("saving"):
            self._log.flush()
            path = self._checkpoints.save(self.agent_steps, self.agent, self._replay.save, state)
            self._saved_agent_steps = self.agent_steps
            self._best.prune(self._checkpoints.oldest_agent_steps())
        seconds = time.perf_counter() - start
        self._reporter.message(f"saved {as_seen_from_here(path)} in {seconds:.1f} s")

    @contextlib.contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        try:
            yield
        except (OSError, tf.errors.OpError) as e:
            raise UserError(
                f"{what} at {self.agent_steps:,} agent steps could not be written ({e}): "
                f"look at the disk of {self._run_dir.path}; {self._kept()}"
            ) from e

    def _kept(self) -> str:
        latest = self._checkpoints.latest(self._reporter.message)
        if latest is None:
            return "there is no checkpoint yet"
        return f"the last checkpoint is {as_seen_from_here(latest)}"

    def _summary(self) -> dict[str, str]:
        gpus = tf.config.list_physical_devices("GPU")
        device = f"{len(gpus)} GPU" if gpus else f"CPU, {os.cpu_count()} cores"
        if not gpus and os.path.exists("/dev/nvidia0"):
            device += "; for the GPU that is here: pip install -e '.[cuda]'"
        replay_bytes = self._transitions * memory.memory_bytes_per_transition(self._env.game)
        return {
            "game": f"{self._env.game}, {_counted(self._env.batch_size, 'environment')}",
            "protocol": self._env.protocol,
            "algorithm": self.agent.name,
            "agent steps": f"{self._total_agent_steps:,}",
            "frames": f"{self._total_agent_steps * self._env.frameskip:,}",
            "updates per agent step": str(self._updates_per_agent_step),
            "learning starts": f"after {self._learning_starts_agent_steps:,} agent steps"
            + ", not in this run" * (self._learning_starts_agent_steps >= self._total_agent_steps),
            "exploration": self._epsilon.summary(self._total_agent_steps),
            "replay": f"the last {self._replay.capacity:,} transitions, "
            f"in this run at most {memory.size(replay_bytes)} of memory",
            "seed": str(self._seed),
            "device": device,
            "precision": self.agent.precision,
            "run directory": str(as_seen_from_here(self._run_dir.path)),
        }


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number > 1)}"


def _crosses(before: int, after: int, period: int) -> bool:
    """Whether a multiple of the period lies in (before, after]."""
    return after // period > before // period


def make_agent(num_actions: int) -> DQN:
    """The agent of the present configuration, with fresh networks.

    Raises:
      UserError: nothing that makes an agent is bound to `Training.agent`.
    """
    agent = gin.get_bindings(Training).get("agent")
    arguments.check("Training.agent", agent, arguments.hints(Training.__init__)["agent"])
    return agent(num_actions)


def run_name() -> str:
    """The name of a run of the present configuration, such as "space_invaders_rainbow"."""
    bindings = configuration.bindings()
    for name in ("AtariEnvironment.game", "Training.agent"):
        if name not in bindings:
            raise UserError(f"nothing binds {name}: name a game, as in --gin_file=pong.gin")
    return "_".join(game_and_algorithm(bindings))
