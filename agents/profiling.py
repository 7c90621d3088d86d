"""Profiling: a training that is running goes in; a trace of a stretch of it comes out.

trace.json.gz       opens in Perfetto (ui.perfetto.dev) and chrome://tracing
plugins/profile/    the same for TensorBoard (pip install tensorboard-plugin-profile)
"""

import collections
import gzip
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

STAGES = ("environment", "acting", "writing", "learning")  # of `collection.StageSeconds`
WARM_UP_UPDATES = 100  # by then graphs are traced and caches filled
PROFILED_UPDATES = 200  # a few hundred thousand events, 10 MB


class Profiler:
    """Traces one stretch of a run, soon after it began, or went on, to learn."""

    def __init__(self, directory: Path):
        """The trace goes into `directory`, which is made."""
        self._directory = directory
        self._begin: float | None = None  # updates
        self._end: float | None = None

    def update(self, updates: int) -> str | None:
        """Call between two steps of the loop, with the run's count of updates.

        Returns:
          In the call that wrote the trace, a line about it.
        """
        if self._begin is None:
            self._begin = updates + WARM_UP_UPDATES
        elif self._end is None and updates >= self._begin:
            tf.profiler.experimental.start(str(self._directory))
            self._begin, self._end = updates, updates + PROFILED_UPDATES
        elif self._end is not None and updates >= self._end:
            self._end = math.inf
            return self._write(updates - self._begin)
        return None

    def close(self) -> str | None:
        """Call when the loop is over.

        Returns:
          Where it ended before the trace did, a line about that.
        """
        if self._end == math.inf:
            return None
        if self._end is not None:
            tf.profiler.experimental.stop(save=False)
        needed = WARM_UP_UPDATES + PROFILED_UPDATES
        return f"no trace: the run did not last for the {needed} updates that one needs"

    def _write(self, updates: float) -> str:
        tf.profiler.experimental.stop()
        newest = max(self._directory.glob("plugins/profile/*/*.xplane.pb"))
        space = xplane_pb2.XSpace.FromString(newest.read_bytes())
        events = list(_events(space))
        path = self._directory / "trace.json.gz"
        with gzip.open(path, "wt") as file:
            json.dump({"traceEvents": events}, file)
        spent = collections.Counter[str]()
        for event in events:
            if event["name"] in STAGES:
                spent[event["name"]] += event["dur"] / 1e3 / updates
        stages = ", ".join(f"{stage} {spent[stage]:.2f}" for stage in STAGES)
        return f"traced {updates} updates, milliseconds per update: {stages}; see {path}"


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
