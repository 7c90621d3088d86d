"""The development server: TF Serving's interface, by gRPC and REST, over exported versions."""

import asyncio
import collections
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from aiohttp import web
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from agents.errors import UserError
from agents.ports import obstacle
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
      UserError: it cannot be read, names no model, or names two alike.
    """
    config = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(path.read_text(), config)
    except (OSError, ValueError, text_format.ParseError) as e:
        raise UserError(f"cannot read {path}: {e}") from e
    if not config.model_config_list.config:
        raise UserError(f"{path} names no model: add a model_config_list with a config")
    configs = list(config.model_config_list.config)
    for name, configs_of_name in collections.Counter(c.name for c in configs).items():
        if configs_of_name > 1:
            raise UserError(f"{path} has {configs_of_name} models of the name {name!r}: rename one")
    return configs


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
      UserError: a model without a directory of versions, or a port that is taken.
    """
    for config in configs:
        path = Path(config.base_path)
        if not path.is_dir():
            raise UserError(f"{path}, of the model {config.name!r}, is no directory")
        if (path / "saved_model.pb").exists():
            raise UserError(f"{path} is one version: name the directory of versions, {path.parent}")
    for port in ports:  # before anything is loaded
        if reason := obstacle(host, port):
            raise UserError(
                f"cannot listen on {host}, port {port} ({reason}): choose another, or 0 for any"
            )
    metrics = Metrics()
    models = Models(configs, metrics.batch, report)
    await models.poll()
    for config in configs:
        if not models.has_versions(config.name):
            report(f"{config.name}: {config.base_path} has no version that can be served yet")
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
