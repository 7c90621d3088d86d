"""In: exported versions. Out: a server of them in a thread, with clients' stubs and requests."""

import asyncio
import concurrent.futures
import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import requests
import tensorflow as tf
from tensorflow_serving.apis import (
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from agents.serving.server import ModelConfig, Ports, running

FREE = Ports(0, 0)


class Served:
    """A running server and a client of each kind."""

    def __init__(self, ports: Ports, reports: list[str]):
        self.ports = ports
        self.reports = reports
        self.channel = grpc.insecure_channel(f"127.0.0.1:{ports.grpc}")
        self.predictions = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)
        self.url = f"http://127.0.0.1:{ports.rest}"

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, timeout=60)

    def post(self, path: str, body) -> requests.Response:
        return requests.post(self.url + path, **body, timeout=60)


@contextlib.contextmanager
def served(
    *configs: ModelConfig, ports: Ports = FREE, timeout_seconds: float = 60
) -> Iterator[Served]:
    """Runs a server in a thread of its own."""
    started: concurrent.futures.Future = concurrent.futures.Future()
    reports: list[str] = []

    async def main() -> None:
        try:
            async with running(
                configs,
                host="127.0.0.1",
                ports=ports,
                report=reports.append,
                timeout_seconds=timeout_seconds,
            ) as listening:
                stopped = asyncio.Event()
                stop = asyncio.get_running_loop().call_soon_threadsafe
                started.set_result((listening, lambda: stop(stopped.set)))
                await stopped.wait()
        except BaseException as e:
            started.set_exception(e)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        listening, stop = started.result()
    except BaseException:
        thread.join()
        raise
    served = Served(listening, reports)
    try:
        yield served
    finally:
        served.channel.close()
        stop()
        thread.join()


def config(base_path: Path, **options) -> ModelConfig:
    return ModelConfig(name="policy", base_path=str(base_path), **options)


def add_version(exported: Path, base_path: Path, version: int) -> None:
    """Lays a copy of a version, as an export does it: under its number it is whole."""
    aside = shutil.copytree(exported, base_path / f".{version}.partial")
    aside.rename(base_path / str(version))


def request(signature: str = "", **inputs) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "policy"
    request.model_spec.signature_name = signature
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return request


def arrays(response: predict_pb2.PredictResponse) -> dict[str, np.ndarray]:
    return {key: tf.make_ndarray(value) for key, value in response.outputs.items()}


def wait_until(condition: Callable[[], bool]) -> None:
    """Waits, but not for ever."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
