"""In: a run directory, of a training that may still go on. Out: what it recorded, line by line."""

import json
from pathlib import Path
from typing import Any

from agents.errors import UserError


def evaluations(run_dir: Path) -> list[dict[str, Any]]:
    """The evaluations that the training made, `evaluations.jsonl`; empty if there is none yet."""
    return _lines(run_dir / "evaluations.jsonl")


def evaluated(run_dir: Path) -> list[dict[str, Any]]:
    """What `launch/evaluate.py` found, `evaluate.jsonl`; empty if it was not run yet."""
    return _lines(run_dir / "evaluate.jsonl")


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    # One that is being written while we read may be torn; it is the last one.
    lines = path.read_text().splitlines(keepends=True)
    try:
        return [json.loads(line) for line in lines if line.endswith("\n")]
    except ValueError as e:
        raise UserError(f"{path} is damaged ({e}): move it away") from e
