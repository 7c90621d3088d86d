"""In: a trial and the command that trains it. Out: the means of its evaluations, or why not.

The training is a process of its own, so that whatever ends it ends this trial only.
"""

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import optuna

from agents import run_directory
from agents.reporting import records
from agents.stop_signal import StopSignal

_SECONDS_BETWEEN_LOOKS = 0.2


class TrainingError(Exception):
    """The training ended without the evaluations that it owes."""


class StoppedError(Exception):
    """The user stopped the study; the training has saved."""


def train(
    trial: optuna.Trial,
    run_dir: Path,
    command: Sequence[str],
    evaluations: int,
    stop: StopSignal,
) -> list[float]:
    """Trains, or goes on with a training, and reports its evaluations to the trial.

    Args:
      trial: is told the mean of evaluation i at step i, from 1 on.
      run_dir: of the training; exists. `console.log` in it takes what the command prints.
      command: trains there.
      evaluations: how many a complete training makes of trained networks.
      stop: asks the training to save and stop.

    Returns:
      Mean scores of the evaluations.

    Raises:
      optuna.TrialPruned: the pruner finds it worse than others.
      TrainingError: it ended early.
      StoppedError: the user stopped it.
    """
    while _is_locked(run_dir / ".lock"):  # it may have outlived the process that began it
        _wait(stop)
    console = run_dir / "console.log"
    with console.open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # else a terminal's Ctrl-C would reach it beside ours
            env=os.environ | {"TF_FORCE_GPU_ALLOW_GROWTH": "true"},  # trials may share a GPU
        )
    try:
        means: list[float] = []
        while process.poll() is None:
            _wait(stop)
            means = _report(trial, run_dir, means, evaluations)
        means = _report(trial, run_dir, means, evaluations)
    except StoppedError:
        process.terminate()
        process.wait()
        raise
    finally:
        process.kill()
        process.wait()
    if process.returncode or len(means) < evaluations:
        raise TrainingError(_last_words(console, process.returncode))
    return means


def _wait(stop: StopSignal) -> None:
    if stop.is_requested:
        raise StoppedError
    time.sleep(_SECONDS_BETWEEN_LOOKS)


def _report(
    trial: optuna.Trial, run_dir: Path, reported: Sequence[float], evaluations: int
) -> list[float]:
    means = [line["mean"] for line in records.evaluations(run_dir) if line["agent_steps"] > 0]
    for number in range(len(reported) + 1, len(means) + 1):
        trial.report(means[number - 1], step=number)
        if number < evaluations and trial.should_prune():
            raise optuna.TrialPruned(
                f"{means[number - 1]:.1f} at evaluation {number} of {evaluations}"
            )
    return means


def _last_words(console: Path, exit_status: int) -> str:
    lines = console.read_text(errors="replace").splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return errors[-1] if errors else f"exit status {exit_status}, see {console}"


def _is_locked(path: Path) -> bool:
    try:
        run_directory.locked(path).close()
    except BlockingIOError:
        return True
    return False
