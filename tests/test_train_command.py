"""The command as a user types it: what it prints, and one line for each mistake."""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from agents.checkpoints import Checkpoints
from tests.training_process import BINDINGS, Finished, command, finish, start_command

GAME = "--gin_file=space_invaders.gin"
SMALL = [f"--gin_bindings={binding}" for binding in BINDINGS]
TRAIN = Path(__file__).parent.parent / "launch" / "train.py"
RUN = "runs/space_invaders_DQN_1"
# One checkpoint before an evaluation that lasts longer than it takes to send two signals.
INTERRUPTED = [
    GAME,
    *SMALL,
    "--gin_bindings=Training.checkpoint_period_agent_steps = 40",
    "--gin_bindings=Training.evaluation_period_agent_steps = 60",
    "--gin_bindings=Evaluator.max_frames_per_episode = 2000",
    "--gin_bindings=Evaluator.episodes = 4",
]


def length(agent_steps: int) -> str:
    return f"--gin_bindings=Training.agent_steps = {agent_steps}"


def test_it_trains_and_says_how_to_go_on(tmp_path):
    first = command(tmp_path, GAME, *SMALL, length(120))
    assert first.exit_code == 0, first.stderr
    text = " ".join(first.stdout.replace("│", " ").split())
    for part in (
        "space_invaders, 4 environments",
        "sticky actions 0.25, no no-ops",
        "after 100 agent steps",
        "the last 2,000 transitions, in this run at most 0.5 MB of memory",
        "float32",
        f"saved {RUN}/checkpoints/0000",
        "evaluating at 0 agent steps: 2 games of 200 frames at most",
    ):
        assert part in text
    assert json.loads((tmp_path / RUN / "run.json").read_text())["precision"] == "float32"
    *_, done, longer = first.stdout.splitlines()
    assert done.startswith("done; to export: ")
    assert done.endswith("launch/export.py --run_dir=runs/space_invaders_DQN_1")
    assert longer.startswith("to train on: ")
    assert longer.endswith("'--gin_bindings=Training.agent_steps = 240'")
    assert "reverb" not in first.stdout + first.stderr, "the libraries' chatter goes to native.log"
    run_dir = tmp_path / "runs" / "space_invaders_DQN_1"
    assert "replay server" in (run_dir / "native.log").read_text()

    again = command(tmp_path, "--run_dir=runs/space_invaders_DQN_1", "--resume", length(220))
    assert again.exit_code == 0, again.stderr
    assert "resumed at 12" in again.stdout
    assert f"agent steps from {RUN}/checkpoints/0" in again.stdout

    other = command(tmp_path, GAME, *SMALL, "--run_dir=runs/space_invaders_DQN_1", length(220))
    assert other.exit_code == 0, "the same configuration goes on"
    short = command(tmp_path, GAME, *SMALL, length(60), "--run_dir=short")
    assert "after 100 agent steps, not in this run" in short.stdout
    refused = command(
        tmp_path, "--run_dir=runs/space_invaders_DQN_1", "--gin_bindings=DQN.gamma = 0.9"
    )
    assert_one_line(refused, "DQN.gamma: 0.99 in the run, 0.9 now")
    refused = command(tmp_path, GAME, "--run_dir=runs/space_invaders_DQN_1", "--noresume")
    assert_one_line(refused, "holds a run already")


def start_and_interrupt(folder):
    """Starts the command, and sends it SIGINT in the evaluation after the 60th agent step."""
    process = start_command(folder, *INTERRUPTED)
    wait_for_line(process, folder, "evaluating at 6")
    os.kill(process.pid, signal.SIGINT)
    return process


def wait_for_line(process, folder, text):
    stdout = folder / "stdout"
    while not (stdout.exists() and text in stdout.read_text()):
        assert process.is_alive(), (folder / "stderr").read_text()
        time.sleep(0.005)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """The folder of a command that was stopped with one SIGINT, and how it ended."""
    folder = tmp_path_factory.mktemp("stopped")
    return folder, finish(start_and_interrupt(folder), folder)


def test_one_interrupt_saves_and_stops(stopped):
    folder, finished = stopped
    assert finished.exit_code == 0, finished.stderr
    assert finished.stdout.endswith(f" launch/train.py --run_dir={RUN}\n")
    assert "stopped; to go on: " in finished.stdout
    newest = Checkpoints(folder / RUN / "checkpoints").latest(print)
    assert 60 <= int(newest.name) < 64, "nothing but the signal asks for a checkpoint here"


def test_two_interrupts_end_it_at_once(tmp_path):
    process = start_and_interrupt(tmp_path)
    wait_for_line(process, tmp_path, "stopping")
    os.kill(process.pid, signal.SIGINT)
    finished = finish(process, tmp_path)
    assert finished.exit_code == -signal.SIGINT
    assert "stopped; to go on" not in finished.stdout
    again = command(tmp_path, f"--run_dir={RUN}", length(50))
    assert again.exit_code == 0, again.stderr
    assert "resumed at 4" in again.stdout


def test_a_terminal_that_closes_stops_and_saves_it(tmp_path):
    never = "--gin_bindings=Training.checkpoint_period_agent_steps = 1_000_000"
    line = [sys.executable, str(TRAIN), GAME, *SMALL, never, length(1_000_000)]
    terminal, end = os.openpty()
    process = subprocess.Popen(
        line,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(TRAIN.parent.parent)},
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(end)
    shown = b""
    while b"evaluation at 0" not in shown:
        shown += os.read(terminal, 4096)
    time.sleep(1)
    os.close(terminal)
    process.wait(120)
    newest = Checkpoints(tmp_path / RUN / "checkpoints").latest(print)
    assert newest is not None


