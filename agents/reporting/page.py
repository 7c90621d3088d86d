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
from agents.reporting import curves, records

_FILMS = {".mp4": (b"ftyp", 4, "video/mp4"), ".gif": (b"GIF8", 0, "image/gif")}


def page(run_dir: Path) -> str:
    """The page's HTML.

    Raises:
      UserError: there is no run, or it has no finished game, or one of its files is damaged.
    """
    game = curves.game(run_dir)
    agent_steps, scores = curves.episodes(run_dir)
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
            name=run_dir.resolve().name,
            game=game,
            run=_read_json(run_dir / "run.json"),
            bindings=_read_json(run_dir / "config.json"),
            config=(run_dir / "config.gin").read_text(),
            agent_steps=int(agent_steps[-1]),
            games=len(scores),
            curve=_curve(run_dir, game),
            windows=_windows(agent_steps, scores, game),
            evaluated=records.evaluated(run_dir),
            evaluations=records.evaluations(run_dir),
            films=_films(run_dir),
            speed=_speed(records.scalars(run_dir)),
            disk_bytes=memory.occupied_bytes(run_dir),
        )
    except (OSError, jinja2.UndefinedError) as e:
        raise UserError(f"{run_dir} is not whole: {e}") from e


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as e:
        raise UserError(f"{path} cannot be read ({e}): the run is not whole") from e


def _curve(run_dir: Path, game: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "curve.svg")
        curves.plot({run_dir.resolve().name: run_dir}, curves.dopamine(game), game, path)
        return _data_uri(path.read_bytes(), "image/svg+xml")


def _data_uri(content: bytes, mime_type: str) -> str:
    return f"data:{mime_type};base64,{base64.b64encode(content).decode()}"


def _windows(
    agent_steps: Any, scores: Any, game: str
) -> list[tuple[curves.Window, curves.PublishedWindow | None]]:
    published = {window.agent_steps: window for window in curves.dopamine(game)}
    return [
        (window, published.get(window.agent_steps))
        for window in curves.windows(agent_steps, scores)
    ]


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


def _speed(scalars: Mapping[str, Sequence[tuple[int, float]]]) -> dict[str, Any]:
    """Medians over the points of TensorBoard, the most memory, and each stage's share of time."""
    groups = {name: [value for _, value in points] for name, points in scalars.items()}
    speeds = {
        name.removeprefix("4_speed/").replace("_", " "): median(values)
        for name, values in groups.items()
        if name.endswith("_per_second")
    }
    points = scalars.get("4_speed/agent_steps_per_second", [])
    passed = zip([(0, 0.0), *points], points, strict=False)
    total = sum((now - before) / rate for (before, _), (now, rate) in passed if rate)
    seconds = {
        name.removeprefix("5_seconds/"): sum(values)
        for name, values in groups.items()
        if name.startswith("5_seconds/")
    }
    return {
        "speeds": speeds,
        "hours": total / 3600,
        "shares": {stage: spent / total for stage, spent in seconds.items()} if total else {},
        "memory_gigabytes": max(groups.get("4_speed/memory_gigabytes", []), default=None),
    }
