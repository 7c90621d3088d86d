"""A study: its trials, whoever works on it, whatever is killed; and what it leaves to its user."""

import csv
import dataclasses
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from PIL import Image

import agents.training  # noqa: F401 (makes every name known to gin)
from agents import configuration
from agents.errors import UserError
from agents.tuning import outcome, space
from agents.tuning.study import Study
from tests import recorded_training
from tests.training_process import command

TRAIN = (sys.executable, "-S", recorded_training.__file__)
LENGTH = ("Training.agent_steps = 400", "Training.evaluation_period_agent_steps = 100")
RATES = "adam.learning_rate = {'low': 1e-6, 'high': 1e-2, 'log': True}"
_processes = multiprocessing.get_context("forkserver")


@pytest.fixture(autouse=True)
def _no_configuration_stays():
    yield
    configuration.load([])


def study(directory: Path, text: str = RATES, bindings=LENGTH, **changes) -> Study:
    (directory.parent / "my.space").write_text(text)
    searched = space.load(str(directory.parent / "my.space"), ["pong.gin"], bindings)
    settings = {
        "directory": directory,
        "name": "mine",
        "storage": None,
        "space": searched,
        "command": TRAIN,
        "sampler": "random",
        "pruner": "none",
        "seed": 0,
        "report": lambda line: None,
    }
    return Study(**(settings | changes))


def run(directory: Path, n_trials: int, n_jobs: int = 1, timeout=None, **settings) -> optuna.Study:
    return study(directory, **settings).run(n_trials, n_jobs, timeout)


def start(directory: Path, n_trials: int) -> multiprocessing.process.BaseProcess:
    process = _processes.Process(target=run, args=(directory, n_trials))
    process.start()
    return process


def scores(of: optuna.Study) -> list[float | None]:
    return [trial.value for trial in of.trials]


def evaluations(run_dir: Path) -> list[int]:
    lines = (run_dir / "evaluations.jsonl").read_text().splitlines()
    return [json.loads(line)["agent_steps"] for line in lines]


def wait_for(condition, *arguments):
    while not condition(*arguments):
        time.sleep(0.02)


@pytest.fixture
def tuned(tmp_path):
    return tmp_path / "study"


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_seed_names_the_trials_also_of_a_study_that_is_made_longer(tuned, sampler, tmp_path):
    run(tuned, 2, sampler=sampler)
    longer = run(tuned, 4, sampler=sampler)
    assert [trial.state for trial in longer.trials] == [TrialState.COMPLETE] * 4
    assert len({trial.params["adam.learning_rate"] for trial in longer.trials}) == 4
    again = run(tmp_path / "again", 4, sampler=sampler, storage=f"sqlite:///{tmp_path}/db")
    assert scores(again) == scores(longer)
    assert scores(run(tmp_path / "other", 1, sampler=sampler, seed=1)) != scores(longer)[:1]


def test_the_score_is_the_mean_of_the_last_evaluations(tuned):
    (trial,) = run(tuned, 1).trials
    assert trial.intermediate_values == dict.fromkeys((1, 2, 3, 4), trial.value)
    assert trial.value < 0, "the untrained network's does not count"
    kept = {path.name for path in (tuned / "trials" / "0000").iterdir()}
    assert kept >= {"best", "evaluations.jsonl"}
    assert not kept & {"checkpoints", "snapshots"}


def test_a_failed_training_is_recorded_and_the_study_goes_on(tuned):
    lines = []
    text = "adam.learning_rate = {'choices': [1e-4, 1.0]}"
    trials = run(tuned, 6, text=text, report=lines.append).trials
    states = {trial.params["adam.learning_rate"]: trial.state for trial in trials}
    assert states == {"0.0001": TrialState.COMPLETE, "1.0": TrialState.FAIL}
    failed = [trial for trial in trials if trial.state == TrialState.FAIL]
    reason = "the loss is not finite: lower the learning rate"
    assert {trial.user_attrs["failure"] for trial in failed} == {reason}
    assert f"trial {failed[0].number} failed: {reason}" in lines


