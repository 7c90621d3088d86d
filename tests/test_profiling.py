"""In: a training of some hundred updates. Out: a trace in which its stages can be seen."""

import gzip
import json

import pytest
import tensorflow as tf

from agents import profiling
from tests.training_process import Silent, prepared


@pytest.mark.parametrize("agent_steps", [140, 340])  # 40 and 240 updates
def test_a_run_that_is_too_short_for_a_trace_says_so(tmp_path, agent_steps):
    ratio = "Training.updates_per_agent_step = 1.0"
    reporter = Silent()
    with prepared(tmp_path, agent_steps, ratio, reporter=reporter) as run:
        run.run(profile=True)
    assert "no trace: the run did not last for the 300 updates that one needs" in reporter.messages
    with pytest.raises(tf.errors.UnavailableError):  # none goes on
        tf.profiler.experimental.stop()


def test_a_trace_shows_the_games_stepped_while_the_agent_learns(tmp_path):
    ratio = "Training.updates_per_agent_step = 1.0"
    reporter = Silent()
    with prepared(tmp_path, 460, ratio, reporter=reporter) as run:
        run.run(profile=True)
    (line,) = [line for line in reporter.messages if line.startswith("traced")]
    path = tmp_path / "profile" / "trace.json.gz"
    assert line.endswith(f"see {path}")
    assert list((tmp_path / "profile" / "plugins" / "profile").glob("*/*.xplane.pb"))

    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    stages = {stage: [e for e in events if e["name"] == stage] for stage in profiling.STAGES}
    vector_steps = profiling.PROFILED_UPDATES // 4
    for spans in stages.values():
        assert vector_steps <= len(spans) <= vector_steps + 2
    (learner,) = {span["tid"] for span in stages["learning"]}
    assert learner not in {span["tid"] for span in stages["environment"]}

    def overlaps(one, other):
        return one["ts"] < other["ts"] + other["dur"] and other["ts"] < one["ts"] + one["dur"]

    beside = [any(overlaps(e, span) for span in stages["learning"]) for e in stages["environment"]]
    assert sum(beside) > vector_steps / 2
    assert not any(overlaps(e, span) for e in stages["acting"] for span in stages["learning"])
