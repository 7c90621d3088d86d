"""A training killed with SIGKILL at random moments goes on from its last complete checkpoint."""

import csv
import itertools
import json
import random
import time

from agents import checkpoints
from agents.checkpoints import Checkpoints
from agents.replay import Replay
from tests import training_process

KILLS = 20
CAPACITY = 2000  # transitions, as in training_process


def wait_until(condition, process):
    while not condition():
        assert process.is_alive(), "the training ended by itself"
        time.sleep(0.002)


def seconds_of_a_start(run_dir):
    """From the first file to the end of a training that takes one step."""
    process = training_process.start(run_dir, 1)
    wait_until((run_dir / ".lock").exists, process)
    start = time.monotonic()
    process.join()
    assert process.exitcode == 0
    return time.monotonic() - start


def test_a_kill_in_the_last_evaluation_loses_no_training(tmp_path):
    long = ("Evaluator.episodes = 8", "Evaluator.max_frames_per_episode = 18_000")
    directory = tmp_path / "checkpoints"
    process = training_process.start(tmp_path, 200, *long)
    wait_until(lambda: any(directory.glob("00000000020?")), process)
    process.kill()
    process.join()
    (trained,) = directory.glob("00000000020?")
    lines = tmp_path / "evaluations.jsonl"
    assert len(lines.read_text().splitlines()) == 1, "the evaluation was over before the kill"

    process = training_process.start(tmp_path, 200, *long)
    process.join()
    assert process.exitcode == 0
    evaluated = [json.loads(line)["agent_steps"] for line in lines.read_text().splitlines()]
    assert evaluated == [0, int(trained.name)]
    logged = training_process.points(tmp_path)["2_evaluation/mean"]
    assert [agent_steps for agent_steps, _ in logged] == evaluated
    assert [int(path.name) for path in (tmp_path / "best").iterdir()] == evaluated[1:]
    assert max(path.name for path in directory.glob("[0-9]*")) == trained.name


def test_twenty_kills(tmp_path):
    seed = random.SystemRandom().randrange(1_000_000)  # fixtures may have seeded the module
    print(f"seed of the kills: {seed}")
    rng = random.Random(seed)
    start_seconds = seconds_of_a_start(tmp_path / "one_step")
    run_dir = tmp_path / "run"
    directory = run_dir / "checkpoints"
    partial = directory / ".partial"

    def newest_name():
        return max((int(path.name) for path in directory.glob("[0-9]*")), default=0)

    reached, in_the_middle_of_a_save = 0, 0
    for kind in itertools.islice(itertools.cycle(("start", "save", "between")), KILLS):
        started_ns = time.time_ns()
        process = training_process.start(run_dir, 1_000_000)
        if kind == "start":
            time.sleep(rng.uniform(0, start_seconds))
        elif kind == "save":
            # A killed save leaves its directory behind; the next one begins with its removal.
            wait_until(
                lambda since=started_ns: partial.exists() and partial.stat().st_ctime_ns > since,
                process,
            )
            time.sleep(rng.uniform(0, 0.05))
        else:
            wait_until(lambda before=reached: newest_name() > before, process)
            time.sleep(rng.uniform(0, 0.3))
        assert process.is_alive(), "the training ended by itself"
        seen = newest_name()
        process.kill()
        process.join()
        in_the_middle_of_a_save += kind == "save" and partial.exists()
        complete = Checkpoints(directory).latest(print)
        now = int(complete.name) if complete else 0
        assert now == newest_name() >= seen >= reached
        reached = now
    print(f"{in_the_middle_of_a_save} of {KILLS} kills fell into a save")
    assert in_the_middle_of_a_save

    final_agent_steps = reached + 500
    process = training_process.start(run_dir, final_agent_steps)
    process.join()
    assert process.exitcode == 0
    newest = Checkpoints(directory).latest(print)
    state = checkpoints.load_state(newest)["log"]
    assert final_agent_steps <= state["agent_steps"] < final_agent_steps + 4
    assert state["updates"] == (state["agent_steps"] - 100) // 4

    def periods(agent_steps, period):
        """Each period ends with one point, the first one within the vector step that begins it."""
        return [steps // period for steps in agent_steps]

    logged = [steps for steps, _ in training_process.points(run_dir)["3_learning/updates"]]
    assert periods(logged, 50) == list(range(1, state["agent_steps"] // 50 + 1)), (
        "points are missing or overlap"
    )
    with (run_dir / "episodes.csv").open(newline="") as file:
        episodes = [int(row["agent_steps"]) for row in csv.DictReader(file)]
    assert episodes
    assert episodes == sorted(episodes)
    lines = (run_dir / "evaluations.jsonl").read_text().splitlines()
    evaluations = [json.loads(line)["agent_steps"] for line in lines]
    assert evaluations.pop() == state["agent_steps"]
    expected = list(range(state["agent_steps"] // 400 + 1))
    assert periods(evaluations, 400) in (expected, expected[:-1]), "the last may begin a period"
    checkpoints.lay_replay(newest, tmp_path / "scratch")
    replay = Replay(1, 1, tmp_path / "scratch", capacity=CAPACITY, batch_size=8)
    assert len(replay) == min(CAPACITY, state["agent_steps"])
    replay.close()
