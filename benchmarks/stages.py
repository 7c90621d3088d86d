"""Times the whole training loop, its stages, and the learner alone, on Space Invaders.

    python benchmarks/stages.py --num_envs=8 --num_envs=32

The loop is the real one (`agents.training.Training`) after its first updates; the learner alone
does the same updates on one batch that is never exchanged, which bounds the loop.
"""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from absl import flags
from rich.console import Console
from rich.table import Table

from launch import command

FLAGS = flags.FLAGS
flags.DEFINE_multi_integer("num_envs", [8, 32], "Environments; several are timed one by one.")
flags.DEFINE_integer("agent_steps", 12_000, "Agent steps that are timed, per number.")
flags.DEFINE_multi_string("gin_bindings", [], "More gin, as for launch/train.py.")

WARM_UP_AGENT_STEPS = 3_000
STAGES = ("environment", "acting", "writing", "sampling", "learning")


class Stopwatch:
    """A reporter of `Training` that times it from the end of the warm-up."""

    def __init__(self):
        self.started: tuple[float, int] | None = None

    def start(self, summary: Mapping[str, str], agent_steps: int, total_agent_steps: int) -> None:
        pass

    def progress(self, agent_steps: int, **values: float | None) -> None:
        self.now = (time.perf_counter(), agent_steps)
        if self.started is None and agent_steps >= WARM_UP_AGENT_STEPS:
            self.started = self.now

    def message(self, text: str) -> None:
        pass


def main(argv: list[str]) -> None:
    del argv
    table = Table("N", "steps/s", "learner alone", "its bound", *STAGES)
    for num_envs in FLAGS.num_envs:
        milliseconds, steps_per_second, alone = time_loop(num_envs)
        stages = (f"{milliseconds[stage]:.2f}" for stage in STAGES)
        bound = f"{alone * 1e3:.2f}", f"{4 / alone:.0f}"
        table.add_row(str(num_envs), f"{steps_per_second:.0f}", *bound, *stages)
    Console(width=110).print(
        table,
        "N environments; agent steps per second, of the loop and bounded by the learner alone;",
        "the learner and the stages in milliseconds per update (4 agent steps).",
    )


def time_loop(num_envs: int) -> tuple[dict[str, float], float, float]:
    """Milliseconds per update by stage, agent steps per second, seconds per update alone."""
    from agents import configuration, training
    from agents.run_directory import RunDirectory

    total = WARM_UP_AGENT_STEPS + FLAGS.agent_steps
    bindings = [
        f"AtariEnvironment.num_envs = {num_envs}",
        "LEARNING_STARTS_AGENT_STEPS = 1_000",
        "LinearEpsilon.decay_agent_steps = 1_000",
        f"Training.agent_steps = {total}",
        f"Training.checkpoint_period_agent_steps = {10 * total}",
        f"Training.evaluation_period_agent_steps = {10 * total}",
        f"Training.log_period_agent_steps = {WARM_UP_AGENT_STEPS}",
        "Evaluator.episodes = 1",
        "Evaluator.max_frames_per_episode = 400",
        *FLAGS.gin_bindings,
    ]
    configuration.load(["space_invaders.gin"], bindings)
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder, RunDirectory(Path(folder)) as run_dir:
        run = training.Training(run_dir, watch)
        run.run()
        seconds = stage_seconds(Path(folder))
        alone = learner_alone(run.agent)
    assert watch.started
    elapsed, steps = (now - then for now, then in zip(watch.now, watch.started, strict=True))
    per_update = {stage: 4e3 * seconds[stage] / steps for stage in STAGES}
    return per_update, steps / elapsed, alone


def stage_seconds(run_dir: Path) -> dict[str, float]:
    """Seconds per stage after the warm-up, summed from what TensorBoard shows."""
    import tensorflow as tf

    seconds = dict.fromkeys(STAGES, 0.0)
    for path in (run_dir / "events").iterdir():
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                group, _, stage = value.tag.partition("/")
                is_timed = event.step >= 2 * WARM_UP_AGENT_STEPS
                if group == "5_seconds" and stage in seconds and is_timed:
                    seconds[stage] += float(tf.make_ndarray(value.tensor))
    return seconds


def learner_alone(agent) -> float:
    """Seconds per update on one batch that stays, the best of five times forty updates."""
    import numpy as np
    import tensorflow as tf

    from agents.learner import Learner
    from agents.replay import Window

    rng = np.random.default_rng(0)
    frames = rng.integers(256, size=(32, 4 + agent.n_step, 84, 84), dtype=np.uint8)
    outcomes = np.zeros((32, agent.n_step, 3), np.float32)
    key, probability = tf.zeros(32, tf.uint64), tf.ones(32, tf.float64)
    window = Window(tf.constant(frames), tf.constant(outcomes), key, probability)
    learner = Learner(agent, tf.data.Dataset.from_tensors(window).repeat())
    learner.run(3)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        learner.run(40)
        best = min(best, (time.perf_counter() - start) / 40)
    return best


if __name__ == "__main__":
    command.run(main)
