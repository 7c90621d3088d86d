"""The command as a user types it: what it prints, and one line for each mistake."""

import socket

import pytest

from tests.training_process import BINDINGS, command

GAME = "--gin_file=space_invaders.gin"
SMALL = [f"--gin_bindings={binding}" for binding in BINDINGS]


def length(agent_steps: int) -> str:
    return f"--gin_bindings=Training.agent_steps = {agent_steps}"


def test_it_trains_and_says_how_to_go_on(tmp_path):
    first = command(tmp_path, GAME, *SMALL, length(120))
    assert first.exit_code == 0, first.stderr
    assert "space_invaders, 4 environments" in first.stdout
    assert "--run_dir=runs/space_invaders_DQN_1" in first.stdout
    assert "reverb" not in first.stdout + first.stderr, "the libraries' chatter goes to native.log"
    run_dir = tmp_path / "runs" / "space_invaders_DQN_1"
    assert "replay server" in (run_dir / "native.log").read_text()

    again = command(tmp_path, "--run_dir=runs/space_invaders_DQN_1", "--resume", length(220))
    assert again.exit_code == 0, again.stderr
    assert "resumed at 12" in again.stdout

    other = command(tmp_path, GAME, *SMALL, "--run_dir=runs/space_invaders_DQN_1", length(220))
    assert other.exit_code == 0, "the same configuration goes on"
    refused = command(
        tmp_path, "--run_dir=runs/space_invaders_DQN_1", "--gin_bindings=DQN.gamma = 0.9"
    )
    assert_one_line(refused, "DQN.gamma: 0.99 in the run, 0.9 now")
    refused = command(tmp_path, GAME, "--run_dir=runs/space_invaders_DQN_1", "--noresume")
    assert_one_line(refused, "holds a run already")


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
        (["--gin_file=space_invadrs.gin"], "did you mean 'space_invaders'?"),
        ([GAME, "--gin_bindings=AtariEnvironment.game = 'pogn'"], "did you mean 'pong'?"),
        ([GAME, "--gin_bindings=AtariEnvironment.num_env = 4"], "did you mean 'num_envs'?"),
        ([GAME, "--gin_bindings=AtariEnvironment.num_envs = 'four'"], "must be an int"),
        ([GAME, "--gin_bindings=AtariEnvironment.num_envs = 0"], "must be at least 1"),
        ([GAME, "--gin_bindings=DQN.gamma = 1.5"], "DQN.gamma must be between 0 and 1"),
        ([GAME, "--gin_bindings=Evaluator.episodes = 0"], "Evaluator.episodes"),
        ([GAME, "--gin_bindings=Replay.batch_size = -1"], "Replay.batch_size must be"),
        ([GAME, "--gin_bindings=rmsprop.decay = 0.9"], "nothing in this run uses rmsprop.decay"),
        (
            [GAME, "--gin_bindings=Replay.capacity = 2_000_000_000", length(2_000_000_000)],
            "GB of memory",
        ),
        ([GAME, "--resume"], "nothing to resume"),
        ([GAME, "--run_dir=/proc/run"], "cannot be written"),
        ([GAME, "--run_dri=x"], "run_dri"),
        ([GAME, "extra"], "unexpected argument"),
    ],
)
def test_a_mistake_gets_one_line(tmp_path, arguments, message):
    assert_one_line(command(tmp_path, *arguments), message)
    assert not list(tmp_path.glob("runs/*")), "a run that never started leaves nothing"


def test_a_port_in_use_is_named(tmp_path):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        finished = command(tmp_path, GAME, f"--gin_bindings=Replay.port = {port}")
    assert_one_line(finished, f"port {port}")
