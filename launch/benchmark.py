"""Times the whole training loop, and each of its stages alone, on this machine.

    python launch/benchmark.py
    python launch/benchmark.py --num_envs=8 --num_envs=64 --precision=float32 --json=speed.json
    python launch/benchmark.py --what=loop --replay_transitions=1_000_000
    python launch/benchmark.py --gin_file=space_invaders.gin --gin_file=rainbow.gin --what=loop

The loop learns from a replay that is filled first, so a large one takes its time.
"""

import json
import os
from pathlib import Path

from absl import flags

from launch import command

FLAGS = flags.FLAGS
command.define_gin_flags()
flags.DEFINE_multi_integer(
    "num_envs", None, "Environments; several are timed one by one; default: the gin files'.", 1
)
flags.DEFINE_integer("batch_size", None, "Transitions per update; default: the gin files'.", 1)
flags.DEFINE_enum(
    "precision",
    None,
    ["auto", "float32", "mixed_bfloat16"],
    "Of the network; default: the gin files'.",
)
flags.DEFINE_integer("replay_transitions", 10_000, "In the replay when the timing begins.", 1)
flags.DEFINE_integer("agent_steps", 12_000, "That are timed in the loop.", 1)
flags.DEFINE_enum("what", "all", ["all", "loop", "stages"], "What is timed.")
flags.DEFINE_string("json", None, "A file for the figures and the machine.")


def main(argv: list[str]) -> None:
    del argv
    from agents import configuration, speed
    from agents.environments import AtariEnvironment
    from agents.reporting.console import native_stderr_to
    from agents.run_directory import environment_facts

    command.check_file("json")
    loops, stages = [], []
    for given in FLAGS.num_envs or [None]:
        values = {
            "AtariEnvironment.num_envs": given,
            "Replay.batch_size": FLAGS.batch_size,
            "q_network.precision": FLAGS.precision,
        }
        bindings = [
            *speed.loop_bindings(FLAGS.replay_transitions, FLAGS.agent_steps),
            *(f"{name} = {value!r}" for name, value in values.items() if value is not None),
            *FLAGS.gin_bindings,
        ]
        configuration.load(FLAGS.gin_file or ["space_invaders.gin"], bindings)
        num_envs = configuration.argument(AtariEnvironment, "num_envs")
        with native_stderr_to(Path(os.devnull)):
            if FLAGS.what != "stages":
                loop = speed.time_loop(FLAGS.replay_transitions, FLAGS.agent_steps)
                loops.append({"environments": num_envs} | loop)
            if FLAGS.what != "loop":
                stages.append({"environments": num_envs} | speed.time_stages())
    show("The whole loop; its stages in milliseconds per update", loops)
    show("Each stage alone", stages)
    if FLAGS.json:
        report = environment_facts() | {"flags": FLAGS.flag_values_dict()}
        report |= {"loop": loops, "stages": stages}
        Path(FLAGS.json).write_text(json.dumps(report, indent=1) + "\n")
        print(FLAGS.json)


def show(title: str, rows: list[dict[str, float]]) -> None:
    """Prints one column per row, one line per figure."""
    from rich.console import Console
    from rich.table import Table

    if rows:
        table = Table(title=title, show_header=False)
        for name in rows[0]:
            table.add_row(name.replace("_", " "), *(_figure(row[name]) for row in rows))
        Console().print(table)


def _figure(number: float) -> str:
    return f"{number:,.0f}" if number >= 1000 else f"{number:.4g}"


def cli() -> None:
    command.run(main)


if __name__ == "__main__":
    cli()
