"""The record of a run: scalars, episodes, evaluations and films go in, files come out.

    events/            TensorBoard; every step axis is agent steps
    episodes.csv       one row per finished game
    evaluations.jsonl  one line per evaluation

A resumed run goes on from its checkpoint, so what was recorded after it is cut off first: the
step axis has neither a gap nor an overlap. An evaluation is over when its line is there: without
it, what TensorBoard has of it is cut off too.
"""

import contextlib
import csv
import io
import json
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tensorflow as tf
from PIL import Image

from agents.collection import Episode
from agents.evaluation import Evaluation

RECENT_EPISODES = 100
_NO_TRAINING = ("evaluation", "saving")  # stages that the speed leaves out
_FILM_FRAMES_PER_SECOND = 15
_EVALUATION = "2_evaluation/"
_EPISODE_COLUMNS = (
    "agent_steps",
    "frames",
    "environment",
    "score",
    "clipped_return",
    "episode_frames",
    "episode_agent_steps",
)  # the fields of Episode after the first two


class RunLog:
    """Writes the record of the run in `run_dir`."""

    def __init__(self, run_dir: Path, frameskip: int, state: Mapping[str, Any] | None = None):
        """Opens the files.

        Args:
          run_dir: where they are.
          frameskip: frames per agent step.
          state: a `state()` to go on from. What the files hold beyond it is dropped; without it,
            all they hold.
        """
        self._frameskip = frameskip
        resumed_agent_steps = state["agent_steps"] if state else -1
        recent = state["recent_episodes"] if state else []
        self._recent = deque((Episode(*episode) for episode in recent), maxlen=RECENT_EPISODES)
        updates = state["updates"] if state else 0
        self._interval_start = (time.perf_counter(), max(0, resumed_agent_steps), updates)

        events = run_dir / "events"
        episodes = run_dir / "episodes.csv"
        evaluations = run_dir / "evaluations.jsonl"
        _cut_lines(episodes, lambda line: int(line.split(",")[0]) <= resumed_agent_steps, header=1)
        evaluated = _cut_lines(
            evaluations, lambda line: json.loads(line)["agent_steps"] <= resumed_agent_steps
        )
        # Of the newest evaluation, None where there is none.
        self.evaluated_agent_steps: int | None = (
            json.loads(evaluated[-1])["agent_steps"] if evaluated else None
        )
        for path in events.glob("events.out.tfevents.*"):
            _cut_events(path, resumed_agent_steps, self.evaluated_agent_steps)
        self._writer = tf.summary.create_file_writer(str(events))
        self._episodes_file = episodes.open("a", newline="", buffering=1)
        self._evaluations_file = evaluations.open("a", buffering=1)
        self._episodes = csv.writer(self._episodes_file, lineterminator="\n")
        if self._episodes_file.tell() == 0:
            self._episodes.writerow(_EPISODE_COLUMNS)

    @property
    def recent_score(self) -> float | None:
        """Mean raw score of the last `RECENT_EPISODES` games."""
        return float(np.mean([e.score for e in self._recent])) if self._recent else None

    def state(self, agent_steps: int, updates: int) -> dict[str, Any]:
        """What a resumed run needs to go on from here, as JSON."""
        return {
            "agent_steps": agent_steps,
            "updates": updates,
            "recent_episodes": list(self._recent),
        }

    def configuration(self, agent_steps: int, gin_text: str) -> None:
        """Shows the configuration."""
        with self._writer.as_default(agent_steps):
            tf.summary.text("configuration", gin_text)

    def episode(self, agent_steps: int, episode: Episode) -> None:
        """Adds a finished game."""
        self._recent.append(episode)
        self._episodes.writerow((agent_steps, agent_steps * self._frameskip, *episode))

    def interval(
        self,
        agent_steps: int,
        updates: int,
        learning: Mapping[str, float],
        seconds: Mapping[str, float],
    ) -> None:
        """Shows what happened since the last call.

        Args:
          agent_steps: since the run's start.
          updates: since the run's start.
          learning: values under "3_learning/", by name.
          seconds: spent per stage.
        """
        now = time.perf_counter()
        then, steps_then, updates_then = self._interval_start
        self._interval_start = (now, agent_steps, updates)
        training_seconds = now - then - sum(seconds.get(stage, 0.0) for stage in _NO_TRAINING)
        steps_per_second = (agent_steps - steps_then) / training_seconds
        values = {f"3_learning/{name}": value for name, value in learning.items()} | {
            "3_learning/updates": updates,
            "4_speed/agent_steps_per_second": steps_per_second,
            "4_speed/frames_per_second": steps_per_second * self._frameskip,
            "4_speed/updates_per_second": (updates - updates_then) / training_seconds,
            "4_speed/frames": agent_steps * self._frameskip,
            "4_speed/memory_gigabytes": psutil.Process().memory_info().rss / 1e9,
        }
        if self._recent:
            _, scores, clipped_returns, frames, _ = zip(*self._recent, strict=True)
            values |= {
                "1_score/training_mean_of_100_games": float(np.mean(scores)),
                "1_score/clipped_return": float(np.mean(clipped_returns)),
                "1_score/game_length_frames": float(np.mean(frames)),
            }
        values |= {f"5_seconds/{stage}": spent for stage, spent in seconds.items()}
        self._scalars(agent_steps, values)

    def evaluation(self, agent_steps: int, evaluation: Evaluation) -> None:
        """Adds an evaluation with its film."""
        statistics = evaluation.statistics()
        self._scalars(agent_steps, {_EVALUATION + name: x for name, x in statistics.items()})
        self._film(agent_steps, _EVALUATION + "game", evaluation.film)
        self._writer.flush()
        line = {"agent_steps": agent_steps, "frames": agent_steps * self._frameskip, **statistics}
        line |= {
            "scores": evaluation.scores.tolist(),
            "episode_frames": evaluation.frames.tolist(),
        }
        self._evaluations_file.write(json.dumps(line) + "\n")
        self.evaluated_agent_steps = agent_steps

    def flush(self) -> None:
        """Brings the games and evaluations to the disk, and the events to the system."""
        self._writer.flush()
        for file in (self._episodes_file, self._evaluations_file):
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Flushes and closes all files, also where one of them cannot be written."""
        with contextlib.ExitStack() as files:
            for file in (self._writer, self._episodes_file, self._evaluations_file):
                files.callback(file.close)
            self.flush()

    def _scalars(self, agent_steps: int, values: Mapping[str, float]) -> None:
        with self._writer.as_default(agent_steps):
            for tag, value in values.items():
                tf.summary.scalar(tag, value)

    def _film(self, agent_steps: int, tag: str, frames: np.ndarray) -> None:
        """Shows uint8 [T, H, W] frames as a moving GIF, which TensorBoard takes for an image."""
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


def _cut_lines(path: Path, keeps: Callable[[str], bool], header: int = 0) -> list[str]:
    """Keeps, and returns, the leading lines that `keeps`; a kill may have left half a line."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    kept = lines[:header]
    for line in lines[header:]:
        if not line.endswith("\n") or not keeps(line):
            break
        kept.append(line)
    aside = path.with_name(path.name + ".cut")
    aside.write_text("".join(kept))
    aside.replace(path)
    return kept


def _cut_events(path: Path, last_step: int, last_evaluation: int | None) -> None:
    """Rewrites an event file without a torn end and without what came after these steps.

    The last evaluation is not after the last step.
    """
    evaluated = -1 if last_evaluation is None else last_evaluation

    def keeps(event: tf.compat.v1.Event) -> bool:
        is_evaluation = any(value.tag.startswith(_EVALUATION) for value in event.summary.value)
        return event.step <= (evaluated if is_evaluation else last_step)

    if last_step < 0:
        path.unlink()
        return
    aside = path.with_name(".cut")
    with tf.io.TFRecordWriter(str(aside)) as writer:
        try:
            for tensor in tf.data.TFRecordDataset(str(path)):
                record = bytes(tensor.numpy())
                if keeps(tf.compat.v1.Event.FromString(record)):
                    writer.write(record)
        except tf.errors.DataLossError:
            pass
    aside.replace(path)
