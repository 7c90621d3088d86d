"""A training killed with SIGKILL at random moments goes on from its last complete checkpoint."""

import csv
import itertools
import json
import random
import time

import tensorflow as tf

from agents import checkpoints
from agents.checkpoints import Checkpoints
from tests import training_process

KILLS = 20
SAVES_BEFORE_A_KILL = 2


def steps_of_events(run_dir, tag):
    """The agent steps of a tag's points in all event files, oldest file first."""
    steps = []
    for path in sorted((run_dir / "events").iterdir(), key=lambda path: path.name):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            steps += [event.step for value in event.summary.value if value.tag == tag]
    return steps


def test_twenty_kills(tmp_path):
    seed = random.randrange(1_000_000)
    print(f"seed of the kills: {seed}")
    rng = random.Random(seed)
    kept = Checkpoints(tmp_path / "checkpoints")
    reached, in_the_middle_of_a_save = [0], 0
    for _ in range(KILLS):
        process = training_process.start(tmp_path, 1_000_000)
        last = reached[-1]
        while True:
            newest = max((int(p.name) for p in tmp_path.glob("checkpoints/[0-9]*")), default=0)
            if newest > last + 100 * rng.randrange(SAVES_BEFORE_A_KILL):
                break
            assert process.is_alive(), "the training ended by itself"
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        process.join()
        in_the_middle_of_a_save += (tmp_path / "checkpoints" / ".partial").exists()
        complete = kept.latest()
        assert complete is not None
        assert int(complete.name) >= newest
        reached.append(int(complete.name))
    print(f"{in_the_middle_of_a_save} of {KILLS} kills fell into a save")

    final_agent_steps = reached[-1] + 300
    process = training_process.start(tmp_path, final_agent_steps)
    process.join()
    assert process.exitcode == 0
    state = checkpoints.load_state(kept.latest())["log"]
    assert final_agent_steps <= state["agent_steps"] < final_agent_steps + 4
    assert state["updates"] == (state["agent_steps"] - 100) // 4

    logged = steps_of_events(tmp_path, "3_learning/loss")
    assert len(logged) == len(set(logged)), "points overlap"
    assert logged == sorted(logged)
    assert max(b - a for a, b in itertools.pairwise(logged)) <= 50 + 4, "points are missing"
    with (tmp_path / "episodes.csv").open(newline="") as file:
        episodes = [int(row["agent_steps"]) for row in csv.DictReader(file)]
    assert episodes == sorted(episodes)
    evaluations = [
        json.loads(line)["agent_steps"]
        for line in (tmp_path / "evaluations.jsonl").read_text().splitlines()
    ]
    assert [steps // 400 for steps in evaluations] == list(range(len(evaluations)))
