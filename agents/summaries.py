"""The record of a run: scalars, episodes, evaluations and films go in, files come out.

    events/            TensorBoard; every step axis is agent steps
    episodes.csv       one row per finished game
    evaluations.jsonl  one line per evaluation

A resumed run goes on from its checkpoint, so what was recorded after it is cut off first: the
step axis has neither a gap nor an overlap.
"""

import csv
import io
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

EPISODE_COLUMNS = (
    "agent_steps",
    "frames",
    "environment",
    "score",
    "clipped_return",
    "episode_frames",
    "episode_agent_steps",
)
_FILM_FRAMES_PER_SECOND = 15


class RunLog:
    """Writes the record of the run in `run_dir`."""

    def __init__(self, run_dir: Path, resumed_agent_steps: int = 0):
        """Opens the files; drops what they hold beyond `resumed_agent_steps`."""
        events = run_dir / "events"
        episodes = run_dir / "episodes.csv"
        evaluations = run_dir / "evaluations.jsonl"
        for path in events.glob("events.out.tfevents.*"):
            _cut_events(path, resumed_agent_steps)
        _cut_lines(episodes, lambda line: int(line.split(",")[0]) <= resumed_agent_steps, header=1)
        _cut_lines(evaluations, lambda line: json.loads(line)["agent_steps"] <= resumed_agent_steps)
        self._writer = tf.summary.create_file_writer(str(events))
        is_new = not episodes.exists()
        self._episodes_file = episodes.open("a", newline="", buffering=1)
        self._episodes = csv.writer(self._episodes_file, lineterminator="\n")
        if is_new:
            self._episodes.writerow(EPISODE_COLUMNS)
        self._evaluations_file = evaluations.open("a", buffering=1)

    def scalars(self, agent_steps: int, values: Mapping[str, float]) -> None:
        """Shows each value in TensorBoard under its tag."""
        with self._writer.as_default(agent_steps):
            for tag, value in values.items():
                tf.summary.scalar(tag, value)

    def text(self, agent_steps: int, tag: str, markdown: str) -> None:
        """Shows a text in TensorBoard."""
        with self._writer.as_default(agent_steps):
            tf.summary.text(tag, markdown)

    def film(self, agent_steps: int, tag: str, frames: np.ndarray) -> None:
        """Shows uint8 [T, H, W] frames as a moving picture in TensorBoard."""
        height, width = frames.shape[1:]
        gif = io.BytesIO()
        first, *rest = (Image.fromarray(frame) for frame in frames)
        duration_ms = 1000 // _FILM_FRAMES_PER_SECOND
        first.save(gif, "GIF", save_all=True, append_images=rest, duration=duration_ms, loop=0)
        metadata = tf.compat.v1.SummaryMetadata(
            plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="images")
        )
        with self._writer.as_default(agent_steps):
            encoded = tf.constant([str(width).encode(), str(height).encode(), gif.getvalue()])
            tf.summary.write(tag, encoded, metadata=metadata)

    def episode(self, row: Mapping[str, Any]) -> None:
        """Appends a finished game; the keys are `EPISODE_COLUMNS`."""
        self._episodes.writerow([row[column] for column in EPISODE_COLUMNS])

    def evaluation(self, line: Mapping[str, Any]) -> None:
        """Appends an evaluation; "agent_steps" must be among the keys."""
        self._evaluations_file.write(json.dumps(line) + "\n")

    def flush(self) -> None:
        """Brings everything to the disk."""
        self._writer.flush()
        for file in (self._episodes_file, self._evaluations_file):
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Flushes and closes all files."""
        self.flush()
        self._writer.close()
        self._episodes_file.close()
        self._evaluations_file.close()


def _cut_lines(path: Path, keeps: Callable[[str], bool], header: int = 0) -> None:
    """Keeps the leading lines that `keeps`; a killed process may have left half a line."""
    if not path.exists():
        return
    lines = path.read_text().splitlines(keepends=True)
    kept = lines[:header]
    for line in lines[header:]:
        if not line.endswith("\n") or not keeps(line):
            break
        kept.append(line)
    aside = path.with_name(path.name + ".cut")
    aside.write_text("".join(kept))
    aside.replace(path)


def _cut_events(path: Path, last_step: int) -> None:
    """Rewrites an event file without the events after `last_step` and without a torn end."""
    aside = path.with_name(".cut")
    with tf.io.TFRecordWriter(str(aside)) as writer:
        try:
            for record in tf.data.TFRecordDataset(str(path)):
                if tf.compat.v1.Event.FromString(record.numpy()).step <= last_step:
                    writer.write(record.numpy())
        except tf.errors.DataLossError:
            pass
    aside.replace(path)
