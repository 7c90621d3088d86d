"""Shares a run on the Hugging Face hub, or loads one from there.

    python launch/hub.py push --run_dir=runs/space_invaders_DQN_1 --repo_id=me/dqn-space-invaders
    python launch/hub.py load --repo_id=me/dqn-space-invaders --run_dir=runs/theirs

`hf auth login` says who you are. A run must have been evaluated (launch/evaluate.py) to be pushed:
its checkpoint goes to the hub without the replay, with a model card that leaderboards read.
"""

from pathlib import Path

from absl import flags

from agents.errors import UserError
from launch import command

FLAGS = flags.FLAGS
flags.DEFINE_string("repo_id", None, "The repository: user/name.")
flags.DEFINE_string("run_dir", None, "What to push, or where to load; default: runs/NAME.")
flags.DEFINE_bool("private", False, "push: if the repository is made, only you can see it.")


def main(argv: list[str]) -> None:
    action = argv[1]
    if not FLAGS.repo_id:
        raise UserError("name the repository: --repo_id=me/dqn-space-invaders")
    if action == "push" and not FLAGS.run_dir:
        raise UserError("name a run: --run_dir=runs/space_invaders_DQN_1")
    import tensorflow as tf

    with command.extra("hub"):
        from agents import hub

    tf.config.set_visible_devices([], "GPU")  # a training may hold all of its memory
    run_dir = Path(FLAGS.run_dir or Path("runs", FLAGS.repo_id.rpartition("/")[2])).expanduser()
    if action == "push":
        print(f"pushed: {hub.push(run_dir, FLAGS.repo_id, private=FLAGS.private)}")
        return
    hub.load(FLAGS.repo_id, run_dir)
    print(f"loaded: {run_dir}\nto evaluate: python launch/evaluate.py --run_dir={run_dir}")


def cli() -> None:
    command.run(main, actions=("push", "load"))


if __name__ == "__main__":
    cli()
