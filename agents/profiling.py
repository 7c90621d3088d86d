"""Profiling: a training that is running goes in; a trace of a stretch of it comes out.

trace.json.gz       opens in Perfetto (ui.perfetto.dev) and chrome://tracing
plugins/profile/    the same for TensorBoard's profiler (pip install tensorboard-plugin-profile)
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

WARM_UP_UPDATES = 100  # graphs are traced and caches filled by then
PROFILED_UPDATES = 400


class Profiler:
    """Traces one stretch of a run, soon after it began to learn."""

    def __init__(self, directory: Path):
        """The trace goes into `directory`, which is made."""
        self._directory = directory
        self._first_updates: int | None = None
        self._is_running = False

    def update(self, updates: int) -> bool:
        """Call between two steps of the loop, with the run's count of updates.

        Returns:
          Whether the trace was written in this call.
        """
        if self._first_updates is None:
            self._first_updates = updates
        done = updates - self._first_updates
        if not self._is_running and WARM_UP_UPDATES <= done < PROFILED_UPDATES:
            tf.profiler.experimental.start(str(self._directory))
            self._is_running = True
        elif self._is_running and done >= WARM_UP_UPDATES + PROFILED_UPDATES:
            self.close()
            return True
        return False

    def close(self) -> None:
        """Writes what was traced if the run ends within the stretch."""
        if not self._is_running:
            return
        self._is_running = False
        tf.profiler.experimental.stop()
        newest = max(self._directory.glob("plugins/profile/*/*.xplane.pb"))
        space = xplane_pb2.XSpace.FromString(newest.read_bytes())
        with gzip.open(self._directory / "trace.json.gz", "wt") as file:
            json.dump({"traceEvents": list(_events(space))}, file)


def _events(space: xplane_pb2.XSpace) -> Iterator[dict[str, Any]]:
    """Chrome's trace events: a process per plane, a thread per line, times in microseconds."""
    for pid, plane in enumerate(space.planes):
        yield {"ph": "M", "pid": pid, "name": "process_name", "args": {"name": plane.name}}
        for line in plane.lines:
            thread = {"pid": pid, "tid": line.id}
            yield thread | {"ph": "M", "name": "thread_name", "args": {"name": line.name}}
            for event in line.events:
                yield thread | {
                    "ph": "X",
                    "name": plane.event_metadata[event.metadata_id].name,
                    "ts": line.timestamp_ns / 1e3 + event.offset_ps / 1e6,
                    "dur": event.duration_ps / 1e6,
                }
