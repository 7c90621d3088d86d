"""Draws learning curves of runs over a published one of Dopamine's.

    python launch/plot.py --run_dir=runs/space_invaders_DQN_1 --out=curve.png
    python launch/plot.py --run_dir=runs/breakout_qr_dqn_1 --published=QR-DQN
    python launch/plot.py --run_dir=runs/pong_DQN_1 --run_dir=runs/pong_DQN_2 --out=pong.svg

Prints the mean training score of each window of 250,000 agent steps beside the published seeds'
minimum, mean and maximum. The scores compare where the run follows Dopamine's protocol.
"""

from pathlib import Path

from absl import flags

from launch import command

FLAGS = flags.FLAGS
flags.DEFINE_multi_string("run_dir", [], "A run directory; runs of one game share a plot.")
flags.DEFINE_string("published", "DQN", "The agent of Dopamine's to compare with.")
flags.DEFINE_string("out", "curve.png", "The plot: a .png, .svg or .pdf file.")


def main(argv: list[str]) -> None:
    del argv
    from rich.console import Console
    from rich.table import Table

    from agents.errors import UserError
    from agents.reporting import curves

    run_dirs = [Path(run_dir).expanduser() for run_dir in FLAGS.run_dir]
    games = {curves.game(run_dir) for run_dir in run_dirs}
    if len(games) != 1:
        raise UserError(f"give runs of one game with --run_dir, got {sorted(games) or 'none'}")
    (game,) = games
    agent = FLAGS.published
    if agent not in curves.DOPAMINE_AGENTS:
        known = ", ".join(curves.DOPAMINE_AGENTS)
        raise UserError(f"no curves of {agent!r} were published: --published is one of {known}")
    published = {window.agent_steps: window for window in curves.dopamine(game, agent)}
    runs = {str(run_dir): run_dir for run_dir in run_dirs}
    curves.plot(runs, list(published.values()), game, Path(FLAGS.out), agent)

    table = Table("run", "agent steps", "games", "mean score", "published min", "mean", "max")
    for run_dir in run_dirs:
        for window in curves.windows(*curves.episodes(run_dir)):
            row = [run_dir.name, f"{window.agent_steps:,}", str(window.games), f"{window.mean:.1f}"]
            if beside := published.get(window.agent_steps):
                row += [f"{score:.1f}" for score in (beside.min, beside.mean, beside.max)]
            table.add_row(*row)
    Console().print(table)
    print(FLAGS.out)


def cli() -> None:
    command.run(main)


if __name__ == "__main__":
    cli()
