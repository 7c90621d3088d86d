"""The record is cut at the checkpoint it goes on from, and torn ends are dropped."""

import json

import numpy as np
import pytest
import tensorflow as tf

from agents.collection import Episode
from agents.evaluation import Evaluation
from agents.summaries import RunLog


def scores(*values: float) -> Evaluation:
    frames = np.full(len(values), 100)
    return Evaluation("pong", np.array(values), frames, np.zeros((3, 84, 84), np.uint8), [])


def record(log: RunLog, agent_steps: int) -> None:
    log.episode(agent_steps, Episode(0, float(agent_steps), 1.0, 400, 100))
    log.interval(agent_steps, agent_steps // 4, {"loss": 0.5}, {"acting": 1.0})
    log.evaluation(agent_steps, scores(agent_steps, 0))


def logged(run_dir, tag="3_learning/loss"):
    steps = []
    for path in sorted((run_dir / "events").iterdir()):
        for raw in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(raw.numpy())
            steps += [event.step for value in event.summary.value if value.tag == tag]
    return steps


def rows(run_dir):
    lines = (run_dir / "episodes.csv").read_text().splitlines()[1:]
    return [int(line.split(",")[0]) for line in lines]


def test_what_came_after_the_checkpoint_is_cut_and_what_follows_is_appended(tmp_path):
    log = RunLog(tmp_path, frameskip=4)
    record(log, 100)
    record(log, 200)
    state = json.loads(json.dumps(log.state(200, 50)))
    record(log, 300)
    log.close()

    log = RunLog(tmp_path, frameskip=4, state=state)
    assert rows(tmp_path) == [100, 200]
    assert log.recent_score == 150.0
    record(log, 250)
    log.close()
    assert rows(tmp_path) == [100, 200, 250]
    assert logged(tmp_path) == [100, 200, 250]
    lines = (tmp_path / "evaluations.jsonl").read_text().splitlines()
    assert [json.loads(line)["agent_steps"] for line in lines] == [100, 200, 250]


def test_an_evaluation_without_its_line_is_cut(tmp_path):
    log = RunLog(tmp_path, frameskip=4)
    assert log.evaluated_agent_steps is None
    record(log, 100)
    record(log, 200)
    assert log.evaluated_agent_steps == 200
    log.close()
    evaluations = tmp_path / "evaluations.jsonl"
    evaluations.write_text(evaluations.read_text().splitlines(keepends=True)[0])
    log = RunLog(tmp_path, frameskip=4, state=log.state(200, 50))
    assert log.evaluated_agent_steps == 100
    log.close()
    assert logged(tmp_path) == [100, 200]
    assert logged(tmp_path, "2_evaluation/mean") == [100]


def test_without_a_checkpoint_the_record_starts_anew(tmp_path):
    log = RunLog(tmp_path, frameskip=4)
    log.evaluation(0, scores(1, 2))
    record(log, 100)
    log.close()
    RunLog(tmp_path, frameskip=4).close()
    assert rows(tmp_path) == []
    assert logged(tmp_path) == []
    assert (tmp_path / "evaluations.jsonl").read_text() == ""
    assert (tmp_path / "episodes.csv").read_text().startswith("agent_steps,frames,environment,")


def test_torn_ends_are_dropped(tmp_path):
    log = RunLog(tmp_path, frameskip=4)
    record(log, 100)
    log.close()
    with (tmp_path / "episodes.csv").open("a") as file:
        file.write("1")  # of 123,...: less than the checkpoint's step, but torn
    with (tmp_path / "evaluations.jsonl").open("a") as file:
        file.write('{"agent_steps": 1')
    (events,) = (tmp_path / "events").iterdir()
    whole = events.read_bytes()
    events.write_bytes(whole + whole[:20])
    RunLog(tmp_path, frameskip=4, state=log.state(100, 25)).close()
    assert rows(tmp_path) == [100]
    assert len((tmp_path / "evaluations.jsonl").read_text().splitlines()) == 1
    assert logged(tmp_path) == [100]


def test_speed_counts_from_the_last_interval(tmp_path):
    log = RunLog(
        tmp_path, frameskip=4, state={"agent_steps": 0, "updates": 0, "recent_episodes": []}
    )
    record(log, 1000)
    # As if 100 s had passed since, of which 80 were no training.
    log._interval_start = (log._interval_start[0] - 100, 0, 0)
    log.interval(1000, 250, {}, {"evaluation": 70.0, "saving": 10.0, "learning": 15.0})
    log.close()
    (path,) = (tmp_path / "events").iterdir()
    values = {}
    for raw in tf.data.TFRecordDataset(str(path)):
        for value in tf.compat.v1.Event.FromString(raw.numpy()).summary.value:
            values[value.tag] = tf.make_ndarray(value.tensor)
    assert values["4_speed/frames"] == 4000
    assert values["4_speed/agent_steps_per_second"] == pytest.approx(50, rel=0.1)
    assert values["4_speed/frames_per_second"] == np.float32(
        4 * values["4_speed/agent_steps_per_second"]
    )
    assert values["4_speed/updates_per_second"] / values[
        "4_speed/agent_steps_per_second"
    ] == np.float32(0.25)
