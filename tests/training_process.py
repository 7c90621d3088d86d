"""Trainings of a few hundred agent steps, for the tests: in this process or in one to be killed."""

import contextlib
import importlib
import multiprocessing
import os
import sys
import types
from collections.abc import Iterator, Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, NamedTuple

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
    "q_network.precision = 'float32'",
)

_NO_CHANGE: Mapping[str, str] = types.MappingProxyType({})

# The server imports TensorFlow once; its children start training in a fraction of a second.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["agents.training"])


class Silent:
    """A reporter that keeps the messages."""

    def __init__(self):
        self.messages: list[str] = []
        self.evaluated: list[tuple[int, int, int]] = []

    def start(self, summary, agent_steps, total_agent_steps):
        self.started_at = agent_steps

    def progress(self, agent_steps, *, frames, epsilon, recent_score):
        pass

    def evaluating(self, games_over, games, frames):
        self.evaluated.append((games_over, games, frames))

    def message(self, text):
        self.messages.append(text)


@contextlib.contextmanager
def prepared(
    run_dir: Path, agent_steps: int, *bindings: str, reporter: Silent | None = None
) -> Iterator[Any]:
    """A `Training` that has not begun to run, in a run directory of its own or begun before."""
    from agents import configuration, training
    from agents.run_directory import RunDirectory

    length = f"Training.agent_steps = {agent_steps}"
    configuration.load(["space_invaders.gin"], [*BINDINGS, length, *bindings])
    with RunDirectory(run_dir) as owned:
        yield training.Training(owned, reporter or Silent())


def train(run_dir: Path, agent_steps: int, *bindings: str, reporter: Silent | None = None):
    """Trains in this process; returns the finished `Training`."""
    with prepared(run_dir, agent_steps, *bindings, reporter=reporter) as run:
        run.run()
    return run


def start(run_dir: Path, agent_steps: int, *bindings: str) -> ForkServerProcess:
    """Starts the same training in a process of its own."""
    process = _context.Process(target=train, args=(run_dir, agent_steps, *bindings))
    process.start()
    return process


def points(run_dir: Path) -> dict[str, list[tuple[int, Any]]]:
    """{tag: [(agent_steps, value)]} of all event files, by agent steps."""
    import tensorflow as tf

    found: dict[str, list[tuple[int, Any]]] = {}
    for path in (run_dir / "events").iterdir():
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                content = tf.make_ndarray(value.tensor)
                found.setdefault(value.tag, []).append((event.step, content))
    return {tag: sorted(of_tag, key=lambda point: point[0]) for tag, of_tag in found.items()}


class Finished(NamedTuple):
    """A command that has ended."""

    exit_code: int | None
    stdout: str
    stderr: str


def start_command(
    folder: Path, *arguments: str, name: str = "train", environment: Mapping[str, str] = _NO_CHANGE
) -> ForkServerProcess:
    """Starts `python launch/NAME.py ARGUMENTS` in this folder, in a process of its own.

    Args:
      folder: takes what it prints, as `stdout` and `stderr`, too.
      arguments: of the command.
      name: of the command.
      environment: variables, beside those that the first of these processes was started with.
    """
    process = _context.Process(target=_command, args=(name, folder, arguments, dict(environment)))
    process.start()
    return process


def finish(process: ForkServerProcess, folder: Path) -> Finished:
    """Waits for the end of a command that was started in this folder."""
    process.join()
    outputs = [(folder / name).read_text() for name in ("stdout", "stderr")]
    return Finished(process.exitcode, *outputs)


def command(
    folder: Path, *arguments: str, name: str = "train", environment: Mapping[str, str] = _NO_CHANGE
) -> Finished:
    """Runs `python launch/NAME.py ARGUMENTS`; the arguments are those of `start_command`."""
    process = start_command(folder, *arguments, name=name, environment=environment)
    return finish(process, folder)


def _command(
    name: str, folder: Path, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    os.chdir(folder)
    os.environ.update(environment)
    for stream, number in (("stdout", 1), ("stderr", 2)):
        os.dup2(os.open(stream, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
    sys.argv = [f"launch/{name}.py", *arguments]
    importlib.import_module(f"launch.{name}").cli()