def test_a_training_that_ends_early_or_is_killed_has_failed(tuned):
    trials = run(tuned, 1, command=(sys.executable, "-c", "print('gone')")).trials
    trials += run(tuned, 2, command=("sh", "-c", "kill -9 $$")).trials[1:]
    failures = [trial.user_attrs["failure"] for trial in trials]
    assert [failure.split(",")[0] for failure in failures] == ["exit status 0", "exit status -9"]
    assert "gone" in Path(failures[0].partition("see ")[2]).read_text()


def test_the_median_pruner_ends_what_is_worse(tuned):
    text = "adam.learning_rate = {'choices': [1e-4, 1e-12]}"
    trials = run(tuned, 12, text=text, pruner="median").trials
    after_startup = [trial for trial in trials if trial.number >= 5]
    states = {trial.params["adam.learning_rate"]: trial.state for trial in after_startup}
    assert states == {"0.0001": TrialState.COMPLETE, "1e-12": TrialState.PRUNED}
    pruned = [trial for trial in trials if trial.state == TrialState.PRUNED]
    assert all(max(trial.intermediate_values) == 2 for trial in pruned), "after the first third"


def test_jobs_share_the_trials(tuned):
    shared = run(tuned, 5, n_jobs=3)
    assert [trial.state for trial in shared.trials] == [TrialState.COMPLETE] * 5
    assert len(set(scores(shared))) == 5


def test_processes_share_a_study(tuned):
    processes = [start(tuned, 4) for _ in range(2)]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    trials = run(tuned, 4).trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 4
    assert len({trial.params["adam.learning_rate"] for trial in trials}) == 4


def test_a_killed_study_goes_on_in_the_same_run_directory(tuned):
    (tuned / "trials").mkdir(parents=True)
    (tuned / "trials" / "wait").touch()
    process = start(tuned, 2)
    record = tuned / "trials" / "0000" / "evaluations.jsonl"
    wait_for(lambda: record.exists() and len(evaluations(record.parent)) == 2)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    (tuned / "trials" / "wait").unlink()  # the training outlives the kill, and ends
    wait_for(lambda: len(evaluations(record.parent)) == 5)

    killed, *others = run(tuned, 2).trials
    assert killed.state == TrialState.FAIL
    assert [trial.state for trial in others] == [TrialState.COMPLETE] * 2
    resumed = next(trial for trial in others if trial.user_attrs["run_dir"] == "trials/0000")
    assert resumed.params == killed.params
    assert evaluations(record.parent) == [0, 100, 200, 300, 400], "it began where it was"


def test_a_stopped_study_saves_and_goes_on(tuned):
    (tuned / "trials").mkdir(parents=True)
    (tuned / "trials" / "wait").touch()
    first = tuned / "trials" / "0000"

    def interrupt():
        wait_for(
            lambda: len(evaluations(first)) == 2 if (first / "evaluations.jsonl").exists() else 0
        )
        os.kill(os.getpid(), signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    lines = []
    (stopped,) = run(tuned, 3, report=lines.append).trials
    interrupter.join()
    assert stopped.state == TrialState.RUNNING
    assert "stopping: saving what is new" in lines
    assert (first / "console.log").read_text() == "stopped\n"
    assert (first / "checkpoints").exists()

    (tuned / "trials" / "wait").unlink()
    trials = run(tuned, 1).trials
    assert [trial.state for trial in trials] == [TrialState.FAIL, TrialState.COMPLETE]
    assert evaluations(first) == [0, 100, 200, 300, 400]


def test_after_the_timeout_no_trial_begins(tuned):
    assert run(tuned, 5, timeout=0.0).trials == []


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"bindings": (*LENGTH, "DQN.gamma = 0.9")}, r"DQN\.gamma: 0\.99 in the run, 0\.9 now"),
        ({"text": RATES.replace("1e-2", "1e-1")}, r"adam\.learning_rate: .*0\.01.* now"),
        ({"text": RATES + "\nDQN.n_step = {'choices': [1, 3]}"}, r"DQN\.n_step: "),
    ],
)
def test_a_study_of_other_parameters_is_refused(tuned, changes, difference):
    run(tuned, 1)
    with pytest.raises(UserError, match=rf"the study mine has another .*\({difference}"):
        run(tuned, 2, **changes)
    assert len(run(tuned, 1).trials) == 1


