"""In: a run directory, of a training that may still go on. Out: what it recorded, line by line."""

import contextlib
import json
from pathlib import Path
from typing import Any

import tensorflow as tf

from agents.errors import UserError

_FLOAT = tf.float32.as_datatype_enum


def evaluations(run_dir: Path) -> list[dict[str, Any]]:
    """The evaluations that the training made, `evaluations.jsonl`; empty if there is none yet.

    Raises:
      UserError: the file is damaged.
    """
    path = run_dir / "evaluations.jsonl"
    if not path.exists():
        return []
    # One that is being written while we read may be torn; it is the last one.
    lines = path.read_text().splitlines(keepends=True)
    try:
        return [json.loads(line) for line in lines if line.endswith("\n")]
    except ValueError as e:
        raise UserError(f"{path} is damaged ({e}): move it away") from e


def scalars(run_dir: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows as curves, {tag: [(agent_steps, value)]}, in the order of writing."""
    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(run_dir.glob("events/events.out.tfevents.*")):
        with contextlib.suppress(tf.errors.DataLossError):  # the end of a file still written
            for record in tf.data.TFRecordDataset(str(path)):
                event = tf.compat.v1.Event.FromString(record.numpy())
                for value in event.summary.value:
                    if value.tensor.dtype == _FLOAT and not value.tensor.tensor_shape.dim:
                        point = event.step, float(tf.make_ndarray(value.tensor))
                        found.setdefault(value.tag, []).append(point)
    return found
