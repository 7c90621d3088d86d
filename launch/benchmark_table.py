"""Writes the table of all runs below a folder: what each scores in its newest evaluation.

    python launch/benchmark_table.py --run_dir=runs
    python launch/benchmark_table.py --run_dir=runs --out=table.md --out=table.csv --episodes=30
    python launch/benchmark_table.py --run_dir=runs --noevaluate

A run that launch/evaluate.py has not evaluated yet is evaluated first. One that has no checkpoint
yet is left out, with --noevaluate every one that is not evaluated.
"""

from pathlib import Path
from typing import Any

from absl import flags

from agents.errors import UserError
from launch import command, player

FLAGS = flags.FLAGS
flags.DEFINE_multi_string("run_dir", [], "A run directory, or a folder with some below it.")
flags.DEFINE_multi_string("out", ["table.md"], "The table: a .md or .csv file.")
flags.DEFINE_bool("evaluate", True, "--noevaluate: leave out instead of evaluating.")
flags.DEFINE_integer("episodes", 100, "Games of an evaluation.", lower_bound=1)


def main(argv: list[str]) -> None:
    del argv
    if not FLAGS.run_dir:
        raise UserError("name a folder of runs: --run_dir=runs")

    from agents import assessment, players
    from agents.reporting import runs, tables
    from agents.reporting.console import progress_bar

    player.stay_on_cpu()

    def line(run: runs.Run) -> dict[str, Any]:
        if FLAGS.evaluate and not assessment.evaluations(run.path):
            evaluated = players.from_run(run.path)
            evaluator = assessment.evaluator(evaluated, episodes=FLAGS.episodes, seed=0)
            with progress_bar(f"{run.path}, games over", FLAGS.episodes) as show:
                assessment.evaluate_into(run.path, evaluated, evaluator, show)
        return assessment.newest(run.path)

    found = runs.find(map(Path, FLAGS.run_dir))
    rows = tables.benchmark_rows(runs.gather(found, line))
    markdown = tables.markdown(tables.BENCHMARK_COLUMNS, rows)
    print(markdown, end="")
    for out in map(Path, FLAGS.out):
        comma_separated = tables.comma_separated(tables.BENCHMARK_COLUMNS, rows)
        tables.save(out, comma_separated if out.suffix == ".csv" else markdown)
        print(out)


def cli() -> None:
    command.run(main)


if __name__ == "__main__":
    cli()
