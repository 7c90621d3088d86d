"""In: a study. Out: its best configuration as a gin file, its trials as CSV, and two plots.

best.gin                       `launch/train.py --gin_file=best.gin` trains it
trials.csv                     every trial: state, score, values, run directory, failure
history.png, importance.png    Optuna's plots
"""

import csv
import io
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import optuna
from optuna.trial import TrialState

from agents import configuration
from agents.tuning import space


def write(
    study: optuna.Study, directory: Path, gin_files: Sequence[str], bindings: Sequence[str]
) -> list[Path]:
    """Writes what the trials so far can tell; returns the files.

    Args:
      study: with its trials.
      directory: for the files.
      gin_files: of the configuration around the search space.
      bindings: of the same.
    """
    paths = [_write(directory / "trials.csv", _table(study))]
    complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    if complete:
        paths.append(_write(directory / "best.gin", _best(study, gin_files, bindings)))
        paths.append(_plot("plot_optimization_history", study, directory / "history.png"))
    if len({trial.value for trial in complete}) > 1:  # else nothing made a difference
        paths.append(_plot("plot_param_importances", study, directory / "importance.png"))
    return paths


def _best(study: optuna.Study, gin_files: Sequence[str], bindings: Sequence[str]) -> str:
    best = study.best_trial
    lines = [
        f"# Trial {best.number} of the study {study.study_name}, the best of "
        f"{len(study.trials)}: {best.value:.1f}.",
        *(f"include {configuration.located(name)!r}" for name in gin_files),
        *bindings,
        *space.trial_bindings(best.params),
    ]
    return "\n".join(lines) + "\n"


def _table(study: optuna.Study) -> str:
    names = sorted({name for trial in study.trials for name in trial.params})
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("trial", "state", "score", *names, "run_dir", "failure"))
    for trial in study.trials:
        writer.writerow(
            (
                trial.number,
                trial.state.name.lower(),
                trial.value,
                *(trial.params.get(name) for name in names),
                trial.user_attrs.get("run_dir"),
                trial.user_attrs.get("failure"),
            )
        )
    return table.getvalue()


def _plot(name: str, study: optuna.Study, path: Path) -> Path:
    import matplotlib

    matplotlib.use("Agg")  # Optuna draws through pyplot, which would look for a display
    from matplotlib import pyplot

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        axes = getattr(optuna.visualization.matplotlib, name)(study)
    axes.figure.savefig(path, dpi=110, bbox_inches="tight")
    pyplot.close(axes.figure)
    return path


def _write(path: Path, text: str) -> Path:
    aside = path.with_name(f"{path.name}.{os.getpid()}.partial")
    aside.write_text(text)
    return aside.replace(path)
