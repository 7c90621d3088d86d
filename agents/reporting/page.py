"""In: a run directory, of a training that may still go on. Out: one HTML page about the run.

The page holds everything in itself (plot, films, text) and asks nothing of the network, which its
own content security policy forbids too.
"""

import base64
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import jinja2
import numpy as np

from agents import memory
from agents.errors import UserError
from agents.reporting import curves, plots, records, runs
from agents.run_directory import start_facts

_FILMS = {".mp4": (b"ftyp", 4, "video/mp4"), ".gif": (b"GIF8", 0, "image/gif")}


def page(run_dir: Path, evaluated: Sequence[Mapping[str, Any]]) -> str:
    """The page's HTML.

    Args:
      run_dir: of a training.
      evaluated: the lines of its `evaluate.jsonl`.

    Raises:
      UserError: there is no run, or one of its files is damaged.
    """
    facts = start_facts(run_dir)
    run_dir = run_dir.resolve()
    (run,) = runs.find([run_dir])
    history = curves.history(run)
    line = curves.line(run.game, run_dir.name, [history])
    scalars = records.scalars(run_dir)
    steps = [agent_steps for points in scalars.values() for agent_steps, _ in points]
    agent_steps = max([*steps, *history.agent_steps], default=0)
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
            run_dir=run_dir,
            game=run.game,
            algorithm=run.algorithm,
            run=facts,
            config=(run_dir / "config.gin").read_text(),
            agent_steps=agent_steps,
            games=len(history.scores),
            curve=_curve(line) if line.points else None,
            points=[(point, plots.published_at(line, point)) for point in line.points],
            evaluated=evaluated,
            evaluations=records.evaluations(run_dir),
            films=_films(run_dir),
            speed=_speed(scalars, _hours(run_dir, agent_steps)),
            disk_bytes=memory.occupied_bytes(run_dir),
        )
    except (OSError, ValueError, TypeError, jinja2.UndefinedError) as e:
        raise UserError(f"{run_dir} is not whole: {e}") from e


def _hours(run_dir: Path, agent_steps: int) -> float:
    return float(curves.training_hours(run_dir, np.array([agent_steps]))[0])


def _curve(line: curves.Line) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "curve.svg")
        plots.save(plots.learning_curves([line], "agent_steps"), path)
        return _data_uri(path.read_bytes(), "image/svg+xml")


def _data_uri(content: bytes, mime_type: str) -> str:
    return f"data:{mime_type};base64,{base64.b64encode(content).decode()}"


def _films(run_dir: Path) -> list[dict[str, str]]:
    """Those of `videos/`; a GIF only where there is no mp4 of the same name."""
    paths = sorted(path for path in run_dir.glob("videos/[!.]*") if path.suffix in _FILMS)
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
