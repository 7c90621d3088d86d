"""In: a run directory, of a training that may still go on. Out: what it recorded, line by line."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from agents.errors import UserError

_FLOAT = tf.float32.as_datatype_enum


def json_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a .jsonl file, oldest first; empty if there is none yet.

    Raises:
      UserError: the file is damaged.
    """
    if not path.exists():
        return []
    # One that is being written while we read may be torn; it is the last one.
    lines = path.read_text().splitlines(keepends=True)
    try:
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        if not all(isinstance(line, dict) for line in found):
            raise ValueError("a line is no object")
    except ValueError as e:
        raise UserError(f"{path} is damaged ({e}): move it away") from e
    return found


def evaluations(run_dir: Path) -> list[dict[str, Any]]:
    """The evaluations that the training made, `evaluations.jsonl`, as `json_lines`."""
    return json_lines(run_dir / "evaluations.jsonl")


def event_files(run_dir: Path) -> list[Path]:
    """One for each process that trained, in their order."""
    return sorted(run_dir.glob("events/events.out.tfevents.*"))


def events(path: Path) -> Iterator[tf.compat.v1.Event]:
    """What an event file holds, up to an end that is still being written."""
    with contextlib.suppress(tf.errors.DataLossError):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            yield tf.compat.v1.Event.FromString(record)


def scalars(run_dir: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows as curves, {tag: [(agent_steps, value)]}, in the order of writing."""
    found: dict[str, list[tuple[int, float]]] = {}
    for path in event_files(run_dir):
        for event in events(path):
            for value in event.summary.value:
                if value.tensor.dtype == _FLOAT and not value.tensor.tensor_shape.dim:
                    point = event.step, float(tf.make_ndarray(value.tensor))
                    found.setdefault(value.tag, []).append(point)
    return found
