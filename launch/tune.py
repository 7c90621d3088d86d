"""Searches good values for bindings: each trial is a training, and its evaluations are its score.

    python launch/tune.py --gin_file=pong.gin --space=dqn.space --n_trials=50 \\
        --gin_bindings="Training.agent_steps = 500_000"
    python launch/tune.py --gin_file=pong.gin --n_jobs=2 --sampler=random --pruner=halving

The same command goes on with a study that was stopped or killed, and joins one that another process
works on. Afterwards best.gin in the study's directory is a configuration for train.py.
"""

import sys
from pathlib import Path

from absl import flags

from launch import command

FLAGS = flags.FLAGS
command.define_gin_flags()
flags.DEFINE_string("space", "dqn.space", "What to search: a file, or the name of a shipped one.")
flags.DEFINE_integer("n_trials", 20, "Trials of the study, of all processes.", lower_bound=1)
flags.DEFINE_integer("n_jobs", 1, "Trials side by side in this process.", lower_bound=1)
flags.DEFINE_float("timeout", None, "Seconds after which no trial begins.", lower_bound=0)
flags.DEFINE_enum("sampler", "tpe", ["tpe", "random"], "What chooses the values.")
flags.DEFINE_enum("pruner", "median", ["median", "halving", "none"], "What ends bad trials early.")
flags.DEFINE_integer("seed", None, "Of the sampler.", lower_bound=0)
flags.DEFINE_string("study_name", None, "Default: the game and the algorithm.")
flags.DEFINE_string("study_dir", None, "Holds all trials; default: studies/STUDY_NAME.")
flags.DEFINE_string(
    "storage", None, "An Optuna database, as sqlite:///study.db; default: a file in the study_dir."
)


def main(argv: list[str]) -> None:
    del argv
    with command.extra("tune"):
        from agents.tuning import outcome, space, study
    from agents import training
    from agents.errors import UserError

    if not FLAGS.gin_file:
        raise UserError("no game given: name one, as in --gin_file=space_invaders.gin")
    searched = space.load(FLAGS.space, FLAGS.gin_file, FLAGS.gin_bindings)
    name = FLAGS.study_name or training.run_name()
    search = study.Study(
        directory=Path(FLAGS.study_dir or Path("studies", name)).expanduser(),
        name=name,
        storage=FLAGS.storage,
        space=searched,
        command=[
            *(sys.executable, "-m", "launch.train"),
            *(f"--gin_file={gin_file}" for gin_file in FLAGS.gin_file),
            *(f"--gin_bindings={binding}" for binding in FLAGS.gin_bindings),
        ],
        sampler=FLAGS.sampler,
        pruner=FLAGS.pruner,
        seed=FLAGS.seed,
        report=lambda line: print(line, flush=True),
    )
    trials = search.run(FLAGS.n_trials, FLAGS.n_jobs, FLAGS.timeout)
    for path in outcome.write(trials, search.directory, FLAGS.gin_file, FLAGS.gin_bindings):
        print(path)


def cli() -> None:
    command.run(main)


if __name__ == "__main__":
    cli()
