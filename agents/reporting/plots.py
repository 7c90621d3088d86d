"""Plots: lines of learning curves go in; a figure, and their numbers, come out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Column, Table

from agents.errors import UserError
from agents.reporting.curves import History, Line, Point
from agents.scores import WINDOW_AGENT_STEPS, Published

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import ColorType

COLUMNS = (
    *("panel", "line", "agent steps", "frames", "hours", "runs", "games", "mean", "low", "high"),
    *("published", "published mean", "published low", "published high"),
)
_LABELS = {"agent_steps": "agent steps", "frames": "frames", "hours": "hours of training"}
_SMOOTHED_GAMES = 100
_PANELS_IN_A_ROW = 3


def numbers(lines: Sequence[Line]) -> list[list[str]]:
    """All points of all lines, as rows of `COLUMNS`."""
    rows = []
    for line in lines:
        for point in line.points:
            row = [line.panel, line.label, str(point.agent_steps), str(point.frames)]
            row += ["" if np.isnan(point.hours) else f"{point.hours:.2f}"]
            row += [str(point.runs), str(point.games)]
            row += [f"{score:.1f}" for score in (point.mean, point.low, point.high)]
            if beside := published_at(line, point):
                row += [beside.agent, *(f"{s:.1f}" for s in (beside.mean, beside.low, beside.high))]
            rows.append(row + [""] * (len(COLUMNS) - len(row)))
    return rows


def table(lines: Sequence[Line]) -> Table:
    """The points of all lines for a screen, with the published ones beside them."""
    line_column = Column("line", overflow="fold")  # the ends of long paths tell runs apart
    shown = Table("panel", line_column, "agent steps", "hours", "games", "mean score", "published")
    for line in lines:
        for point in line.points:
            mean = f"{point.mean:.1f}"
            if point.runs > 1:
                mean += f" [{point.low:.1f}, {point.high:.1f}] of {point.runs} runs"
            beside = published_at(line, point)
            shown.add_row(
                *(line.panel, line.label, f"{point.agent_steps:,}"),
                *("" if np.isnan(point.hours) else f"{point.hours:.2f}", str(point.games), mean),
                f"{beside.mean:.1f} [{beside.low:.1f}, {beside.high:.1f}]" if beside else "",
            )
    return shown


def published_at(line: Line, point: Point) -> Published | None:
    """The published window that a point is; None of another length, or if the run is amid it."""
    if line.window_agent_steps != WINDOW_AGENT_STEPS:
        return None
    end = -(-point.agent_steps // WINDOW_AGENT_STEPS) * WINDOW_AGENT_STEPS
    if end - point.agent_steps > WINDOW_AGENT_STEPS / 10:  # its last game ends before it does
        return None
    return next((window for window in line.published if window.agent_steps == end), None)


def learning_curves(lines: Sequence[Line], x: str) -> "Figure":
    """Draws lines over the published curves.

    Args:
      lines: with a point at least.
      x: the horizontal axis: "agent_steps", "frames" or "hours".

    Raises:
      UserError: matplotlib is missing, or a run has no event files to take its hours from.
    """
    for line in lines:
        for history in line.histories:
            if np.isnan(getattr(history, x)).any():
                raise UserError(
                    f"{history.run.path} has no event files, so its hours are not known: "
                    "take --x=steps or the whole run directory"
                )
    panels = list(dict.fromkeys(line.panel for line in lines))
    figure, axes = new_figure(len(panels))
    for panel, axis in zip(panels, axes, strict=False):
        here = [line for line in lines if line.panel == panel]
        last_agent_steps = max(line.points[-1].agent_steps for line in here)
        under = set()
        for line in here:
            colour = _draw_line(axis, line, x)
            if x != "hours" and line.published and line.published[0] not in under:
                under.add(line.published[0])
                _draw_published(axis, line, x, last_agent_steps, colour)
        thin = f"thin: of {_SMOOTHED_GAMES} games"
        axis.set(title=_plain(panel), xlabel=_LABELS[x], ylabel=f"mean training score ({thin})")
        axis.xaxis.set_major_formatter("{x:,.10g}")
        axis.legend(fontsize="small")
        axis.grid(alpha=0.3)
    return figure


def _plain(text: str) -> str:
    """A text in which matplotlib sees no formula."""
    return text.replace("$", r"\$")


def _draw_line(axis: "Axes", line: Line, x: str) -> "ColorType":
    """Returns its colour."""
    at = [getattr(point, x) for point in line.points]
    runs = f" ({len(line.histories)} runs, 95% interval)" if len(line.histories) > 1 else ""
    means, low, high = zip(*((p.mean, p.low, p.high) for p in line.points), strict=True)
    (drawn,) = axis.plot(at, means, marker="o", label=_plain(line.label) + runs)
    axis.fill_between(at, low, high, color=drawn.get_color(), alpha=0.2)
    for history in line.histories:
        axis.plot(*_smooth(history, x), color=drawn.get_color(), alpha=0.3, linewidth=1)
    return drawn.get_color()


def _smooth(history: History, x: str) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the last `_SMOOTHED_GAMES` games, from the first time there are so many."""
    if len(history.scores) < _SMOOTHED_GAMES:
        return np.array([]), np.array([])
    kernel = np.full(_SMOOTHED_GAMES, 1 / _SMOOTHED_GAMES)
    at = getattr(history, x)[_SMOOTHED_GAMES - 1 :]
    return at, np.convolve(history.scores, kernel, mode="valid")


def _draw_published(
    axis: "Axes", line: Line, x: str, last_agent_steps: int, colour: "ColorType"
) -> None:
    """The published curve as far as the runs of its panel go, dashed, with its worst and best."""
    windows = [
        window
        for window in line.published
        if window.agent_steps < last_agent_steps + WINDOW_AGENT_STEPS
    ]
    run = line.histories[0].run
    scale = run.rules["frameskip"] if x == "frames" else 1
    at = [window.agent_steps * scale for window in windows]
    label = f"Dopamine {windows[0].agent} on {run.game}, {windows[0].runs} seeds"
    axis.plot(at, [window.mean for window in windows], "--", color=colour, label=label)
    low, high = [window.low for window in windows], [window.high for window in windows]
    axis.fill_between(at, low, high, color=colour, alpha=0.08, hatch="//", linewidth=0)


def new_figure(panels: int) -> "tuple[Figure, list[Axes]]":
    """A figure that needs no display, and its panels.

    Raises:
      UserError: matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as e:
        raise UserError("plots need matplotlib: pip install -e '.[plot]'") from e
    columns = min(panels, _PANELS_IN_A_ROW)
    rows = -(-panels // columns)
    figure = Figure(figsize=(8 if panels == 1 else 5 * columns, 5 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for unused in axes[panels:]:
        unused.remove()
    return figure, axes[:panels]


def save(figure: "Figure", path: Path) -> None:
    """Writes a figure; the path's ending chooses the format.

    Raises:
      UserError: it cannot be written.
    """
    try:
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as e:
        raise UserError(f"{path} cannot be written ({e}): choose another --out") from e
