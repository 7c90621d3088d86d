"""In: a search space over a configuration. Out: trainings, one a trial, whose scores Optuna learns.

    STUDY/trials/0003/     the run directory of a trial; console.log is what its training printed
    STUDY/journal.log      Optuna's record, unless a database holds it
    STUDY/.lock            held by whoever starts or recovers a trial

Several processes may work on one study. A trial belongs to the process that has locked its
`.tuned` file; where nobody has, that process was killed, and the trial is queued anew with its run
directory, in which the training resumes from its last checkpoint.
"""

import contextlib
import dataclasses
import fcntl
import functools
import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TextIO

import numpy as np
import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from agents import configuration, run_directory
from agents.errors import UserError
from agents.stop_signal import StopSignal
from agents.training import Training
from agents.tuning import space, training
from agents.tuning.space import Space

SCORED_EVALUATIONS = 3  # the last ones; one alone is a matter of luck

_RUN_DIR = "run_dir"  # user attributes of a trial
_FAILURE = "failure"


@dataclasses.dataclass(frozen=True)
class Study:
    """What is searched, and how.

    Attributes:
      directory: holds the trials.
      name: in the storage, which may hold several.
      storage: a database URL of Optuna's; None for a journal in the directory.
      space: what is searched, around the configuration in force.
      command: trains this configuration; a trial's bindings and run directory are added.
      sampler: chooses the next trial's values.
      pruner: ends a trial whose evaluations are worse than others' were at the same agent step.
      seed: of the sampler; None for another one at each start.
      report: is told what happens, in lines.
    """

    directory: Path
    name: str
    storage: str | None
    space: Space
    command: Sequence[str]
    sampler: Literal["tpe", "random"]
    pruner: Literal["median", "halving", "none"]
    seed: int | None
    report: Callable[[str], None]

    def run(self, n_trials: int, n_jobs: int, timeout: float | None) -> optuna.Study:
        """Trains until the study has this many trials, those of other processes included.

        The first SIGINT, SIGTERM or SIGHUP saves and stops all trainings; the study goes on from
        there.

        Args:
          n_trials: finished and running ones.
          n_jobs: trials side by side in this process.
          timeout: seconds after which no trial is begun.

        Raises:
          UserError: the directory or the storage cannot be used, or the study is another one.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise UserError(f"{self.directory} cannot be made ({e}): choose another") from e
        deadline = None if timeout is None else time.monotonic() + timeout
        self._check_definition()
        with StopSignal(lambda: self.report("stopping: saving what is new")) as stop:

            def work() -> None:
                while not stop.is_requested and (deadline is None or time.monotonic() < deadline):
                    with contextlib.ExitStack() as owned:
                        trial = self._next_trial(n_trials, owned)
                        if trial is None:
                            return
                        with contextlib.suppress(training.StoppedError):
                            self._try(trial, stop)

            with ThreadPoolExecutor(n_jobs) as pool:
                for future in [pool.submit(work) for _ in range(n_jobs)]:
                    future.result()
        return self._open(0)

    def _run_dir(self, trial: FrozenTrial | Trial) -> Path:
        return self.directory / trial.user_attrs[_RUN_DIR]

    @functools.cached_property
    def _evaluations(self) -> int:
        """Of trained networks, in a complete training; one is after its last step."""
        length = configuration.argument(Training, "agent_steps")
        return math.ceil(length / configuration.argument(Training, "evaluation_period_agent_steps"))

    @functools.cached_property
    def _storage(self) -> optuna.storages.BaseStorage:
        if self.storage is None:
            path = self.directory / "journal.log"
            return optuna.storages.JournalStorage(JournalFileBackend(str(path)))
        try:
            return optuna.storages.get_storage(self.storage)
        except Exception as e:  # each database driver raises its own
            raise UserError(f"--storage={self.storage} cannot be opened ({e})") from e

    def _open(self, number_of_trials: int) -> optuna.Study:
        """The study, with a sampler whose numbers depend on the seed and on the trials so far."""
        seed = None
        if self.seed is not None:
            # Else processes that start side by side, or after a kill, would draw the same values.
            sequence = np.random.SeedSequence((self.seed, number_of_trials))
            seed = int(sequence.generate_state(1)[0])
        return optuna.create_study(
            storage=self._storage,
            study_name=self.name,
            load_if_exists=True,
            direction="maximize",
            sampler=_sampler(self.sampler, seed),
            pruner=_pruner(self.pruner, self._evaluations),
        )

    def _check_definition(self) -> None:
        """A study compares its trials, so all of them must have the same space around."""
        searched = {name: str(distribution) for name, distribution in self.space.items()}
        definition = configuration.bindings() | searched
        with _exclusive(self.directory / ".lock"):
            study = self._open(0)
            here = study.user_attrs.get("definition")
            if here is None:
                study.set_user_attr("definition", definition)
            elif differing := configuration.differences(here, definition):
                raise UserError(
                    f"the study {self.name} has another configuration or search space "
                    f"({'; '.join(differing)}): take these back or choose another --study_name"
                )

    def _next_trial(self, n_trials: int, owned: contextlib.ExitStack) -> Trial | None:
        """A new or recovered trial, owned by this process; None if there are enough."""
        with _exclusive(self.directory / ".lock"):
            trials = self._open(0).get_trials(deepcopy=False)
            study = self._open(len(trials))
            self._recover(study, trials)
            is_waiting = bool(study.get_trials(deepcopy=False, states=[TrialState.WAITING]))
            run_dirs = {
                trial.user_attrs[_RUN_DIR] for trial in trials if _RUN_DIR in trial.user_attrs
            }
            if not is_waiting and len(run_dirs) >= n_trials:
                return None
            trial = study.ask(dict(self.space))
            if _RUN_DIR not in trial.user_attrs:
                trial.set_user_attr(_RUN_DIR, f"trials/{trial.number:04d}")
            owned.enter_context(self._owned(trial))
            return trial

    def _recover(self, study: optuna.Study, trials: Sequence[FrozenTrial]) -> None:
        """Queues anew what a killed process left."""
        for trial in trials:
            if trial.state != TrialState.RUNNING:
                continue
            if _RUN_DIR not in trial.user_attrs:  # killed as it began
                study.tell(trial.number, state=TrialState.FAIL)
                continue
            try:
                self._owned(trial).close()
            except BlockingIOError:  # runs in another process or thread
                continue
            study.enqueue_trial(trial.params, user_attrs={_RUN_DIR: trial.user_attrs[_RUN_DIR]})
            study.tell(trial.number, state=TrialState.FAIL)
            self.report(f"trial {trial.number} was killed: its training goes on as another trial")

    def _owned(self, trial: FrozenTrial | Trial) -> TextIO:
        """The lock of a trial's owner.

        Raises:
          BlockingIOError: it has another owner.
        """
        run_dir = self._run_dir(trial)
        run_dir.mkdir(parents=True, exist_ok=True)
        return run_directory.locked(run_dir / ".tuned")

    def _try(self, trial: Trial, stop: StopSignal) -> None:
        """Trains, and tells the study what came of it."""
        study, run_dir = trial.study, self._run_dir(trial)
        bindings = space.trial_bindings(trial.params)
        flags = [*(f"--gin_bindings={line}" for line in bindings), f"--run_dir={run_dir}"]
        self.report(f"trial {trial.number} begins: {', '.join(bindings)}")
        try:
            means = training.train(trial, run_dir, [*self.command, *flags], self._evaluations, stop)
        except optuna.TrialPruned as e:
            study.tell(trial, state=TrialState.PRUNED)
            self.report(f"trial {trial.number} is pruned: {e}")
        except training.TrainingError as e:
            trial.set_user_attr(_FAILURE, str(e))
            study.tell(trial, state=TrialState.FAIL)
            self.report(f"trial {trial.number} failed: {e}")
        else:
            value = float(np.mean(means[-SCORED_EVALUATIONS:]))
            study.tell(trial, value)
            best = study.best_trial
            self.report(
                f"trial {trial.number} is complete: {value:.1f}; "
                f"the best so far is trial {best.number}: {best.value:.1f}"
            )
        # Those of a hundred trials would fill a disk; the best agents and the records stay.
        for name in ("checkpoints", "snapshots"):
            shutil.rmtree(run_dir / name, ignore_errors=True)


def _sampler(name: str, seed: int | None) -> optuna.samplers.BaseSampler:
    if name == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)


def _pruner(name: str, evaluations: int) -> optuna.pruners.BasePruner:
    if name == "median":  # the first third says little; steps count from 1
        return optuna.pruners.MedianPruner(n_warmup_steps=evaluations // 3 + 1)
    if name == "halving":
        return optuna.pruners.SuccessiveHalvingPruner()
    return optuna.pruners.NopPruner()


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """One process and thread at a time."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
