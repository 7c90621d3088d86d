"""In: a run directory, of a training that may still go on. Out: one HTML page about the run.

The page holds everything in itself (plot, films, text) and asks nothing of the network, which its
own content security policy forbids too.
"""

import base64
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import jinja2

from agents import memory
from agents.errors import UserError
from agents.reporting import curves, plots, records, runs

_FILMS = {".mp4": (b"ftyp", 4, "video/mp4"), ".gif": (b"GIF8", 0, "image/gif")}


def page(run_dir: Path, evaluated: Sequence[Mapping[str, Any]]) -> str:
    """The page's HTML.

    Args:
      run_dir: of a training.
      evaluated: the lines of its `evaluate.jsonl`.

    Raises:
      UserError: there is no run, or it has no finished game, or one of its files is damaged.
    """
    if not (run_dir / "config.json").exists():
        raise UserError(f"{run_dir} holds no run: give the run directory of a training")
    run_dir = run_dir.resolve()
    (line,) = curves.lines(runs.find([run_dir]), "run")
    (history,) = line.histories
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("agents.reporting", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["thousands"] = lambda number: f"{int(number):,}"
    try:
        return templates.get_template("page.html").render(
            name=run_dir.name,
            game=history.run.game,
            algorithm=history.run.algorithm,
            run=_read_json(run_dir / "run.json"),
            config=(run_dir / "config.gin").read_text(),
            agent_steps=history.agent_steps[-1],
            games=len(history.scores),
            curve=_curve(line),
            points=[(point, plots.published_at(line, point)) for point in line.points],
            evaluated=evaluated,
            evaluations=records.evaluations(run_dir),
            films=_films(run_dir),
            speed=_speed(records.scalars(run_dir), float(history.hours[-1])),
            disk_bytes=memory.occupied_bytes(run_dir),
        )
    except (OSError, jinja2.UndefinedError) as e:
        raise UserError(f"{run_dir} is not whole: {e}") from e


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as e:
        raise UserError(f"{path} cannot be read ({e}): the run is not whole") from e


def _curve(line: curves.Line) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "curve.svg")
        plots.save(plots.learning_curves([line], "agent_steps"), path)
        return _data_uri(path.read_bytes(), "image/svg+xml")


def _data_uri(content: bytes, mime_type: str) -> str:
    return f"data:{mime_type};base64,{base64.b64encode(content).decode()}"


def _films(run_dir: Path) -> list[dict[str, str]]:
    """Those of `videos/`; a GIF only where there is no mp4 of the same name."""
    paths = sorted(path for path in run_dir.glob("videos/*") if path.suffix in _FILMS)
    has_mp4 = {path.stem for path in paths if path.suffix == ".mp4"}
    return [
        {"name": path.stem, "mime_type": _FILMS[path.suffix][2], "uri": _film_uri(path)}
        for path in paths
        if path.suffix == ".mp4" or path.stem not in has_mp4
    ]


def _film_uri(path: Path) -> str:
    magic, offset, mime_type = _FILMS[path.suffix]
    content = path.read_bytes()
    if content[offset : offset + len(magic)] != magic:
        raise UserError(f"{path} is no film: record it again, or remove it")
    return _data_uri(content, mime_type)


def _speed(scalars: Mapping[str, Sequence[tuple[int, float]]], hours: float) -> dict[str, Any]:
    """Medians over the points of TensorBoard, the most memory, and each stage's share of time."""
    groups = {name: [value for _, value in points] for name, points in scalars.items()}
    return {
        "speeds": {
            name.removeprefix("4_speed/").replace("_", " "): median(values)
            for name, values in groups.items()
            if name.endswith("_per_second")
        },
        "hours": hours,
        "shares": {
            name.removeprefix("5_seconds/"): sum(values) / (3600 * hours)
            for name, values in groups.items()
            if name.startswith("5_seconds/")
        },
        "memory_gigabytes": max(groups.get("4_speed/memory_gigabytes", []), default=None),
    }
