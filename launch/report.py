"""Writes one HTML page of a run: curve, evaluations, films, speed, memory, configuration.

    python launch/report.py --run_dir=runs/space_invaders_DQN_1
    python launch/report.py --run_dir=runs/space_invaders_DQN_1 --out=report.html

The page holds everything in itself, so it can be mailed or put anywhere. The training may still be
running. launch/evaluate.py and launch/record.py make what the page shows of evaluations and films.
"""

import os
from pathlib import Path

from absl import flags

from agents.errors import UserError
from launch import command

FLAGS = flags.FLAGS
flags.DEFINE_string("run_dir", None, "The run directory of a training.")
flags.DEFINE_string("out", None, "The page; default: report.html in the run directory.")


def main(argv: list[str]) -> None:
    del argv
    if not FLAGS.run_dir:
        raise UserError("name a run: --run_dir=runs/space_invaders_DQN_1")
    with command.extra("report"):
        from agents import assessment
        from agents.reporting import page

    run_dir = Path(FLAGS.run_dir).expanduser()
    out = Path(FLAGS.out).expanduser() if FLAGS.out else run_dir / "report.html"
    html = page.page(run_dir, assessment.evaluations(run_dir))
    aside = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        aside.write_text(html, encoding="utf-8")
        aside.replace(out)
    except OSError as e:
        raise UserError(f"{out} cannot be written ({e.strerror}): choose another --out") from e
    print(f"{out} ({len(html) / 1e6:.1f} MB)")


def cli() -> None:
    command.run(main)


if __name__ == "__main__":
    cli()
