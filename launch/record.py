"""Records games of a trained agent as mp4 and gif, in the game's own colours and at true speed.

    python launch/record.py --run_dir=runs/space_invaders_DQN_1
    python launch/record.py --run_dir=runs/space_invaders_DQN_1 --games=best --games=worst --overlay
    python launch/record.py --run_dir=runs/space_invaders_DQN_1 --progress --formats=mp4

Plays --episodes games and films those of --games; --overlay adds what the network sees and its
Q-values. --progress films one game of every agent that the run has kept, one after the other.
Films land in videos/ in the run directory. No display is needed; the training may still be running.
"""

from pathlib import Path

from absl import flags

from agents.errors import UserError
from launch import command, player

FLAGS = flags.FLAGS
player.define_flags()
flags.DEFINE_integer("episodes", 10, "Games to play and choose from.", lower_bound=1)
flags.DEFINE_multi_enum("games", ["best"], ["first", "best", "worst"], "Which one to film.")
flags.DEFINE_bool("overlay", False, "Show what the network sees, and its Q-values.")
flags.DEFINE_bool("progress", False, "One film of all agents that the run has kept instead.")
flags.DEFINE_multi_enum("formats", ["mp4", "gif"], ["mp4", "gif"], "Of the films.")
flags.DEFINE_float("gif_seconds", 20.0, "A gif ends after them.", lower_bound=0.1)
flags.DEFINE_integer("scale", 2, "Pixels of the film per pixel of the game.", lower_bound=1)
flags.DEFINE_string("out_dir", None, "Where films go; default: videos/ in the run directory.")


def main(argv: list[str]) -> None:
    del argv
    if not FLAGS.run_dir:
        raise UserError("name a run: --run_dir=runs/space_invaders_DQN_1")
    for name in ("checkpoint", "episodes", "games"):
        if FLAGS.progress and FLAGS[name].present:
            raise UserError(f"--progress films a game of every agent: leave out --{name}")
    if "mp4" in FLAGS.formats:
        with command.extra("video"):
            import imageio_ffmpeg  # noqa: F401 (looked for before any game is played)
    player.stay_on_cpu()
    played = None if FLAGS.progress else player.from_flags()

    from agents import assessment, recording
    from agents.reporting import video
    from agents.reporting.console import progress_bar
    from agents.run_directory import check_is_run

    run_dir = Path(FLAGS.run_dir).expanduser()
    out_dir = Path(FLAGS.out_dir or run_dir / "videos").expanduser()
    check_is_run(run_dir)
    video.check_directory(out_dir)  # before games are played
    arguments = player.evaluator_arguments()
    total = 1 if FLAGS.progress else FLAGS.episodes
    with progress_bar("games over", total) as show:
        look = {
            "scale": FLAGS.scale,
            "overlay": FLAGS.overlay,
            "progress": lambda games, steps: show(games, assessment.under_way(steps)),
        }
        if played:
            evaluator = assessment.evaluator(played, episodes=FLAGS.episodes, **arguments)
            films = recording.chosen_games(played, evaluator, FLAGS.games, **look)
        else:
            films = [recording.progress_of_run(run_dir, FLAGS.protocol, arguments, **look)]
    for film in films:
        with progress_bar(film.name, film.length_frames) as show:
            frames = shown(film.frames, show)
            video.write(frames, out_dir / film.name, FLAGS.formats, FLAGS.gif_seconds)
        for name in FLAGS.formats:
            print(out_dir / f"{film.name}.{name}")


def shown(frames, show):
    """The frames, counted on the progress bar."""
    for number, frame in enumerate(frames):
        show(number, "frames")
        yield frame


def cli() -> None:
    command.run(main)


if __name__ == "__main__":
    cli()
