"""plot.py and benchmark_table.py as a user types them."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.fake_runs import EVALUATION, make_run

ROOT = Path(__file__).parent.parent


def command(name: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160"}
    line = [sys.executable, str(ROOT / "launch" / name), *arguments]
    return subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_a_plot_and_its_numbers(tmp_path):
    for name, score in (("one", 10.0), ("two", 30.0)):
        make_run(tmp_path / "runs" / name, [(100, score), (400, 70.0)])
    run = command(
        "plot.py",
        *("--run_dir=runs", "--x=frames", "--window_agent_steps=300"),
        *("--out=curve.png", "--out=curve.csv"),
        folder=tmp_path,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert "20.0 [10.0, 30.0] of 2 runs" in run.stdout
    assert run.stdout.endswith("curve.png\ncurve.csv\n")
    assert Image.open(tmp_path / "curve.png").size[0] > 600
    first, second = csv.reader((tmp_path / "curve.csv").read_text().splitlines()[1:])
    assert first[:4] == ["space_invaders", "DQN", "300", "1200"]
    assert second[2:10] == ["400", "1600", "", "2", "2", "70.0", "70.0", "70.0"]


def test_a_run_that_is_too_young_is_left_out(tmp_path):
    make_run(tmp_path / "runs" / "one", [(100, 10.0)])
    make_run(tmp_path / "runs" / "young", [])
    run = command("plot.py", "--run_dir=runs", folder=tmp_path)
    assert (run.returncode, run.stdout.count("space_invaders")) == (0, 1)
    (warning,) = run.stderr.splitlines()
    assert warning.startswith("warning: left out: runs/young has no finished game yet")


def test_runs_that_are_no_seeds_of_one_another_are_named(tmp_path):
    for name in ("one", "two", "seed"):
        make_run(tmp_path / "runs" / name, [(100, 10.0)])
    for name, binding in (("two", "DQN.gamma"), ("seed", "Training.seed")):
        config = tmp_path / "runs" / name / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {binding: "0.9"}))
    run = command("plot.py", "--run_dir=runs", folder=tmp_path)
    (warning,) = run.stderr.splitlines()
    assert "runs/one and runs/two count as seeds of DQN" in warning
    assert "differ in DQN.gamma" in warning
    by_run = command("plot.py", "--run_dir=runs", "--group_by=run", folder=tmp_path)
    assert (by_run.returncode, by_run.stderr) == (0, "")


def test_aggregates_of_evaluated_runs(tmp_path):
    for name, score in (("one", 0.1), ("two", 0.3)):
        evaluation = EVALUATION | {"human_normalized": score}
        make_run(tmp_path / name, [(1, 1.0)], evaluation=evaluation)
    make_run(tmp_path / "young", [(1, 1.0)])
    run = command("plot.py", "--run_dir=.", "--rliable", "--out=a.svg", folder=tmp_path)
    remedy = "python launch/evaluate.py --run_dir=young"
    warning = f"warning: left out: young is not evaluated yet: {remedy}\n"
    assert (run.returncode, run.stderr) == (0, warning)
    assert "IQM" in run.stdout
    assert "0.200" in run.stdout
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")


def test_aggregates_ask_how_runs_were_evaluated_not_how_they_were_trained(tmp_path):
    for algorithm, noop_max in (("DQN", 0), ("C51", 30)):
        evaluation = EVALUATION | {"algorithm": algorithm, "human_normalized": 0.1}
        folder = tmp_path / algorithm
        make_run(folder, [(1, 1.0)], algorithm=algorithm, noop_max=noop_max, evaluation=evaluation)
    run = command("plot.py", "--run_dir=.", "--rliable", "--out=a.csv", folder=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")


def test_the_table_evaluates_what_is_not_evaluated(small_run, tmp_path):
    shutil.copytree(small_run, tmp_path / "runs" / "one")
    shutil.copytree(small_run, tmp_path / "runs" / "young")
    shutil.rmtree(tmp_path / "runs" / "young" / "checkpoints")
    arguments = ("benchmark_table.py", "--run_dir=runs", "--episodes=2", "--out=table.md")
    run = command(*arguments, folder=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "warning: left out: runs/young has no checkpoint yet" in run.stderr
    table = (tmp_path / "table.md").read_text()
    assert run.stdout == table + "table.md\n"
    assert "| runs/one | space_invaders | DQN | 600 | 2400 | dopamine=ale_v5 | 0.001 | 2 |" in table
    assert len((tmp_path / "runs/one/evaluate.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plot.py",), "name a run"),
        (("plot.py", "--run_dir=runs", "--out=curve"), "--out=curve must end in .png, .svg"),
        (("plot.py", "--run_dir=runs"), "runs of different protocols do not compare"),
        (("benchmark_table.py", "--run_dir=runs/a", "--noevaluate"), "is not evaluated yet"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(tmp_path, arguments, message):
    make_run(tmp_path / "runs" / "a", [(1, 1.0)])
    make_run(tmp_path / "runs" / "b", [(1, 1.0)], noop_max=30)
    run = command(*arguments, folder=tmp_path)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("error: ")
    assert message in run.stderr
    assert run.stderr.count("\n") == 1
