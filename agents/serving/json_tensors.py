"""TF Serving's JSON: a request's body goes in, arrays come out, and the other way for an answer.

    {"signature_name": ..., "instances": [row, ...]} -> {"predictions": [row, ...]}
    {"signature_name": ..., "inputs": columns}       -> {"outputs": columns}

A row or column is a value where there is one tensor, an object of named ones where there are more;
{"b64": "..."} is a string of bytes.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from agents.serving.batching import Tensors
from agents.serving.status import RequestError, invalid
from agents.serving.tensors import type_name

Infos = Mapping[str, meta_graph_pb2.TensorInfo]


class Document(NamedTuple):
    """A parsed body."""

    signature: str
    content: Any
    is_rows: bool


def parse(body: bytes) -> Document:
    """Reads a request's body.

    Raises:
      RequestError: it is not JSON, or not a request.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        document = json.loads(body)
    except json.JSONDecodeError as e:
        raise invalid(f"JSON Parse error: Invalid value. at offset: {e.pos}") from e
    except (ValueError, RecursionError) as e:  # not UTF-8, a number too long, nested too deeply
        raise invalid(f"JSON Parse error: {e}") from e
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {_short(document)} Is not object")
    signature = document.get("signature_name", "")
    if not isinstance(signature, str):
        raise invalid(
            f"JSON Value: {_short(document)} not formatted correctly. 'signature_name' key must be "
            "a string value."
        )
    if "instances" in document and "inputs" in document:
        raise invalid(
            f"JSON Value: {_short(document)} Not formatted correctly expecting only one of "
            "'inputs' or 'instances' keys to exist "
        )
    if "inputs" in document:
        return Document(signature, document["inputs"], is_rows=False)
    if "instances" not in document:
        raise invalid("Missing 'inputs' or 'instances' key")
    rows = document["instances"]
    if not isinstance(rows, list):
        raise invalid(f"JSON Value: {_short(document)} Excepting 'instances' to be an list/array")
    if not rows:
        raise invalid(f"JSON Value: {_short(document)} No values in 'instances' array")
    return Document(signature, rows, is_rows=True)


def inputs(document: Document, infos: Infos) -> Tensors:
    """The tensors of a request, by the names of the signature's inputs.

    Raises:
      RequestError: a name, type or shape does not fit.
    """
    try:
        return (_of_rows if document.is_rows else _of_columns)(document.content, infos)
    except (ValueError, OverflowError, RecursionError) as e:  # nothing that an array can hold
        raise invalid(f"JSON Value: {e}") from e


def _of_columns(value: Any, infos: Infos) -> Tensors:
    if isinstance(value, dict) and not _is_base64(value):
        for name in infos:
            if name not in value:
                raise invalid(f"Missing named input: {name} in 'inputs' object.")
        return {name: _tensor(value[name], info.dtype) for name, info in infos.items()}
    if len(infos) > 1:
        raise invalid(
            "inputs is a plain value/list, but expecting an object as multiple input tensors "
            "required as per tensorinfo_map"
        )
    return {name: _tensor(value, info.dtype) for name, info in infos.items()}


def _of_rows(rows: list[Any], infos: Infos) -> Tensors:
    are_objects = isinstance(rows[0], dict) and not _is_base64(rows[0])
    if not are_objects and len(infos) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map"
        )
    for index, row in enumerate(rows):
        if (isinstance(row, dict) and not _is_base64(row)) != are_objects:
            wanted, got = ("object", "list") if are_objects else ("value/list", "object")
            raise invalid(f"Expecting {wanted} but got {got} at item {index} of input list")
        if are_objects and row.keys() != infos.keys():
            raise invalid(
                f"Failed to process element: {index} of 'instances' list. JSON object: "
                f"{_short(row)} keys must be equal to: {','.join(sorted(infos))}"
            )
    if are_objects:
        return {
            name: _stack([row[name] for row in rows], info.dtype, f" key: {name}")
            for name, info in infos.items()
        }
    return {name: _stack(rows, info.dtype, "") for name, info in infos.items()}