def test_what_cannot_be_used_is_refused(tuned, tmp_path):
    with pytest.raises(UserError, match=r"--storage=nosuch://x cannot be opened"):
        run(tuned, 1, storage="nosuch://x")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/study cannot be made"):
        dataclasses.replace(study(tuned), directory=tmp_path / "file" / "study").run(1, 1, None)


def test_the_outcome_can_be_trained(tuned, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("own.gin").write_text("include 'pong.gin'\nDQN.gamma = 0.98")
    text = "adam.learning_rate = {'choices': [1e-4, 1e-5, 1.0]}"
    finished = run(tuned, 8, text=text)
    paths = outcome.write(finished, tuned, ["own.gin", "dopamine.gin"], ["Training.seed = 7"])
    assert [path.name for path in paths] == [
        "trials.csv",
        "best.gin",
        "history.png",
        "importance.png",
    ]
    rows = list(csv.DictReader((tuned / "trials.csv").open(newline="")))
    assert [row["state"] for row in rows] == [t.state.name.lower() for t in finished.trials]
    assert {row["adam.learning_rate"] for row in rows} == {"0.0001", "1e-05", "1.0"}
    assert all(bool(row["failure"]) == (row["adam.learning_rate"] == "1.0") for row in rows)
    monkeypatch.chdir("/")
    configuration.load([str(tuned / "best.gin")])
    bindings = configuration.bindings()
    expected = {"adam.learning_rate": "0.0001", "DQN.gamma": "0.98", "Training.seed": "7"}
    assert {name: bindings[name] for name in expected} == expected
    for path in paths[2:]:
        assert len(Image.open(path).convert("L").getcolors()) > 10, "something is drawn"


def test_without_a_complete_trial_there_is_no_best(tuned):
    failed = run(tuned, 1, text="adam.learning_rate = {'choices': [1.0]}")
    assert [path.name for path in outcome.write(failed, tuned, [], [])] == ["trials.csv"]


def test_the_command_trains_real_games(tmp_path):
    (tmp_path / "my.space").write_text("adam.learning_rate = {'choices': [1e-4]}")
    bindings = (
        "LEARNING_STARTS_AGENT_STEPS = 100",
        "Training.agent_steps = 200",
        "Training.evaluation_period_agent_steps = 100",
        "Evaluator.episodes = 1",
        "Evaluator.max_frames_per_episode = 100",
        "Replay.capacity = 1000",
        "Replay.batch_size = 8",
        "q_network.precision = 'float32'",
    )
    flags = ["--gin_file=pong.gin", *(f"--gin_bindings={binding}" for binding in bindings)]
    finished = command(tmp_path, *flags, "--space=my.space", "--n_trials=1", name="tune")
    assert finished.exit_code == 0, finished.stderr + finished.stdout
    assert "trial 0 is complete: " in finished.stdout
    best = "studies/pong_DQN/best.gin"
    assert finished.stdout.splitlines()[-2:] == [best, "studies/pong_DQN/history.png"]
    assert "adam.learning_rate = 0.0001" in (tmp_path / best).read_text()

    other = command(tmp_path, *flags, "--n_trials=1", name="tune")
    assert (other.exit_code, other.stderr.count("\n")) == (2, 1)
    assert "the study pong_DQN has another configuration or search space" in other.stderr
    nothing = command(tmp_path, "--n_trials=1", name="tune")
    assert (nothing.exit_code, nothing.stderr) == (
        2,
        "error: no game given: name one, as in --gin_file=space_invaders.gin\n",
    )
