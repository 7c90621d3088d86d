"""The command as a user types it: a table, a line in the run, one line for each mistake."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fake_runs import replace_best

ROOT = Path(__file__).parent.parent


def evaluate(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "launch" / "evaluate.py"), *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def own_run(small_run, tmp_path):
    return shutil.copytree(small_run, tmp_path / "run")


def test_it_prints_a_table_and_adds_a_line(own_run, tmp_path):
    replace_best(own_run, checkpoint=304, agent_steps=200)
    run = evaluate(
        *("--run_dir=run", "--checkpoint=best", "--episodes=2", "--protocol=nature"),
        *("--seed=3", "--epsilon=0.5", "--num_envs=1"),
        folder=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    for text in (
        "DQN on space_invaders, 200 agent steps",
        "nature=atari_100k",
        "grade (mean - sd)",
    ):
        assert text in run.stdout
    assert run.stdout.endswith("run/evaluate.jsonl\n")
    (line,) = (own_run / "evaluate.jsonl").read_text().splitlines()
    line = json.loads(line)
    assert {name: line[name] for name in ("agent_steps", "episodes", "seed", "num_envs")} == {
        "agent_steps": 200,
        "episodes": 2,
        "seed": 3,
        "num_envs": 1,
    }
    assert (line["epsilon"], line["rules"]["noop_max"]) == (0.5, 30)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name what to evaluate"),
        (("--run_dir=run", "--model_dir=run"), "name what to evaluate"),
        (("--model_dir=run", "--checkpoint=best"), "leave out --checkpoint"),
        (("--run_dir=nowhere",), "nowhere is no run directory: give that of a training\n"),
        (("--run_dir=run", "--checkpoint=newest"), "--checkpoint must be last, best or a number"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(tmp_path, arguments, message):
    run = evaluate(*arguments, folder=tmp_path)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("error: ")
    assert message in run.stderr
    assert run.stderr.count("\n") == 1
