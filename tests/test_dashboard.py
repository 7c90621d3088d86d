"""TensorBoard over runs and published curves, as the command starts it."""

import json
import os
import shutil
import signal
import time
import urllib.request
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest

from agents import scores
from agents.errors import UserError
from agents.reporting import dashboard, records
from tests.training_process import command, finish, start_command


def test_the_published_curve_is_a_run_under_the_tags_of_the_first_charts(small_run, tmp_path):
    for name, agent_steps in (("short", 500_000), ("long", 1_100_000)):
        run = shutil.copytree(small_run, tmp_path / "runs" / name)
        config = json.loads((run / "config.json").read_text())
        config["Training.agent_steps"] = str(agent_steps)
        (run / "config.json").write_text(json.dumps(config))
    (tmp_path / "laid").mkdir()
    dashboard.lay_out(tmp_path / "runs", tmp_path / "laid")
    assert (tmp_path / "laid" / "runs" / "long").samefile(tmp_path / "runs" / "long")
    points = records.scalars(tmp_path / "laid" / "published" / "space_invaders_DQN")
    assert set(points) == set(dashboard.FIRST[:2])
    published = scores.dopamine("space_invaders", "DQN")[:5]
    assert published[-1].agent_steps == 1_250_000
    for found in points.values():
        assert [agent_steps for agent_steps, _ in found] == [w.agent_steps for w in published]
        assert [mean for _, mean in found] == pytest.approx([w.mean for w in published])


def test_runs_in_a_folder_called_published_stay_as_they_are(small_run, tmp_path):
    shutil.copytree(small_run, tmp_path / "published" / "run")
    (tmp_path / "laid").mkdir()
    dashboard.lay_out(tmp_path / "published", tmp_path / "laid")
    assert [path.name for path in (tmp_path / "published").iterdir()] == ["run"]
    assert sorted(path.name for path in (tmp_path / "laid").iterdir()) == ["published", "runs"]


def test_the_first_page_shows_what_runs_have(small_run):
    runs_have = records.scalars(small_run)
    # No game of this short run ends.
    assert set(dashboard.FIRST) - set(runs_have) == {"1_score/training_mean_of_100_games"}


def test_a_folder_without_a_run_is_refused(tmp_path):
    (tmp_path / "config.json").touch()
    with pytest.raises(UserError, match="holds no run that can be read"):
        dashboard.lay_out(tmp_path, tmp_path / "laid")


def started(folder: Path, process) -> str:
    """The address that the command prints."""
    stdout = folder / "stdout"
    while not (stdout.exists() and stdout.read_text().endswith("\n")):
        assert process.is_alive(), (folder / "stderr").read_text()
        time.sleep(0.05)
    return stdout.read_text().strip()


def test_the_command_serves_them_on_this_machine_only(small_run, tmp_path):
    flags = [f"--logdir={small_run.parent}", "--port=0"]
    process = start_command(tmp_path, *flags, name="dashboard")
    address = urlsplit(started(tmp_path, process))
    cards = json.loads(parse_qs(address.query)["pinnedCards"][0])
    assert [card["tag"] for card in cards] == list(dashboard.FIRST)

    tags = f"http://{address.netloc}/experiment/defaultExperimentId/data/plugin/timeseries/tags"
    expected = {
        f"{small_run.parent.name}/{small_run.name}/events",
        "published/space_invaders_DQN/events",
    }
    runs: set[str] = set()
    while runs < expected:  # it reads them in a thread of its own
        with urllib.request.urlopen(tags) as answer:
            runs = set(json.load(answer)["scalars"]["runTagInfo"])
    family = psutil.Process(process.pid)
    for member in (family, *family.children(recursive=True)):
        listening = [c for c in member.net_connections() if c.status == psutil.CONN_LISTEN]
        assert {c.laddr.ip for c in listening} <= {"127.0.0.1", "::1"}

    os.kill(process.pid, signal.SIGINT)
    finished = finish(process, tmp_path)
    assert finished.exit_code == 0, finished.stderr


def test_a_mistake_is_one_line(tmp_path):
    refused = command(tmp_path, "--logdir=nowhere", name="dashboard")
    message = "error: nowhere is no run directory: give that of a training\n"
    assert (refused.exit_code, refused.stderr) == (2, message)
