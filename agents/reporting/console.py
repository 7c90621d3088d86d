"""The console: what a training reports goes in; a table, a progress bar and lines come out.

Without a terminal (a log file, a pipe) the bar becomes one line every few seconds.
"""

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

_SECONDS_BETWEEN_LINES = 30.0


class Console:
    """Shows a training; a context manager."""

    def __init__(self):
        self._console = RichConsole(highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._line_due = 0.0
        self._speed_from: tuple[float, int] = (0.0, 0)

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
        self._task = self._progress.add_task(
            "agent steps", completed=agent_steps, total=total_agent_steps, status=""
        )
        self._total_agent_steps = total_agent_steps
        self._speed_from = (time.monotonic(), agent_steps)
        self._progress.start()

    def progress(self, agent_steps: int, values: Mapping[str, float]) -> None:
        """Moves the bar."""
        now = time.monotonic()
        since, steps_then = self._speed_from
        speed = (agent_steps - steps_then) / max(now - since, 1e-9)
        score = f"{values['recent_score']:.1f}" if "recent_score" in values else "-"
        status = (
            f"{values['frames']:,} frames  {speed:.0f} steps/s  "
            f"return {score}  epsilon {values['epsilon']:.3f}"
        )
        self._progress.update(self._task, completed=agent_steps, status=status)
        if now - since >= _SECONDS_BETWEEN_LINES:
            self._speed_from = (now, agent_steps)
            if not self._console.is_terminal:
                left = (self._total_agent_steps - agent_steps) / max(speed, 1e-9) / 60
                self._console.print(f"{agent_steps:,} steps  {status}  {left:.0f} min left")

    def message(self, text: str) -> None:
        """Prints a line."""
        self._console.print(text)
