"""The console: what a training reports goes in; a table, a progress bar and lines come out.

A terminal has a line that moves, of as many parts as it is wide enough for. Without one (a log
file, a pipe) the whole line is printed every half minute.
"""

import contextlib
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console as RichConsole
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from agents.run_directory import as_seen_from_here

_SECONDS_PER_LINE = 30.0
_SEPARATOR = "  "
_COLUMNS_FOR_A_BAR = 120  # a terminal that has these shows the bar, and every part beside it
_BAR_COLUMNS = 20
_SECONDS_OF_SPEED = 10.0  # the speed shown is the mean since the last full stretch of this length


class Console:
    """Shows a training; a context manager."""

    def __init__(self):
        self._console = RichConsole(highlight=False, markup=False, soft_wrap=True)
        has_bar = self._console.width >= _COLUMNS_FOR_A_BAR
        self._columns_of_others = len("99% ") + has_bar * (_BAR_COLUMNS + 1)
        self._progress = Progress(
            *([BarColumn(_BAR_COLUMNS)] if has_bar else []),
            TextColumn("{task.percentage:.0f}%"),
            TextColumn("{task.description}", markup=False),
            console=self._console,
            refresh_per_second=4,
            disable=not self._console.is_terminal,
        )
        self._bar = self._progress.add_task("")
        self._total_agent_steps = 0
        self._speed = 0.0
        self._stretch: tuple[float, int] | None = None  # its start: time and agent steps
        self._line_at = 0.0

    def __enter__(self) -> "Console":
        return self

    def __exit__(self, *exc_info: Any) -> None:
        with contextlib.suppress(OSError):
            self._progress.stop()

    def start(self, summary: Mapping[str, str], agent_steps: int, total_agent_steps: int) -> None:
        """Prints what will run."""
        table = Table(show_header=False)
        for name, value in summary.items():
            table.add_row(name, value)
        self.message(table)
        self._total_agent_steps = total_agent_steps
        self._line_at = time.monotonic()
        self._progress.update(self._bar, completed=agent_steps, total=total_agent_steps)
        self._progress.start()
        self._console.show_cursor()  # a second Ctrl-C would leave it hidden

    def progress(
        self, agent_steps: int, *, frames: int, epsilon: float, recent_score: float | None
    ) -> None:
        """Moves the line."""
        now = time.monotonic()
        then, steps_then = self._stretch = self._stretch or (now, agent_steps)
        if now - then >= _SECONDS_OF_SPEED or not self._speed:
            self._speed = (agent_steps - steps_then) / max(now - then, 1e-3)
        if now - then >= _SECONDS_OF_SPEED:
            self._stretch = (now, agent_steps)
        steps_left = max(0, self._total_agent_steps - agent_steps)
        number, total = "{:,}".format, f"{self._total_agent_steps:,}"
        if self._console.is_terminal:
            number, total = _short, _short(self._total_agent_steps, ".4g")
        parts = [  # the first ones are the last to go
            f"{_duration(steps_left / self._speed) if self._speed else '-'} left",
            f"{number(agent_steps)}/{total} steps",
            f"{self._speed:.0f} steps/s",
            f"return {'-' if recent_score is None else _score(recent_score)}",
            f"epsilon {epsilon:.3f}",
            f"{number(frames)} frames",
        ]
        self._progress.update(self._bar, completed=agent_steps)
        self._show(parts)

    def evaluating(self, games_over: int, games: int, frames: int) -> None:
        """Moves the line while no agent steps are made."""
        self._stretch = None
        parts = [f"evaluating: {games_over} of {games} games over"]
        if games_over < games:
            parts.append(f"those under way at frame {frames:,}")
        self._show(parts)

    def _show(self, parts: Sequence[str]) -> None:
        now = time.monotonic()
        if not self._console.is_terminal and now - self._line_at >= _SECONDS_PER_LINE:
            self._line_at = now
            self.message(_SEPARATOR.join(parts))
        room = self._console.width - self._columns_of_others
        while len(parts) > 1 and len(_SEPARATOR.join(parts)) > room:
            parts = parts[:-1]
        self._progress.update(self._bar, description=_SEPARATOR.join(parts))

    def message(self, text: str | Table) -> None:
        """Prints a line, if the terminal is still there: a run must save without one."""
        with contextlib.suppress(OSError):
            self._console.print(text)


@contextlib.contextmanager
def progress_bar(title: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """Shows work of `total` parts on stderr; yields what to call with those done and a remark."""
    console = RichConsole(stderr=True, highlight=False, markup=False, soft_wrap=True)
    columns = (BarColumn(bar_width=20), TextColumn("{task.description}", markup=False))
    line_at = time.monotonic()
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(title, total=total)

        def show(done: int, remark: str) -> None:
            nonlocal line_at
            status = f"{title}: {done} of {total}, {remark}"
            bar.update(task, completed=done, description=status)
            if not console.is_terminal and time.monotonic() - line_at >= _SECONDS_PER_LINE:
                line_at = time.monotonic()
                console.print(status)

        yield show


@contextlib.contextmanager
def native_stderr_to(path: Path) -> Iterator[None]:
    """Sends what C++ libraries write to stderr into a file; Python's own stderr stays.

    Reverb reports every checkpoint there, in the midst of the progress bar, and has no switch.
    """
    terminal = os.dup(2)
    with path.open("ab") as log:
        os.dup2(log.fileno(), 2)
    python_stderr, sys.stderr = sys.stderr, os.fdopen(os.dup(terminal), "w", buffering=1)
    try:
        yield
    finally:
        sys.stderr = python_stderr
        os.dup2(terminal, 2)
        os.close(terminal)


def command_line(script: Path, *arguments: str) -> str:
    """The command line that runs a script with this interpreter, to be copied by the user."""
    here, python = Path(sys.executable), shutil.which("python")
    # Every virtual environment's interpreter is a link to the same file.
    if python and all(map(os.path.samefile, (python, Path(python).parent), (here, here.parent))):
        interpreter = "python"
    else:
        interpreter = os.path.join(as_seen_from_here(here.parent), here.name)
    return shlex.join([interpreter, str(as_seen_from_here(script)), *arguments])


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    hours = round(seconds / 3600)
    if hours >= 24:
        return f"{hours // 24} d {hours % 24} h"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def _score(score: float) -> str:
    """In at most five characters but for the sign: a tenth counts in Pong, not in Atlantis."""
    if abs(score) < 1000:
        return f"{score:.1f}"
    return f"{score:.0f}" if abs(score) < 10_000 else _short(score, ".3g")


def _short(number: float, form: str = "#.4g") -> str:
    """With a unit: 5.321M; zeros at the end stay, so that what follows does not jump."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(number) >= 0.9995 * size:
            return f"{number / size:{form}}{unit}"
    return f"{number:.0f}"
