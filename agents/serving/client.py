"""A client of TF Serving: observations go in, greedy actions and Q-values come out.

By gRPC or REST, without TensorFlow: the messages are those of `predict.proto`.
"""

import base64
from collections.abc import Callable

import grpc
import numpy as np
import requests

from agents.serving import predict_pb2

Answer = dict[str, np.ndarray]  # action int64 [B], q_values float32 [B, num_actions]
_UINT8 = 4  # tensorflow.DataType


def client(address: str, model: str) -> Callable[[np.ndarray], Answer]:
    """What asks a server about uint8 [B, 84, 84, 4].

    Args:
      address: `http://HOST:PORT` for REST; `HOST:PORT` for gRPC.
      model: its name there.

    Returns:
      A function that raises `requests.RequestException` or `grpc.RpcError`.
    """
    if address.startswith(("http://", "https://")):
        return _rest(f"{address.rstrip('/')}/v1/models/{model}:predict")
    return _grpc(address, model)


def _rest(url: str) -> Callable[[np.ndarray], Answer]:
    session = requests.Session()

    def ask(observation: np.ndarray) -> Answer:
        rows = [{"b64": base64.b64encode(row.tobytes()).decode()} for row in observation]
        body = {"signature_name": "serving_bytes", "inputs": rows}
        response = session.post(url, json=body, timeout=30)
        if not response.ok:
            raise requests.HTTPError(response.text)
        outputs = response.json()["outputs"]
        q_values = np.array(outputs["q_values"], np.float32)
        return {"action": np.array(outputs["action"]), "q_values": q_values}

    return ask


def _grpc(address: str, model: str) -> Callable[[np.ndarray], Answer]:
    call = grpc.insecure_channel(address).unary_unary(
        "/tensorflow.serving.PredictionService/Predict",
        predict_pb2.PredictRequest.SerializeToString,
        predict_pb2.PredictResponse.FromString,
    )

    def ask(observation: np.ndarray) -> Answer:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = model
        tensor = request.inputs["observation"]
        tensor.dtype = _UINT8
        for size in observation.shape:
            tensor.tensor_shape.dim.add(size=size)
        tensor.tensor_content = observation.tobytes()
        outputs = call(request, timeout=30).outputs
        return {
            "action": _array(outputs["action"], outputs["action"].int64_val, np.int64),
            "q_values": _array(outputs["q_values"], outputs["q_values"].float_val, np.float32),
        }

    return ask


def _array(tensor: predict_pb2.Tensor, values, dtype) -> np.ndarray:
    """A server may send bytes or values; one value may stand for many that are equal."""
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.tensor_content:
        return np.frombuffer(tensor.tensor_content, dtype).reshape(shape)
    array = np.empty(shape, dtype)
    array.flat = np.array(values, dtype)
    return array
