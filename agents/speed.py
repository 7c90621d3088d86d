"""Speed: the configuration in force goes in; speeds of the loop and of its stages come out.

The loop is the real one, `agents.training.Training`, with its replay filled. A stage alone has the
machine to itself; where the project's own code is compared with bare code that does the same, both
are timed in turn.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from ale_py.vector_env import AtariVectorEnv
from tf_agents.agents.dqn import dqn_agent
from tf_agents.networks import sequential
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts
from tf_agents.utils import common

from agents import configuration
from agents.algorithms.dqn import DQN, observation_spec
from agents.collection import EpsilonGreedy
from agents.environments import AtariEnvironment
from agents.errors import UserError
from agents.learner import Learner
from agents.networks import OBSERVATION_SHAPE, precision_policy, q_network
from agents.replay import (
    PENDING_CHECK_PERIOD_TIME_STEPS,
    STACK,
    Replay,
    Window,
    to_transition,
)
from agents.run_directory import RunDirectory
from agents.training import Training, make_agent

STAGES = ("environment", "acting", "writing", "sampling", "learning")
WARM_UP_AGENT_STEPS = 2_000  # after the first update
_ROUNDS = 25  # many and short, so that each call has some in the machine's quick moments
_SECONDS_PER_ROUND = 0.1
# So that every round has its share of looks at what the writers have yet to send.
_STEPS_PER_ROUND_OF_WRITING = 2 * PENDING_CHECK_PERIOD_TIME_STEPS
_UPDATES_PER_CALL = 10


def loop_bindings(replay_transitions: int, agent_steps: int) -> list[str]:
    """The bindings under which `time_loop` times so many agent steps.

    Exploration is over when the timing begins, so that every action costs a forward.
    """
    total = replay_transitions + WARM_UP_AGENT_STEPS + agent_steps
    never = 10 * total
    return [
        f"Training.agent_steps = {total}",
        f"Training.learning_starts_agent_steps = {replay_transitions}",
        f"Training.checkpoint_period_agent_steps = {never}",
        f"Training.evaluation_period_agent_steps = {never}",
        f"Training.log_period_agent_steps = {never}",
        f"LinearEpsilon.warmup_agent_steps = {replay_transitions}",
        f"LinearEpsilon.decay_agent_steps = {WARM_UP_AGENT_STEPS // 2}",
        "Evaluator.episodes = 1",
        "Evaluator.max_frames_per_episode = 400",
    ]


class _Stopwatch:
    """A reporter of `Training` that times it from the end of the warm-up to the last step.

    The last step itself is left out: the run is saved and evaluated in it.
    """

    def __init__(self, start_agent_steps: int):
        self._start_agent_steps = start_agent_steps
        self._points: list[tuple[float, int, dict[str, float]]] = []
        self.seconds: Mapping[str, float] = {}

    def start(self, summary: Mapping[str, str], agent_steps: int, total_agent_steps: int) -> None:
        self._total_agent_steps = total_agent_steps

    def progress(self, agent_steps: int, **values: float | None) -> None:
        if self._start_agent_steps <= agent_steps < self._total_agent_steps:
            point = time.perf_counter(), agent_steps, dict(self.seconds)
            self._points = [*self._points[:1], point]

    def evaluating(self, games_over: int, games: int, frames: int) -> None:
        pass

    def message(self, text: str) -> None:
        pass

    def passed(self) -> tuple[float, int, dict[str, float]]:
        """Seconds, agent steps and seconds by stage between the first and the last point."""
        (then, steps_then, stages_then), (now, steps, stages) = self._points
        spent = {stage: stages.get(stage, 0.0) - stages_then.get(stage, 0.0) for stage in STAGES}
        return now - then, steps - steps_then, spent


def time_loop(replay_transitions: int, agent_steps: int) -> dict[str, float]:
    """Runs a training under the bindings of `loop_bindings`.

    Returns:
      "agent_steps_per_second", and milliseconds per update by stage.

    Raises:
      UserError: there is no time between two steps of all environments within so many agent steps.
    """
    fewest = 2 * configuration.argument(AtariEnvironment, "num_envs")  # the last is not timed
    if agent_steps < fewest:
        raise UserError(f"{agent_steps} agent steps are too few to time: name at least {fewest}")
    watch = _Stopwatch(replay_transitions + WARM_UP_AGENT_STEPS)
    with tempfile.TemporaryDirectory() as folder, RunDirectory(Path(folder)) as run_dir:
        run = Training(run_dir, watch)
        watch.seconds = run.seconds
        run.run()
    seconds, steps, stages = watch.passed()
    updates = steps * configuration.argument(Training, "updates_per_agent_step")
    per_update = {stage: 1e3 * spent / updates for stage, spent in stages.items()}
    return {"agent_steps_per_second": steps / seconds} | per_update


def time_stages() -> dict[str, float]:
    """Every stage alone, with the environments, the agent and the batch of the configuration.

    Returns:
      "environment", "bare_environment" (ALE's own vector environment by the same rules) and
      "acting", in agent steps per second; "writing_microseconds", per transition; "sampling", in
      batches per second; "learning_milliseconds" and "plain_learning_milliseconds" (TF-Agents'
      DqnAgent with plain Keras layers and Keras' new Adam, of a transition made beforehand), per
      update.
    """
    env = AtariEnvironment()
    n = env.batch_size
    agent = make_agent(env.num_actions)
    rng = np.random.default_rng(0)
    actions = rng.integers(env.num_actions, size=n, dtype=np.int32)
    bare = AtariVectorEnv(env.game, n, frameskip=env.frameskip, **env.ale_rules)
    bare.reset(seed=0)  # as `AtariEnvironment` by default: some games take longer than others
    time_step = env.reset()

    def step() -> int:  # as the driver does
        env.send(actions)
        return len(env.receive().reward)

    environment, bare_environment = _rates(step, lambda: len(bare.step(actions)[1]))
    policy = EpsilonGreedy(agent)
    (acting,) = _rates(lambda: len(policy.action(time_step.observation, 0.0, rng)))
    with tempfile.TemporaryDirectory() as folder:
        replay = Replay(n, agent.n_step, folder)
        try:
            writing, sampling = _replay_rates(env, replay, actions)
        finally:
            replay.close()
    learning, plain_learning = _rates(_updates(agent), _plain_updates(agent))
    return {
        "environment": environment,
        "bare_environment": bare_environment,
        "acting": acting,
        "writing_microseconds": 1e6 / writing,
        "sampling": sampling,
        "learning_milliseconds": 1e3 / learning,
        "plain_learning_milliseconds": 1e3 / plain_learning,
    }


def _replay_rates(
    env: AtariEnvironment, replay: Replay, actions: np.ndarray
) -> tuple[float, float]:
    """Transitions written per second of writing, batches sampled per second."""
    n = env.batch_size
    steps = max(_STEPS_PER_ROUND_OF_WRITING, 400 // n)
    writing = 0.0
    for _ in range(_ROUNDS):
        seconds = 0.0
        for _ in range(steps):
            time_step = env.step(actions)
            start = time.perf_counter()
            replay.write(time_step, actions)
            seconds += time.perf_counter() - start
        writing = max(writing, steps * n / seconds)
    replay.flush()
    batches = iter(replay.dataset())
    next(batches)
    (sampling,) = _rates(lambda: bool(next(batches)))
    return writing, sampling


def _window(agent: DQN) -> Window:
    """A batch of random windows."""
    batch_size = configuration.argument(Replay, "batch_size")
    rng = np.random.default_rng(0)
    frames = rng.integers(
        256, size=(batch_size, STACK + agent.n_step, *OBSERVATION_SHAPE[:2]), dtype=np.uint8
    )
    outcomes = np.zeros((batch_size, agent.n_step, 3), np.float32)
    key, probability = tf.zeros(batch_size, tf.uint64), tf.ones(batch_size, tf.float64)
    return Window(tf.constant(frames), tf.constant(outcomes), key, probability)


def _updates(agent: DQN) -> Callable[[], int]:
    """Does updates on one batch that stays; returns how many."""
    learner = Learner(agent, tf.data.Dataset.from_tensors(_window(agent)).repeat())

    def call() -> int:
        learner.run(_UPDATES_PER_CALL)
        return _UPDATES_PER_CALL

    return call


def _plain_updates(agent: DQN) -> Callable[[], int]:
    """The same by TF-Agents' DqnAgent as it comes: what this project's agent is compared with."""
    layers = tf.keras.layers
    policy = precision_policy(configuration.argument(q_network, "precision"))

    def network(name: str) -> sequential.Sequential:
        model = tf.keras.Sequential(
            [
                layers.Rescaling(1 / 255, dtype=policy),
                layers.Conv2D(32, 8, 4, activation="relu", dtype=policy),
                layers.Conv2D(64, 4, 2, activation="relu", dtype=policy),
                layers.Conv2D(64, 3, 1, activation="relu", dtype=policy),
                layers.Flatten(dtype=policy),
                layers.Dense(512, activation="relu", dtype=policy),
                layers.Dense(agent.num_actions, dtype=tf.float32),
            ]
        )
        return sequential.Sequential([model], input_spec=observation_spec(), name=name)

    plain = dqn_agent.DqnAgent(
        ts.time_step_spec(observation_spec()),
        tensor_spec.BoundedTensorSpec((), tf.int32, 0, agent.num_actions - 1, "action"),
        q_network=network("QNetwork"),
        target_q_network=network("TargetQNetwork"),
        optimizer=tf.keras.optimizers.Adam(6.25e-5, epsilon=1.5e-4),
        td_errors_loss_fn=common.element_wise_squared_loss,
        target_update_period=2000,
        train_step_counter=tf.Variable(tf.zeros((), tf.int64)),
    )
    plain.initialize()
    # Made beforehand: it takes observations as they are stored, and stacking is not its part.
    transition = tf.nest.map_structure(
        lambda tensor: tf.cast(tensor, tf.uint8) if tensor.dtype == tf.bfloat16 else tensor,
        to_transition(_window(agent), agent.gamma, agent.max_abs_reward),
    )

    @tf.function
    def updates() -> None:
        for _ in tf.range(_UPDATES_PER_CALL):
            plain.train(transition)

    def call() -> int:
        updates()
        return _UPDATES_PER_CALL

    return call


def _rates(*calls: Callable[[], int]) -> list[float]:
    """Units per second of calls that return units; timed in turn, the best round of each.

    The best, because whatever else the machine does can only slow a round.
    """
    best = [0.0] * len(calls)
    for call in calls:
        call()  # traces graphs, fills caches
    for _ in range(_ROUNDS):
        for i, call in enumerate(calls):
            start, units = time.perf_counter(), 0
            while time.perf_counter() - start < _SECONDS_PER_ROUND:
                units += call()
            best[i] = max(best[i], units / (time.perf_counter() - start))
    return best
