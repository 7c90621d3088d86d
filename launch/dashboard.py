"""Opens TensorBoard on the runs' scores and evaluations, over published ones, speed and loss.

    python launch/dashboard.py
    python launch/dashboard.py --logdir=runs/space_invaders_DQN_1 --port=7007

Prints the address whose first page shows these, as they grow in runs that go on. It listens on this
machine only, unless --host names another interface. Ctrl-C ends it.
"""

import tempfile
import time
from pathlib import Path

from absl import flags

from agents.errors import UserError
from launch import command

FLAGS = flags.FLAGS
flags.DEFINE_string("logdir", "runs", "A run directory, or one above runs.")
flags.DEFINE_integer(
    "port", None, "To listen on; default: 6006, or the next that is free.", 0, 65535
)
flags.DEFINE_string("host", "localhost", "The interface to listen on.")


def main(argv: list[str]) -> None:
    del argv
    from tensorboard import program

    from agents.reporting import dashboard
    from agents.stop_signal import StopSignal

    logdir, port, host = FLAGS.logdir, FLAGS.port, FLAGS.host
    FLAGS.remove_flag_values(["logdir", "port", "host"])  # TensorBoard defines its own
    with tempfile.TemporaryDirectory() as folder, StopSignal(lambda: None) as stop:
        dashboard.lay_out(Path(logdir).expanduser(), Path(folder))
        server = program.TensorBoard()
        server.configure(logdir=folder, port=port, host=host)
        try:
            url = server.launch()
        except program.TensorBoardServerException as e:
            raise UserError(e.msg) from e
        print(dashboard.address(url), flush=True)
        while not stop.is_requested:
            time.sleep(0.2)


def cli() -> None:
    command.run(main)


if __name__ == "__main__":
    cli()
