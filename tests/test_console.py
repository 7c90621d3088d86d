"""What a person sees of a training, on terminals of several widths and without one."""

import contextlib
import os
import pty
import re
import sys
import termios
import time
import tty
from pathlib import Path

import pytest

from agents.reporting.console import Console, command_line

AGENT_STEPS = 10_000_000
PARTS = ("epsilon 0.010", "return ", "steps/s", "/10M steps", " left")


class Terminal:
    """A terminal that takes what this process prints."""

    def __init__(self, columns: int, monkeypatch: pytest.MonkeyPatch):
        self._screen, device = pty.openpty()
        tty.setraw(device, termios.TCSANOW)
        monkeypatch.setattr(sys, "stdout", os.fdopen(device, "w"))
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "xterm")

    def lines(self) -> list[str]:
        """What was printed, without colours; a line that moves counts each time."""
        sys.stdout.close()
        text = b""
        with contextlib.suppress(OSError):  # the end
            while some := os.read(self._screen, 1 << 16):
                text += some
        os.close(self._screen)
        plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text.decode())
        return [line.rstrip() for line in re.split(r"[\r\n]+", plain) if line.strip()]


@pytest.fixture
def terminal(monkeypatch):
    return lambda columns: Terminal(columns, monkeypatch)


def at(agent_steps: int, speed: float, score: float | None, evaluation=None) -> None:
    """Shows where a training stands, the speed being known, and goes."""
    with Console() as console:
        console.start({"game": "pong"}, agent_steps, AGENT_STEPS)
        if evaluation:
            console.evaluating(*evaluation)
            return
        console._speed = speed
        console.progress(agent_steps, frames=4 * agent_steps, epsilon=0.01, recent_score=score)


@pytest.mark.parametrize(
    ("agent_steps", "speed", "score", "left"),
    [
        (1_234_567, 150.0, 312.44, "16 h 14 min left"),
        (4_999_999, 150.0, 312.44, "9 h 16 min left"),
        (1_234_567, 150.0, -999.94, "16 h 14 min left"),
        (1_234_567, 104.2, 849_123.0, "23 h 22 min left"),
        (999_992, 30.0, 3124.4, "3 d 11 h left"),
        (5_321_000, 9999.0, 12_345.6, "8 min left"),
        (5_321_000, 9999.0, 999_950.0, "8 min left"),
        (9_999_992, 250.0, None, "0 min left"),
    ],
)
def test_the_line_fits_80_columns_and_says_all_but_the_frames(
    terminal, agent_steps, speed, score, left
):
    screen = terminal(80)
    at(agent_steps, speed, score)
    line = screen.lines()[-1]
    assert len(line) <= 80
    assert "…" not in line
    assert re.fullmatch(rf"\d+%  ?{left} .*", line)
    assert all(part in line for part in PARTS[score == -999.94 :])


@pytest.mark.parametrize("score", [312.44, -999.94, 849_123.0])
def test_a_wide_terminal_shows_a_bar_and_all(terminal, score):
    screen = terminal(120)
    at(1_234_567, 150.0, score)
    line = screen.lines()[-1]
    assert len(line) <= 120
    assert line.startswith("━")
    assert all(
        part in line for part in (*PARTS, "1.235M/10M steps", "4.938M frames", "150 steps/s")
    )


def test_a_very_narrow_one_shows_the_time_left(terminal):
    screen = terminal(30)
    at(1_234_567, 150.0, 312.44)
    assert screen.lines()[-1].split(maxsplit=1) == ["12%", "16 h 14 min left"]


def test_an_evaluation_moves(terminal):
    screen = terminal(80)
    at(0, 0.0, None, evaluation=(3, 10, 4936))
    line = screen.lines()[-1]
    assert line.endswith("evaluating: 3 of 10 games over  those under way at frame 4,936")


def test_the_time_of_an_evaluation_does_not_count_as_slow_steps():
    with Console() as console:
        console.start({}, 0, AGENT_STEPS)
        console.progress(8, frames=32, epsilon=1.0, recent_score=None)
        assert console._speed == 0.0, "the first steps wait for TensorFlow's graphs"
        console._stretch = (time.monotonic() - 3600, 0)  # when an evaluation began
        console.evaluating(10, 10, 4936)
        console.progress(16, frames=64, epsilon=1.0, recent_score=None)
        console.progress(24, frames=96, epsilon=1.0, recent_score=None)
        assert console._speed > 24 / 3600


def test_a_file_gets_whole_numbers(capsys, monkeypatch):
    monkeypatch.setattr("agents.reporting.console._SECONDS_PER_LINE", 0.0)
    at(1_234_567, 150.0, 312.44)
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == (
        "16 h 14 min left  1,234,567/10,000,000 steps  150 steps/s  return 312.4  epsilon 0.010  "
        "4,938,268 frames"
    )


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """Makes a folder with two names of this interpreter, as virtual environments have them."""

    def make(folder: str) -> Path:
        (tmp_path / folder).mkdir(parents=True)
        for name in ("python", "python3"):
            (tmp_path / folder / name).symlink_to(sys.executable)
        return tmp_path / folder

    monkeypatch.chdir(tmp_path)
    return make


@pytest.mark.parametrize(
    ("here", "on_the_path", "expected"),
    [
        (".venv/bin", "other/bin", ".venv/bin/python3 launch/train.py '--run_dir=my runs/1'"),
        (".venv/bin", None, ".venv/bin/python3 launch/train.py '--run_dir=my runs/1'"),
        (".venv/bin", ".venv/bin", "python launch/train.py '--run_dir=my runs/1'"),
    ],
)
def test_a_line_to_copy_names_the_interpreter_that_runs(
    environment, monkeypatch, here, on_the_path, expected
):
    folders = {folder: environment(folder) for folder in {here, on_the_path} - {None}}
    monkeypatch.setattr(sys, "executable", str(folders[here] / "python3"))
    monkeypatch.setenv("PATH", str(folders.get(on_the_path, "")))
    assert command_line(Path("launch/train.py"), "--run_dir=my runs/1") == expected


def test_a_line_to_copy_has_the_whole_path_of_what_lies_elsewhere(environment, monkeypatch):
    python = environment("elsewhere/bin") / "python"
    (python.parent / "here").mkdir()
    monkeypatch.chdir(python.parent / "here")
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PATH", "")
    assert command_line(python.parent / "x.py") == f"{python} {python.parent / 'x.py'}"
