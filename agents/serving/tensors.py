"""Tensors of a request: protocol buffers go in, NumPy arrays that fit a signature come out."""

import math
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from agents.serving.status import invalid

MAX_BYTES = 64 * 2**20  # of a request, and of a tensor in it
_REFERENCE_BYTES = 8  # to a string, in an array


def type_name(dtype: int) -> str:
    """As TensorFlow's C++ calls it: uint8, float."""
    name = str(tf.dtypes.as_dtype(dtype).name)
    return {"float32": "float", "float64": "double"}.get(name, name)


def from_proto(name: str, proto: tensor_pb2.TensorProto) -> np.ndarray:
    """The array of a tensor; strings are objects of type bytes.

    Raises:
      RequestError: its content does not fit its type and shape. One value may stand for a tensor
        of any size, so the size is limited, with that of strings as if each were the longest.
    """
    shape = [dim.size for dim in proto.tensor_shape.dim]
    try:
        item_bytes = tf.dtypes.as_dtype(proto.dtype).size  # 0 of strings
        item_bytes = item_bytes or _REFERENCE_BYTES + max(map(len, proto.string_val), default=0)
        if min(shape, default=0) < 0 or math.prod(shape) * item_bytes > MAX_BYTES:
            raise ValueError(f"shape {shape}")
        return np.reshape(tf.make_ndarray(proto), shape)
    except (ValueError, TypeError, OverflowError) as e:
        raise invalid(f"tensor parsing error: {name}") from e


def check_inputs(signature: meta_graph_pb2.SignatureDef, inputs: Mapping[str, np.ndarray]) -> None:
    """Compares names, types and shapes.

    Raises:
      RequestError: they are not the signature's.
    """
    sent, wanted = sorted(inputs), sorted(signature.inputs)
    if len(sent) != len(wanted):
        extra, missing = sorted({*sent} - {*wanted}), sorted({*wanted} - {*sent})
        raise invalid(
            f"input size does not match signature: {len(sent)}!={len(wanted)} "
            f"len({{{','.join(sent)}}}) != len({{{','.join(wanted)}}}). Sent extra: "
            f"{{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}."
        )
    for index, key in enumerate(wanted):
        info = signature.inputs[key]
        if key not in inputs:
            raise invalid(
                f"Signature input alias: {key}(feed name: {info.name}) not found in request and no "
                f"default value provided. Inputs expected to be in the request {{{','.join(sent)}}}"
                ", or default input alias set: "
            )
        dtype = tf.dtypes.as_dtype(info.dtype)
        sent_dtype = tf.dtypes.as_dtype(inputs[key].dtype)
        if sent_dtype != dtype:
            raise invalid(
                f"Expects arg[{index}] to be {type_name(info.dtype)} but "
                f"{type_name(sent_dtype.as_datatype_enum)} is provided"
            )
        sizes = [None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim]
        if not tf.TensorShape(sizes).is_compatible_with(inputs[key].shape):
            expected = ",".join("?" if size is None else str(size) for size in sizes)
            raise invalid(
                f"Shape of tensor {info.name.partition(':')[0]} "
                f"[{','.join(map(str, inputs[key].shape))}] is not compatible with expected shape "
                f"[{expected}]."
            )
