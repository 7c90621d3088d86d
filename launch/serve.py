"""Serves exported policies as TF Serving does, by gRPC and REST, for development.

    python launch/serve.py --model_base_path=runs/space_invaders_DQN_1/exports/space_invaders
    python launch/serve.py --model_config_file=models.config --host=0.0.0.0

New versions are taken over while it runs. There is no authentication: --host=0.0.0.0 opens it to
the network. The flags are those of TF Serving.
"""

import asyncio
import signal
from pathlib import Path

from absl import flags

from agents.errors import UserError
from launch import command

FLAGS = flags.FLAGS
flags.DEFINE_string("model_base_path", None, "The directory of a model's versions.")
flags.DEFINE_string("model_name", None, "Its name; default: that of the directory.")
flags.DEFINE_string("model_config_file", None, "Instead: models, version policies and labels.")
flags.DEFINE_string("host", "127.0.0.1", "The interface to listen on.")
flags.DEFINE_integer("port", 8500, "For gRPC; 0: a free one.", 0, 65535)
flags.DEFINE_integer("rest_api_port", 8501, "For REST and metrics; 0: a free one.", 0, 65535)


def main(argv: list[str]) -> None:
    del argv
    if bool(FLAGS.model_base_path) == bool(FLAGS.model_config_file):
        raise UserError("name a model: --model_base_path=exports/space_invaders")

    import tensorflow as tf

    from agents.serving import server

    tf.get_logger().setLevel("ERROR")  # it calls the loading of a session deprecated
    if FLAGS.model_config_file:
        configs = server.read_configs(Path(FLAGS.model_config_file).expanduser())
    else:
        path = Path(FLAGS.model_base_path).expanduser().resolve()
        configs = [server.ModelConfig(name=FLAGS.model_name or path.name, base_path=str(path))]
    asyncio.run(_serve(configs))


async def _serve(configs) -> None:
    from agents.serving import server

    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    ports = server.Ports(FLAGS.port, FLAGS.rest_api_port)
    async with server.running(
        configs, host=FLAGS.host, ports=ports, report=lambda line: print(line, flush=True)
    ) as ports:
        rest = f"http://{FLAGS.host}:{ports.rest}"
        print(f"gRPC: {FLAGS.host}:{ports.grpc}\nREST: {rest}/v1/models/{configs[0].name}")
        print(f"metrics: {rest}/monitoring/prometheus/metrics\nCtrl-C stops", flush=True)
        await stopped.wait()


def cli() -> None:
    command.run(main)


if __name__ == "__main__":
    cli()
