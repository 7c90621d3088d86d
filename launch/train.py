"""Trains an agent on an Atari game, or goes on with a run that was stopped.

    python launch/train.py --gin_file=space_invaders.gin
    python launch/train.py --gin_file=breakout.gin --gin_bindings="Training.agent_steps=1_000_000"
    python launch/train.py --gin_file=pong.gin --run_dir=runs/pong_1      # goes on if it is there

Ctrl-C once saves and stops; twice stops at once.
"""

from pathlib import Path

from absl import flags

from launch import command

FLAGS = flags.FLAGS
command.define_gin_flags()
flags.DEFINE_string(
    "run_dir", None, "Holds everything the run leaves; default: a new one below runs/."
)


def main(argv: list[str]) -> None:
    from agents import configuration, training
    from agents.errors import UserError
    from agents.reporting.console import Console
    from agents.run_directory import next_run_directory

    if not FLAGS.gin_file:
        raise UserError("name a game: --gin_file=space_invaders.gin")
    configuration.load(FLAGS.gin_file, FLAGS.gin_bindings)
    run_dir = FLAGS.run_dir or next_run_directory(Path("runs"), training.run_name())
    with Console() as console:
        run = training.Training(run_dir, console)
        is_complete = run.run()
    if is_complete:
        print(f"done: {run_dir}")
    else:
        flags_ = [f"--gin_file={name}" for name in FLAGS.gin_file]
        flags_ += [f"--gin_bindings={binding!r}" for binding in FLAGS.gin_bindings]
        print(f"stopped; to go on: python launch/train.py {' '.join(flags_)} --run_dir={run_dir}")


def cli() -> None:
    command.run(main)


if __name__ == "__main__":
    cli()
