"""REST: TF Serving's HTTP interface, and Prometheus' metrics, on aiohttp.

POST /v1/models/NAME[/versions/V|/labels/L]:predict
GET  /v1/models/NAME[/versions/V|/labels/L][/metadata]
GET  /monitoring/prometheus/metrics
"""

import asyncio
import re
import time
from typing import Any
from urllib.parse import unquote

import grpc
from aiohttp import web
from google.protobuf import json_format
from google.protobuf.message import Message
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2

from agents.serving import json_tensors
from agents.serving.metadata import SIGNATURES, metadata, model_status
from agents.serving.metrics import Metrics
from agents.serving.models import Models
from agents.serving.servable import DEFAULT
from agents.serving.status import RequestError, invalid
from agents.serving.tensors import MAX_BYTES

_MODEL = r"(?i:/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?)"
_PREDICT = re.compile(_MODEL + "(?i::(classify|regress|predict))", re.ASCII)
_ASK = re.compile(_MODEL + "(?i:/(metadata))?", re.ASCII)

_HTTP = {  # of the codes that are not a server's own fault, 500
    "CANCELLED": 499,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


def make_app(models: Models, metrics: Metrics, timeout_seconds: float) -> web.Application:
    """The application; a request that takes longer than the timeout is answered with 504."""
    app = web.Application(client_max_size=MAX_BYTES)
    app.add_routes(
        [
            web.get("/monitoring/prometheus/metrics", _Metrics(metrics).get),
            web.route("*", "/v1/{path:.*}", _Rest(models, metrics, timeout_seconds).handle),
        ]
    )
    return app


class _Metrics:
    def __init__(self, metrics: Metrics):
        self._metrics = metrics

    async def get(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.page(), content_type="text/plain")


class _Rest:
    def __init__(self, models: Models, metrics: Metrics, timeout_seconds: float):
        self._models = models
        self._metrics = metrics
        self._timeout_seconds = timeout_seconds

    async def handle(self, request: web.Request) -> web.Response:
        try:
            content = await asyncio.wait_for(self._answer(request), self._timeout_seconds)
            return web.json_response(content)
        except RequestError as e:
            return _error(_HTTP.get(e.code.name, 500), e.message)
        except asyncio.TimeoutError:
            return _error(504, f"The request took longer than {self._timeout_seconds:g} s")
        except (ConnectionError, web.RequestPayloadError) as e:  # most often nobody hears it
            return _error(400, f"The body is not complete: {e}")
        except web.HTTPRequestEntityTooLarge:
            return _error(413, f"The body is larger than {MAX_BYTES} bytes")

    async def _answer(self, request: web.Request) -> Any:
        path = request.rel_url.raw_path
        if request.method == "GET" and (match := _ASK.fullmatch(path)):
            *model, what = match.groups()
            return self._ask(_spec(*model), what)
        if request.method == "POST" and (match := _PREDICT.fullmatch(path)):
            *model, method = match.groups()
            if method.lower() != "predict":
                raise RequestError(
                    grpc.StatusCode.UNIMPLEMENTED, f"{method} is not supported: predict is"
                )
            return await self._measured_predict(_spec(*model), request)
        raise invalid(f"Malformed request: {request.method} {path}")

    def _ask(self, spec: model_pb2.ModelSpec, what: str | None) -> dict[str, Any]:
        if what is None:
            asked = get_model_status_pb2.GetModelStatusRequest(model_spec=spec)
            return _plain(model_status(self._models, asked))
        asked = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=spec, metadata_field=[SIGNATURES]
        )
        response = metadata(self._models, asked)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata[SIGNATURES].Unpack(signatures)
        return {
            "model_spec": _plain(response.model_spec),
            "metadata": {SIGNATURES: _plain(signatures)},
        }

    async def _measured_predict(
        self, spec: model_pb2.ModelSpec, request: web.Request
    ) -> dict[str, Any]:
        start, status = time.perf_counter(), grpc.StatusCode.CANCELLED
        try:
            answer = await self._predict(spec, request)
            status = grpc.StatusCode.OK
            return answer
        except RequestError as e:
            status = e.code
            raise
        finally:
            name = spec.name if spec.name in self._models else ""
            self._metrics.request(name, "REST", status.name, time.perf_counter() - start)

    async def _predict(self, spec: model_pb2.ModelSpec, request: web.Request) -> dict[str, Any]:
        length = request.content_length or 0  # without a length, reading stops at the limit
        if length > MAX_BYTES:
            raise web.HTTPRequestEntityTooLarge(MAX_BYTES, length)
        document = await asyncio.to_thread(json_tensors.parse, await request.read())
        servable = self._models.find(spec)
        signature = servable.signatures.get(document.signature or DEFAULT)
        if signature is None:
            name = document.signature or DEFAULT
            raise invalid(f'Serving signature name: "{name}" not found in signature def')
        inputs = await asyncio.to_thread(json_tensors.inputs, document, signature.inputs)
        outputs = await servable.predict(document.signature, inputs)
        return json_tensors.answer(outputs, document.is_rows)


def _spec(name: str, version: str | None, label: str | None) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=unquote(name))
    if version:
        if len(version) > len(str(2**63)) or int(version) >= 2**63:
            raise invalid(f"Failed to convert version: {version} to numeric.")
        spec.version.value = int(version)
    if label:
        spec.version_label = unquote(label)
    return spec


def _plain(message: Message) -> dict[str, Any]:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, including_default_value_fields=True
    )


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