def test_a_damaged_checkpoint_is_named_and_passed_over(stopped, tmp_path):
    shutil.copytree(stopped[0] / "runs", tmp_path / "runs")
    newest = Checkpoints(tmp_path / RUN / "checkpoints").latest(print)
    data = next((newest / "agent").glob("ckpt.data*"))
    data.write_bytes(data.read_bytes()[:-1])
    finished = command(tmp_path, f"--run_dir={RUN}", "--resume", length(50))
    assert finished.exit_code == 0, finished.stderr
    assert f"{newest.name} is damaged" in finished.stdout
    assert "resumed at 4" in finished.stdout


def assert_one_line(finished, message):
    assert finished.exit_code == 2
    assert finished.stdout == ""
    assert finished.stderr.startswith("error: ")
    assert finished.stderr.count("\n") == 1, finished.stderr
    assert message in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no game given"),
        (["--run_dir=runs/x"], "runs/x holds no run to go on with: correct the name, or"),
        (["--gin_file=space_invadrs.gin"], "did you mean 'space_invaders.gin'?"),
        ([GAME, "--gin_bindings=AtariEnvironment.game = 'pogn'"], "did you mean 'pong'?"),
        (
            [GAME, "--gin_file=nature.gin", "--gin_file=atari_100k.gin"],
            "nature.gin and atari_100k.gin both set AtariEnvironment.frameskip",
        ),
        ([GAME, "--gin_bindings=AtariEnvironment.num_env = 4"], "did you mean 'num_envs'?"),
        ([GAME, "--gin_bindings=AtariEnvironment.num_envs = 'four'"], "must be an int"),
        ([GAME, "--gin_bindings=AtariEnvironment.num_envs = 0"], "must be at least 1"),
        ([GAME, "--gin_bindings=DQN.gamma = 1.5"], "DQN.gamma must be between 0 and 1"),
        ([GAME, "--gin_bindings=Training.agent = 'DQN'"], "must be a reference, @name, to what"),
        ([GAME, "--gin_bindings=Training.agent = @Replay"], "to what makes a DQN, got @Replay"),
        ([GAME, "--gin_bindings=DQN.optimizer = @adam()"], "DQN.optimizer must be a reference"),
        (
            [
                *("--gin_file=nature.gin", "--gin_bindings=AtariEnvironment.game = 'pong'"),
                *(length(100), "--run_dir=mine"),
            ],
            "Training.agent has no value: bind it to a reference",
        ),
        ([GAME, "--gin_bindings=Evaluator.episodes = 0"], "Evaluator.episodes"),
        ([GAME, "--gin_bindings=Replay.batch_size = -1"], "Replay.batch_size must be"),
        ([GAME, "--gin_bindings=rmsprop.decay = 0.9"], "nothing in this run uses rmsprop.decay"),
        (
            [GAME, "--gin_bindings=Replay.capacity = 2_000_000_000", length(2_000_000_000)],
            "GB of memory",
        ),
        ([GAME, "--gin_bindings=DQN.network = @adam"], "what makes a Model, got @adam"),
        ([GAME, "--run_dir=~nobody_of_this_name/x"], "cannot be read (Could not determine home"),
        ([GAME, "--resume"], "nothing to resume: name a run, as in --run_dir=runs/NAME"),
        ([GAME, "--gin_bindings=Replay.capacity = 31"], "must be at least Replay.batch_size, 32"),
        ([GAME, "--run_dir=/proc/run"], "cannot be written"),
        ([GAME, "--run_dri=x"], "run_dri"),
        ([GAME, "extra"], "unexpected argument"),
    ],
)
def test_a_mistake_gets_one_line(tmp_path, arguments, message):
    assert_one_line(command(tmp_path, *arguments), message)
    assert not list(tmp_path.glob("runs/*")), "a run that never started leaves nothing"


def test_a_mistake_that_shows_late_gets_one_line_from_an_interpreter_that_takes_all_down(tmp_path):
    # The other tests' processes end without the libraries' own farewell.
    run = subprocess.run(
        [sys.executable, TRAIN, GAME, "--gin_bindings=rmsprop.decay = 0.9"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert_one_line(
        Finished(run.returncode, run.stdout, run.stderr), "nothing in this run uses rmsprop.decay"
    )


def test_a_misspelt_run_directory_comes_with_those_beside_it(tmp_path):
    (tmp_path / RUN).mkdir(parents=True)
    (tmp_path / RUN / "config.json").touch()
    for arguments in ([], ["--resume"]):
        refused = command(tmp_path, "--run_dir=runs/space_invader_DQN_1", *arguments)
        assert_one_line(refused, f" (near it: {RUN})")


def test_names_that_are_wrong_are_told_before_tensorflow_is_loaded(tmp_path):
    code = (
        "import sys; from launch import train\n"
        "try: train.cli()\n"
        "finally: assert 'tensorflow' not in sys.modules"
    )
    for argument in ("--gin_file=space_invadrs.gin", "--run_dir=runs/nothing", "--verbosity=-1"):
        run = subprocess.run(
            [sys.executable, "-c", code, argument], capture_output=True, text=True, cwd=tmp_path
        )
        assert run.returncode == 2
        assert run.stderr.startswith("error: ")
        assert run.stderr.count("\n") == 1, run.stderr


def test_a_port_in_use_is_named(tmp_path):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        finished = command(tmp_path, GAME, f"--gin_bindings=Replay.port = {port}")
    assert_one_line(finished, f"port {port}")
