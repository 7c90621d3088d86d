"""gRPC: TF Serving's PredictionService and ModelService on its own stubs."""

import time
from collections.abc import Callable

import grpc
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from agents.serving.metadata import metadata, model_status
from agents.serving.metrics import Metrics
from agents.serving.models import Models
from agents.serving.servable import DEFAULT
from agents.serving.status import RequestError, invalid
from agents.serving.tensors import MAX_BYTES, from_proto


def make_server(models: Models, metrics: Metrics) -> grpc.aio.Server:
    """A server without a port."""
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", MAX_BYTES),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # or a second server on the port would start without an error
        ]
    )
    predictions = _PredictionService(models, metrics)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(predictions, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_ModelService(models), server)
    return server


class _PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, models: Models, metrics: Metrics):
        self._models = models
        self._metrics = metrics

    async def Predict(  # noqa: N802
        self, request: predict_pb2.PredictRequest, context: grpc.aio.ServicerContext
    ) -> predict_pb2.PredictResponse:
        start = time.perf_counter()
        name = request.model_spec.name if request.model_spec.name in self._models else ""
        status = grpc.StatusCode.CANCELLED  # where the client leaves
        try:
            response = await self._predict(request)
            status = grpc.StatusCode.OK
            return response
        except RequestError as e:
            status = e.code
            return await context.abort(e.code, e.message)  # raises
        finally:
            self._metrics.request(name, "GRPC", status.name, time.perf_counter() - start)

    async def _predict(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        servable = self._models.find(request.model_spec)
        name = request.model_spec.signature_name or DEFAULT
        signature = servable.signature(name)
        wanted = list(request.output_filter) or sorted(signature.outputs)
        for index, key in enumerate(wanted):
            if key not in signature.outputs:
                there = ",".join(sorted(signature.outputs))
                raise invalid(
                    f"output tensor alias not found in signature: {key} Outputs expected to be in "
                    f"the set {{{there}}}."
                )
            if key in wanted[:index]:
                raise invalid(f"duplicate output tensor alias: {key}")
        inputs = {key: from_proto(key, value) for key, value in request.inputs.items()}
        outputs = await servable.predict(name, inputs)
        response = predict_pb2.PredictResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = servable.version
        response.model_spec.signature_name = name
        for key in wanted:
            response.outputs[key].CopyFrom(tf.make_tensor_proto(outputs[key]))
        return response

    async def GetModelMetadata(  # noqa: N802
        self,
        request: get_model_metadata_pb2.GetModelMetadataRequest,
        context: grpc.aio.ServicerContext,
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        return await _or_abort(context, lambda: metadata(self._models, request))


class _ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, models: Models):
        self._models = models

    async def GetModelStatus(  # noqa: N802
        self,
        request: get_model_status_pb2.GetModelStatusRequest,
        context: grpc.aio.ServicerContext,
    ) -> get_model_status_pb2.GetModelStatusResponse:
        return await _or_abort(context, lambda: model_status(self._models, request))


async def _or_abort(context: grpc.aio.ServicerContext, answer: Callable):
    try:
        return answer()
    except RequestError as e:
        return await context.abort(e.code, e.message)  # raises
