"""Trains an agent on an Atari game, or goes on with a run that was stopped.

    python launch/train.py --gin_file=space_invaders.gin
    python launch/train.py --gin_file=breakout.gin --gin_bindings="Training.agent_steps=1_000_000"
    python launch/train.py --run_dir=runs/space_invaders_DQN_1           # goes on with it

Ctrl-C once saves and stops; twice stops at once.
"""

import contextlib
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
    from agents import configuration, run_directory
    from agents.errors import UserError
    from agents.reporting.console import Console, command_line, native_stderr_to

    try:
        run_dir = Path(FLAGS.run_dir).expanduser() if FLAGS.run_dir else None
        has_checkpoint = bool(run_dir and any(run_dir.glob("checkpoints/[0-9]*")))
        own = run_dir / "config.gin" if run_dir and not FLAGS.gin_file else None
        has_own = bool(own and own.exists())
    except (OSError, RuntimeError) as e:
        raise UserError(f"--run_dir={FLAGS.run_dir} cannot be read ({e}): choose another") from e

    def near() -> str:
        runs = run_directory.runs_near(run_dir) if run_dir else []
        return f" (near it: {', '.join(map(str, runs))})" if runs else ""

    if FLAGS.resume is True and not has_checkpoint:
        if not run_dir:
            raise UserError("nothing to resume: name a run, as in --run_dir=runs/NAME")
        raise UserError(f"nothing to resume: {run_dir} has no checkpoint{near()}")
    if FLAGS.resume is False and has_checkpoint:
        raise UserError(f"{run_dir} holds a run already: choose another --run_dir")
    if own and not has_own:
        raise UserError(
            f"{run_dir} holds no run to go on with{near()}: correct the name, or "
            "start a new run there with --gin_file=space_invaders.gin"
        )
    gin_files = [str(own)] if own else FLAGS.gin_file
    if not gin_files:
        raise UserError("no game given: name one, as in --gin_file=space_invaders.gin")
    for name in gin_files:
        configuration.located(name)  # a misspelt one need not wait for what follows
    if sys.stdout.isatty():
        print("loading TensorFlow", flush=True)
    from agents import training

    configuration.load(gin_files, FLAGS.gin_bindings, are_composed=bool(own))
    run_dir = run_dir or run_directory.next_run_directory(Path("runs"), training.run_name())

    script = Path(sys.argv[0])
    with contextlib.ExitStack() as stack:
        console = stack.enter_context(Console())
        owned = stack.enter_context(run_directory.RunDirectory(run_dir))
        stack.enter_context(native_stderr_to(owned.native_log))
        is_complete = training.Training(owned, console).run(FLAGS.profile)
    same_run = f"--run_dir={run_dir}"
    if is_complete:
        export = script.with_name(script.name.replace("train", "export"))
        print("done; to export:", command_line(export, same_run))
        agent_steps = configuration.argument(training.Training, "agent_steps")
        longer = f"--gin_bindings=Training.agent_steps = {2 * agent_steps:_}"
        print("to train on:", command_line(script, same_run, longer))
    else:
        print("stopped; to go on:", command_line(script, same_run))


def cli() -> None:
    command.run(main)


if __name__ == "__main__":
    cli()
