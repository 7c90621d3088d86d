"""Trains an agent on an Atari game, or goes on with a run that was stopped.

    python launch/train.py --gin_file=space_invaders.gin
    python launch/train.py --gin_file=breakout.gin --gin_bindings="Training.agent_steps=1_000_000"
    python launch/train.py --run_dir=runs/space_invaders_DQN_1           # goes on with it

Ctrl-C once saves and stops; twice stops at once.
"""

import contextlib
import shlex
import sys
from pathlib import Path

from absl import flags

from launch import command

FLAGS = flags.FLAGS
command.define_gin_flags()
flags.DEFINE_string(
    "run_dir", None, "Holds everything the run leaves; default: a new one below runs/."
)
flags.DEFINE_bool(
    "resume", None, "--resume: fail unless there is a run to go on with; --noresume: if there is."
)
flags.DEFINE_bool(
    "profile", False, "Trace a stretch of the run, for Perfetto and TensorBoard's profiler."
)


def main(argv: list[str]) -> None:
    del argv
    from agents import configuration, run_directory, training
    from agents.errors import UserError
    from agents.reporting.console import Console, native_stderr_to

    run_dir = Path(FLAGS.run_dir).expanduser() if FLAGS.run_dir else None
    has_checkpoint = bool(run_dir and any(run_dir.glob("checkpoints/[0-9]*")))
    if FLAGS.resume is True and not has_checkpoint:
        raise UserError(f"nothing to resume: {run_dir or '--run_dir'} has no checkpoint")
    if FLAGS.resume is False and has_checkpoint:
        raise UserError(f"{run_dir} holds a run already: choose another --run_dir")
    if FLAGS.gin_file:
        configuration.load(FLAGS.gin_file, FLAGS.gin_bindings)
    elif run_dir and (run_dir / "config.gin").exists():
        own = [str(run_dir / "config.gin")]
        configuration.load(own, FLAGS.gin_bindings, are_composed=True)
    else:
        raise UserError("no game given: name one, as in --gin_file=space_invaders.gin")
    run_dir = run_dir or run_directory.next_run_directory(Path("runs"), training.run_name())

    with contextlib.ExitStack() as stack:
        console = stack.enter_context(Console())
        owned = stack.enter_context(run_directory.RunDirectory(run_dir))
        stack.enter_context(native_stderr_to(owned.native_log))
        is_complete = training.Training(owned, console).run(FLAGS.profile)
    if is_complete:
        export = shlex.join(["python", "launch/export.py", f"--run_dir={run_dir}"])
        print(f"done; to export: {export}")
    else:
        go_on = shlex.join(["python", sys.argv[0], f"--run_dir={run_dir}"])
        print(f"stopped; to go on: {go_on}")


def cli() -> None:
    command.run(main)


if __name__ == "__main__":
    cli()
