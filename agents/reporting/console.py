"""The console: what a training reports goes in; a table, a progress bar and lines come out.

Without a terminal (a log file, a pipe) the bar becomes one line every half minute.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console as RichConsole
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

_SECONDS_PER_LINE = 30.0
_SECONDS_OF_SPEED = 10.0  # the speed shown is the mean since the last full stretch of this length


class Console:
    """Shows a training; a context manager."""

    def __init__(self):
        self._console = RichConsole(highlight=False, markup=False, soft_wrap=True)
        self._progress = Progress(
            BarColumn(bar_width=20),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.description}", markup=False),
            console=self._console,
            refresh_per_second=4,
            disable=not self._console.is_terminal,
        )
        self._bar = self._progress.add_task("")
        self._total_agent_steps = 0
        self._speed = 0.0
        self._stretch = (0.0, 0)  # its start: time and agent steps
        self._line_at = 0.0

    def __enter__(self) -> "Console":
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._progress.stop()

    def start(self, summary: Mapping[str, str], agent_steps: int, total_agent_steps: int) -> None:
        """Prints what will run."""
        table = Table(show_header=False)
        for name, value in summary.items():
            table.add_row(name, value)
        self._console.print(table)
        self._total_agent_steps = total_agent_steps
        self._stretch = (time.monotonic(), agent_steps)
        self._line_at = time.monotonic()
        self._progress.update(self._bar, completed=agent_steps, total=total_agent_steps)
        self._progress.start()
        self._console.show_cursor()  # a second Ctrl-C would leave it hidden

    def progress(
        self, agent_steps: int, *, frames: int, epsilon: float, recent_score: float | None
    ) -> None:
        """Moves the bar."""
        now = time.monotonic()
        then, steps_then = self._stretch
        if now - then >= _SECONDS_OF_SPEED or not self._speed:
            self._speed = (agent_steps - steps_then) / max(now - then, 1e-3)
        if now - then >= _SECONDS_OF_SPEED:
            self._stretch = (now, agent_steps)
        left = max(0, self._total_agent_steps - agent_steps) / max(self._speed, 1e-3)
        status = (
            f"{agent_steps:,}/{self._total_agent_steps:,} steps  {frames:,} frames  "
            f"{self._speed:.0f} steps/s  "
            f"return {'-' if recent_score is None else format(recent_score, '.1f')}  "
            f"epsilon {epsilon:.3f}  {_duration(left)} left"
        )
        self._progress.update(self._bar, completed=agent_steps, description=status)
        if not self._console.is_terminal and now - self._line_at >= _SECONDS_PER_LINE:
            self._line_at = now
            self._console.print(status)

    def message(self, text: str) -> None:
        """Prints a line."""
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


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
