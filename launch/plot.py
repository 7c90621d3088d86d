"""Draws learning curves of runs over the published ones, or rliable's aggregates over games.

    python launch/plot.py --run_dir=runs/space_invaders_DQN_1 --out=curve.png --out=curve.csv
    python launch/plot.py --run_dir=runs --x=hours --group_by=run --out=hours.svg
    python launch/plot.py --run_dir=runs --rliable --out=aggregates.png

--run_dir takes runs and folders of runs; runs of one game and algorithm are seeds of one line. The
aggregates are of each run's newest evaluation by launch/evaluate.py. A run without a finished game,
or without an evaluation for the aggregates, is left out.
"""

from pathlib import Path

from absl import flags

from agents.errors import UserError
from launch import command

FLAGS = flags.FLAGS
flags.DEFINE_multi_string("run_dir", [], "A run directory, or a folder with some below it.")
flags.DEFINE_multi_string("out", ["curve.png"], "A .png, .svg or .pdf plot, or the numbers: .csv.")
flags.DEFINE_enum("x", "steps", ["steps", "frames", "hours"], "The horizontal axis.")
flags.DEFINE_enum(
    "group_by",
    "algorithm",
    ["algorithm", "game", "run"],
    "algorithm: a panel per game with a line per algorithm; game: the other way round; "
    "run: a panel per game with a line per run.",
)
flags.DEFINE_integer(
    "window_agent_steps", 250_000, "Games that end in one window are one point.", lower_bound=1
)
flags.DEFINE_bool("rliable", False, "Aggregates over games instead of learning curves.")

ENDINGS = (".png", ".svg", ".pdf", ".csv")


def main(argv: list[str]) -> None:
    del argv
    if not FLAGS.run_dir:
        raise UserError("name a run: --run_dir=runs/space_invaders_DQN_1")
    for out in map(Path, FLAGS.out):
        if out.suffix not in ENDINGS:
            raise UserError(f"--out={out} must end in {', '.join(ENDINGS)}")

    from rich.console import Console
    from rich.table import Table

    from agents import assessment
    from agents.reporting import aggregates, curves, plots, runs, tables

    found = runs.find(map(Path, FLAGS.run_dir))
    if not FLAGS.rliable:  # which compares evaluations, whose protocol is their own
        runs.check_one_protocol(found)
    if FLAGS.rliable or FLAGS.group_by != "run":
        runs.warn_of_unlike_seeds(found)
    if FLAGS.rliable:
        evaluations = runs.gather(found, lambda run: assessment.newest(run.path))
        computed = aggregates.aggregate(aggregates.matrices(list(evaluations.values())))
        columns, rows = aggregates.COLUMNS, aggregates.numbers(computed)
        figure, table = aggregates.plot(computed), Table(*columns)
        for row in rows:
            table.add_row(*row)
    else:
        lines = curves.lines(found, FLAGS.group_by, FLAGS.window_agent_steps)
        columns, rows = plots.COLUMNS, plots.numbers(lines)
        figure = plots.learning_curves(lines, "agent_steps" if FLAGS.x == "steps" else FLAGS.x)
        table = plots.table(lines)
    Console().print(table)
    for out in map(Path, FLAGS.out):
        if out.suffix == ".csv":
            tables.save(out, tables.comma_separated(columns, rows))
        else:
            plots.save(figure, out)
        print(out)


def cli() -> None:
    command.run(main)


if __name__ == "__main__":
    cli()
