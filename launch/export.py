"""Writes a trained agent as a SavedModel that TF Serving and plain TensorFlow load.

    python launch/export.py --run_dir=runs/space_invaders_DQN_1
    python launch/export.py --run_dir=runs/space_invaders_DQN_1 --checkpoint=500000 \\
        --export_dir=models --name=invaders --format=tflite

The model lands in EXPORT_DIR/NAME/<next version>/. The training may still be running.
"""

from pathlib import Path

from absl import flags

from agents.errors import UserError
from launch import command, player

FLAGS = flags.FLAGS
flags.DEFINE_string("run_dir", None, "The run directory of a training.")
flags.DEFINE_string("export_dir", None, "Where models go; default: exports/ in the run directory.")
flags.DEFINE_string("name", None, "The model's name; default: the game.")
player.define_checkpoint_flag()
flags.DEFINE_multi_enum(
    "format", [], ["tflite", "onnx"], "Writes this format too; may be given twice."
)


def main(argv: list[str]) -> None:
    del argv
    if not FLAGS.run_dir:
        raise UserError("name a run: --run_dir=runs/space_invaders_DQN_1")
    checkpoint = player.checkpoint()

    import tensorflow as tf

    from agents import restoring
    from agents.serving import export, formats, origin

    tf.config.set_visible_devices([], "GPU")  # a training may hold all of its memory
    run_dir = Path(FLAGS.run_dir).expanduser()
    restored = restoring.restore_agent(run_dir, checkpoint, precision="float32")
    path = export.export_agent(
        restored.agent,
        restored.env,
        Path(FLAGS.export_dir or run_dir / "exports"),
        name=FLAGS.name or restored.env.game,
        origin=origin.of_run(run_dir, restored.agent_steps, restored.commit),
        writers=[formats.WRITERS[name] for name in FLAGS.format],
    )
    print(f"exported: {path}")


def cli() -> None:
    command.run(main)


if __name__ == "__main__":
    cli()
