"""The development server: TF Serving's interface, by gRPC and REST, over exported versions."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from aiohttp import web
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from agents.errors import UserError
from agents.serving.grpc_front import make_server
from agents.serving.metrics import Metrics
from agents.serving.models import Models
from agents.serving.rest_front import make_app

ModelConfig: TypeAlias = model_server_config_pb2.ModelConfig
_GRACE_SECONDS = 5  # for the requests that are under way at the end


class Ports(NamedTuple):
    """Where a server listens."""

    grpc: int
    rest: int


def read_configs(path: Path) -> list[ModelConfig]:
    """The models of a file as TF Serving's `--model_config_file` takes it.

    Raises:
      UserError: it cannot be read, or names no model.
    """
    config = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(path.read_text(), config)
    except (OSError, ValueError, text_format.ParseError) as e:
        raise UserError(f"cannot read {path}: {e}") from e
    if not config.model_config_list.config:
        raise UserError(f"{path} names no model: add a model_config_list with a config")
    return list(config.model_config_list.config)


@contextlib.asynccontextmanager
async def running(
    configs: Sequence[ModelConfig],
    *,
    host: str,
    ports: Ports,
    report: Callable[[str], None],
    timeout_seconds: float = 30,
) -> AsyncIterator[Ports]:
    """A server, while the context lasts.

    Args:
      configs: the models, names and base paths at least.
      host: address of the interface to listen on; there is no authentication.
      ports: 0 takes a free one.
      report: told, in one line, what happens to versions.
      timeout_seconds: of a REST request, its body included.

    Yields:
      The ports.

    Raises:
      UserError: a model without a directory, or a port that is taken.
    """
    for config in configs:
        if not Path(config.base_path).is_dir():
            raise UserError(f"{config.base_path}, of the model {config.name!r}, is no directory")
    metrics = Metrics()
    models = Models(configs, metrics.batch, report)
    await models.poll()
    server = make_server(models, metrics)
    runner = web.AppRunner(
        make_app(models, metrics, timeout_seconds), access_log=None, shutdown_timeout=_GRACE_SECONDS
    )
    await runner.setup()
    try:
        try:
            grpc_port = server.add_insecure_port(f"{host}:{ports.grpc}")
            await server.start()
            await web.TCPSite(runner, host, ports.rest).start()
        except (RuntimeError, OSError) as e:
            raise UserError(
                f"cannot listen on {host}, ports {ports.grpc} and {ports.rest}: {e}"
            ) from e
        watch = asyncio.create_task(models.watch())
        yield Ports(grpc_port, runner.addresses[0][1])
        watch.cancel()
    finally:
        await asyncio.gather(server.stop(_GRACE_SECONDS), runner.cleanup())