def _stack(rows: list[Any], dtype: int, key: str) -> np.ndarray:
    arrays: list[np.ndarray] = []
    for index, row in enumerate(rows):
        try:
            arrays.append(_tensor(row, dtype))
            first, last = arrays[0], arrays[-1]
            if last.size != first.size:
                raise invalid(f"Expecting tensor size: {first.size} but got: {last.size}")
            if last.shape != first.shape:
                raise invalid(f"Expecting shape {[*first.shape]} but got: {[*last.shape]}")
        except RequestError as e:
            raise invalid(
                f"Failed to process element: {index}{key} of 'instances' list. Error: "
                f"INVALID_ARGUMENT: {e.message}"
            ) from e
    return np.stack(arrays)


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def _tensor(value: Any, dtype: int) -> np.ndarray:
    kind = tf.dtypes.as_dtype(dtype)
    if kind.is_integer:  # in one go; where this fails, one by one, to say what is wrong
        try:
            array = np.array(value)
            limits = np.iinfo(kind.as_numpy_dtype)
            if array.dtype.kind == "i" and limits.min <= array.min() and array.max() <= limits.max:
                return array.astype(kind.as_numpy_dtype)
        except ValueError:
            pass
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    leaves: list[Any] = []
    _collect(value, shape, 0, dtype, leaves)
    as_numpy = object if kind == tf.string else kind.as_numpy_dtype
    return np.array(leaves, as_numpy).reshape(shape)


def _collect(value: Any, shape: list[int], level: int, dtype: int, leaves: list[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid(
                f"JSON Value: {_short(value)} found at incorrect level: {level + 1} in the JSON "
                f"DOM. Expected at level: {len(shape)}"
            )
        leaves.append(_leaf(value, dtype))
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: "
            f"{shape[level]}"
        )
    for item in value:
        _collect(item, shape, level + 1, dtype, leaves)


def _leaf(value: Any, dtype: int) -> Any:
    kind = tf.dtypes.as_dtype(dtype)
    if kind == tf.string:
        if _is_base64(value):
            try:
                return base64.b64decode(value["b64"], validate=True)
            except ValueError as e:
                raise invalid("Unable to base64 decode") from e
        if isinstance(value, dict):
            raise invalid(f"JSON Value: {_short(value)} not formatted correctly for base64 data")
        if isinstance(value, str):
            return value.encode(errors="surrogatepass")
    elif kind.is_bool:
        if isinstance(value, bool):
            return value
    elif kind.is_floating:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
    elif isinstance(value, int) and not isinstance(value, bool) and kind.min <= value <= kind.max:
        return value
    raise invalid(
        f"JSON Value: {_short(value)} Type: {_json_type(value)} is not of expected type: "
        f"{type_name(dtype)}"
    )


def _json_type(value: Any) -> str:
    if isinstance(value, bool):
        return str(value)
    names = {dict: "Object", list: "Array", str: "String", type(None): "Null"}
    return names.get(type(value), "Number")


def _short(value: Any) -> str:
    """As JSON, cut where it is long."""
    try:
        text = json.dumps(value)
    except RecursionError:
        return "..."
    return text if len(text) <= 200 else f"{text[:200]}..."


def answer(outputs: Tensors, is_rows: bool) -> dict[str, Any]:
    """The answer's content, for `json.dumps`.

    Raises:
      RequestError: the outputs have no rows.
    """
    columns = {name: _plain(value) for name, value in sorted(outputs.items())}
    if not is_rows:
        return {"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}
    sizes = {value.shape[:1] for value in outputs.values()}
    if sizes == {()} or len(sizes) > 1:
        raise invalid("The outputs have no batch size in common: send columns")
    rows = zip(*columns.values(), strict=True)
    if len(columns) == 1:
        return {"predictions": [row for (row,) in rows]}
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}


def _plain(array: np.ndarray) -> Any:
    """Nested lists; a float32 as the shortest number that is read back as the same."""
    if array.dtype == np.float32:
        array = np.array([float(str(value)) for value in array.flat]).reshape(array.shape)
    return array.tolist()
