"""A client of TF Serving: inputs of a policy go in, greedy actions and Q-values come out.

By gRPC or REST, without TensorFlow: the messages are those of `predict.proto`.
"""

import base64
from collections.abc import Callable

import grpc
import numpy as np
import requests

from agents.serving import predict_pb2

Answer = dict[str, np.ndarray]  # action int64 [B], q_values float32 [B, num_actions]
Ask = Callable[[str, str, np.ndarray], Answer]
_UINT8, _STRING = 4, 7  # tensorflow.DataType
_TIMEOUT_SECONDS = 30


def connect(address: str, model: str) -> Ask:
    """What asks a server about a model.

    Args:
      address: `http://HOST:PORT` for REST, `HOST:PORT` for gRPC.
      model: its name there.

    Returns:
      `ask(signature, name, tensor)`: the name is that of the signature's input, the tensor uint8,
      or bytes in an array of objects. Raises `requests.RequestException` or `grpc.RpcError`.
    """
    is_rest = address.startswith(("http://", "https://"))
    return (_rest if is_rest else _grpc)(address, model)


def _rest(address: str, model: str) -> Ask:
    session = requests.Session()
    url = f"{address.rstrip('/')}/v1/models/{model}:predict"

    def ask(signature: str, name: str, tensor: np.ndarray) -> Answer:
        values = tensor.tolist()
        if tensor.dtype == object:
            values = [{"b64": base64.b64encode(value).decode()} for value in values]
        body = {"signature_name": signature, "inputs": {name: values}}
        response = session.post(url, json=body, timeout=_TIMEOUT_SECONDS)
        if not response.ok:
            raise requests.HTTPError(response.text)
        try:
            outputs = response.json()["outputs"]
            q_values = np.array(outputs["q_values"], np.float32)
            return {"action": np.array(outputs["action"]), "q_values": q_values}
        except (KeyError, TypeError) as e:
            raise requests.RequestException("the answer has no actions and Q-values") from e

    return ask


def _grpc(address: str, model: str) -> Ask:
    call = grpc.insecure_channel(address).unary_unary(
        "/tensorflow.serving.PredictionService/Predict",
        predict_pb2.PredictRequest.SerializeToString,
        predict_pb2.PredictResponse.FromString,
    )

    def ask(signature: str, name: str, tensor: np.ndarray) -> Answer:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = model
        request.model_spec.signature_name = signature
        proto = request.inputs[name]
        for size in tensor.shape:
            proto.tensor_shape.dim.add(size=size)
        if tensor.dtype == object:
            proto.dtype = _STRING
            proto.string_val.extend(tensor)
        else:
            proto.dtype = _UINT8
            proto.tensor_content = tensor.tobytes()
        outputs = call(request, timeout=_TIMEOUT_SECONDS).outputs
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
    array = np.array(values, dtype)
    return array.reshape(shape) if array.size > 1 else np.broadcast_to(array, shape)
