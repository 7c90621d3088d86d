"""Trainings of a few hundred agent steps, for the tests: in this process or in one to be killed."""

import multiprocessing
from multiprocessing.context import ForkServerProcess
from pathlib import Path

BINDINGS = (
    "LEARNING_STARTS_AGENT_STEPS = 100",
    "Training.log_period_agent_steps = 50",
    "Training.evaluation_period_agent_steps = 400",
    "Training.checkpoint_period_agent_steps = 100",
    "AtariEnvironment.num_envs = 4",
    "AtariEnvironment.max_frames_per_episode = 400",
    "Evaluator.episodes = 2",
    "Evaluator.max_frames_per_episode = 200",
    "Replay.capacity = 2000",
    "Replay.batch_size = 8",
    "nature_network.precision = 'float32'",
)

# The server imports TensorFlow once; its children start training in a fraction of a second.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["agents.training"])


class Silent:
    """A reporter that keeps the messages."""

    def __init__(self):
        self.messages: list[str] = []

    def start(self, summary, agent_steps, total_agent_steps):
        self.started_at = agent_steps

    def progress(self, agent_steps, *, frames, epsilon, recent_score):
        pass

    def message(self, text):
        self.messages.append(text)


def train(run_dir: Path, agent_steps: int, *bindings: str, reporter: Silent | None = None):
    """Trains in this process; returns the finished `Training`."""
    from agents import configuration, training
    from agents.run_directory import RunDirectory

    length = f"Training.agent_steps = {agent_steps}"
    configuration.load(["space_invaders.gin"], [*BINDINGS, length, *bindings])
    with RunDirectory(run_dir) as owned:
        run = training.Training(owned, reporter or Silent())
        run.run()
    return run


def start(run_dir: Path, agent_steps: int) -> ForkServerProcess:
    """Starts the same training in a process of its own."""
    process = _context.Process(target=train, args=(run_dir, agent_steps))
    process.start()
    return process
