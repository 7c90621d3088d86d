"""Looks whether this machine can train, record and report, and says what to do where it cannot.

    python launch/doctor.py
    python launch/doctor.py --gin_file=space_invaders.gin --gin_bindings="Replay.capacity=500_000"

Each line says "ok" or "TO DO". Without a gin file the default algorithm, dqn.gin, is looked at.
Exit status: 0 if all is well, 1 if there is something to do, 2 if the question was wrong.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from absl import flags

from launch import command

FLAGS = flags.FLAGS
command.define_gin_flags()
flags.DEFINE_string("run_dir", "runs", "Where runs would go; its disk is looked at.")


def main(argv: list[str]) -> None:
    del argv
    from agents import doctor

    problems = _show(doctor.examine_installation())
    if "libraries" not in problems:  # else what follows would not even load
        import agents.training  # noqa: F401 (makes every name known to gin)
        from agents import configuration

        configuration.load(FLAGS.gin_file or ["dqn.gin"], FLAGS.gin_bindings)
        problems |= _show(doctor.examine_machine(Path(FLAGS.run_dir)))
    sys.exit(1 if problems else 0)


def _show(findings: Iterable[tuple[str, bool, str]]) -> set[str]:
    """Prints each finding as it comes; returns the topics with something to do."""
    problems = set()
    for topic, is_ok, text in findings:
        print(f"{'ok' if is_ok else 'TO DO':<6} {topic:<10} {text}", flush=True)
        if not is_ok:
            problems.add(topic)
    return problems


def cli() -> None:
    command.run(main)


if __name__ == "__main__":
    cli()
