"""Evaluates a trained agent: whole games in a protocol, with statistics and published scores.

    python launch/evaluate.py --run_dir=runs/space_invaders_DQN_1
    python launch/evaluate.py --run_dir=runs/space_invaders_DQN_1 --checkpoint=best --episodes=30
    python launch/evaluate.py --run_dir=runs/pong_DQN_1 --protocol=nature --seed=7
    python launch/evaluate.py --model_dir=runs/pong_DQN_1/exports/pong/1 --protocol=dopamine

Prints a table and adds a line to evaluate.jsonl in the run directory (or the model's
assets.extra/). The same seed gives the same scores. The training may still be running.
"""

from pathlib import Path

from absl import flags

from agents.errors import UserError
from launch import command, player

FLAGS = flags.FLAGS
player.define_flags()
flags.DEFINE_string("model_dir", None, "Instead of a run: a version that launch/export.py wrote.")
flags.DEFINE_integer("episodes", 100, "Games to play.", lower_bound=1)


def main(argv: list[str]) -> None:
    del argv
    if bool(FLAGS.run_dir) == bool(FLAGS.model_dir):
        raise UserError("name what to evaluate: --run_dir=runs/space_invaders_DQN_1 or --model_dir")

    from rich.console import Console

    from agents import assessment
    from agents.reporting.console import progress_bar
    from agents.reporting.tables import evaluation_table, published_table

    evaluated = player.from_flags(FLAGS.model_dir)
    evaluator = assessment.evaluator(
        evaluated, episodes=FLAGS.episodes, **player.evaluator_arguments()
    )
    directory = Path(FLAGS.run_dir or Path(FLAGS.model_dir, "assets.extra")).expanduser()
    with progress_bar("games over", FLAGS.episodes) as show:
        line = assessment.evaluate_into(directory, evaluated, evaluator, show)
    console = Console()
    console.print(evaluation_table(line))
    if line["published"]:
        console.print(published_table(line))
    print(directory / assessment.FILE)


def cli() -> None:
    command.run(main)


if __name__ == "__main__":
    cli()
