"""TF Serving's JSON becomes arrays and back, and its errors are TF Serving's."""

import base64
import contextlib
import json

import grpc
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from agents.serving import json_tensors
from agents.serving.status import RequestError


def infos(**dtypes):
    return {name: meta_graph_pb2.TensorInfo(dtype=dtype) for name, dtype in dtypes.items()}


X = infos(x=types_pb2.DT_UINT8)
STRING = infos(x=types_pb2.DT_STRING)
FLOAT = infos(x=types_pb2.DT_FLOAT)
TWO = infos(a=types_pb2.DT_UINT8, b=types_pb2.DT_STRING)


def read(document, signature_infos):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return json_tensors.inputs(json_tensors.parse(body), signature_infos)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"instances": [[1, 2], [3, 4]]}, [[1, 2], [3, 4]]),
        ({"instances": [{"x": [1, 2]}, {"x": [3, 4]}]}, [[1, 2], [3, 4]]),
        ({"instances": [5]}, [5]),
        ({"instances": [[]]}, [[]]),
        ({"inputs": [[1, 2], [3, 4]]}, [[1, 2], [3, 4]]),
        ({"inputs": {"x": [[1, 2], [3, 4]]}}, [[1, 2], [3, 4]]),
        ({"inputs": 255}, 255),
        ({"inputs": []}, []),
    ],
)
def test_rows_and_columns(document, expected):
    x = read(document, X)["x"]
    assert x.dtype == np.uint8
    np.testing.assert_array_equal(x, expected)
    assert x.shape == np.shape(expected)


def test_strings_and_base64():
    b64 = base64.b64encode(b"\0\xff").decode()
    for document in ({"instances": [{"b64": b64}, "ä"]}, {"inputs": [{"b64": b64}, "ä"]}):
        assert read(document, STRING)["x"].tolist() == [b"\0\xff", "ä".encode()]
    assert read({"inputs": {"b64": b64}}, STRING)["x"].tolist() == b"\0\xff"


def test_several_inputs():
    rows = {"instances": [{"a": [1], "b": "x"}, {"a": [2], "b": {"b64": "eQ=="}}]}
    columns = {"inputs": {"a": [[1], [2]], "b": ["x", "y"]}}
    for document in (rows, columns):
        tensors = read(document, TWO)
        assert tensors["a"].tolist() == [[1], [2]]
        assert tensors["b"].tolist() == [b"x", b"y"]


FAILED = "Failed to process element: {} of 'instances' list. Error: INVALID_ARGUMENT: "


@pytest.mark.parametrize(
    ("document", "signature_infos", "message"),
    [
        (b"", X, "JSON Parse error: The document is empty"),
        (b'{"instances": [', X, "JSON Parse error: Invalid value. at offset: 15"),
        (b"\xff", X, "JSON Parse error: "),
        (b"[" * 100_000, X, "JSON Parse error: "),
        (b'{"inputs": ' + b"[" * 900 + b"]" * 900 + b"}", X, "JSON Value: "),
        (b'{"inputs": 1' + b"0" * 5000 + b"}", X, "JSON Parse error: "),
        ([1], X, "JSON Value: [1] Is not object"),
        ({}, X, "Missing 'inputs' or 'instances' key"),
        ({"signature_name": 1}, X, "'signature_name' key must be a string value."),
        ({"inputs": 1, "instances": [1]}, X, "only one of 'inputs' or 'instances' keys to exist"),
        ({"instances": 1}, X, "Excepting 'instances' to be an list/array"),
        ({"instances": []}, X, "No values in 'instances' array"),
        (
            {"instances": [1, "y"]},
            X,
            FAILED.format(1) + 'JSON Value: "y" Type: String is not of expected type: uint8',
        ),
        ({"instances": [256]}, X, "JSON Value: 256 Type: Number is not of expected type: uint8"),
        ({"inputs": [-1]}, X, "JSON Value: -1 Type: Number is not of expected type: uint8"),
        ({"inputs": [1.5]}, X, "JSON Value: 1.5 Type: Number is not of expected type: uint8"),
        ({"inputs": [None]}, X, "JSON Value: null Type: Null is not of expected type: uint8"),
        ({"inputs": [True]}, X, "JSON Value: true Type: True is not of expected type: uint8"),
        ({"inputs": [{"b64": "eA=="}]}, X, "Type: Object is not of expected type: uint8"),
        ({"inputs": [[1, 2], [3]]}, X, "list at unexpected size: 1 at level: 1 expected size: 2"),
        ({"inputs": [1, [2]]}, X, "Encountered list at unexpected level: 1 expected < 1"),
        ({"inputs": [[1], 2]}, X, "found at incorrect level: 2 in the JSON DOM. Expected at"),
        ({"instances": [[1], [2, 3]]}, X, FAILED.format(1) + "Expecting tensor size: 1 but got: 2"),
        ({"instances": [[1], [[2]]]}, X, "Expecting shape [1] but got: [1, 1]"),
        ({"instances": [{"x": 1}, 2]}, X, "Expecting object but got list at item 1 of input list"),
        ({"instances": [1, {"x": 2}]}, X, "Expecting value/list but got object at item 1 of"),
        ({"instances": [{"y": 1}]}, X, "keys must be equal to: x"),
        ({"inputs": {"y": 1}}, X, "Missing named input: x in 'inputs' object."),
        ({"instances": [1]}, TWO, "instances is a plain list, but expecting list of objects"),
        ({"inputs": [1]}, TWO, "inputs is a plain value/list, but expecting an object"),
        ({"inputs": [{"b64": "!"}]}, STRING, "Unable to base64 decode"),
        ({"inputs": [{"x64": ""}]}, STRING, "not formatted correctly for base64 data"),
        ({"inputs": [1]}, STRING, "JSON Value: 1 Type: Number is not of expected type: string"),
        ({"inputs": ["1"]}, FLOAT, 'JSON Value: "1" Type: String is not of expected type: float'),
        ({"inputs": [10**400]}, FLOAT, "JSON Value: "),
    ],
)
def test_bad_requests_have_tf_servings_words(document, signature_infos, message):
    with pytest.raises(RequestError) as caught:
        read(document, signature_infos)
    assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT
    assert message in caught.value.message
    assert len(caught.value.message) < 500


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(RequestError) as caught:
        json_tensors.parse(json.dumps([0] * 10_000).encode())
    assert len(caught.value.message) < 300


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["x", "b64", "a", "y"]), inner, max_size=2)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(JSON, st.sampled_from(["instances", "inputs"]), st.sampled_from([X, STRING, FLOAT, TWO]))
def test_any_json_is_read_or_refused(value, key, signature_infos):
    with contextlib.suppress(RequestError):
        tensors = read({key: value}, signature_infos)
        types = {name: tf.dtypes.as_dtype(tensor.dtype) for name, tensor in tensors.items()}
        assert types == {name: info.dtype for name, info in signature_infos.items()}


@settings(deadline=None)
@given(st.binary(max_size=50))
def test_any_bytes_are_read_or_refused(body):
    with contextlib.suppress(RequestError):
        json_tensors.parse(body)


@settings(deadline=None)
@given(st_numpy.arrays(np.uint8, st_numpy.array_shapes(max_dims=4, max_side=4)))
def test_numbers_survive(array):
    np.testing.assert_array_equal(read({"inputs": array.tolist()}, X)["x"], array)
    np.testing.assert_array_equal(read({"instances": array.tolist()}, X)["x"], array)


@settings(deadline=None)
@given(st_numpy.arrays(np.float32, (2, 3)))
def test_answers_are_read_back_as_they_were(q_values):
    outputs = {"q_values": q_values, "action": np.array([1, 2])}
    rows = json.loads(json.dumps(json_tensors.answer(outputs, is_rows=True)))["predictions"]
    columns = json.loads(json.dumps(json_tensors.answer(outputs, is_rows=False)))["outputs"]
    assert [row["action"] for row in rows] == columns["action"] == [1, 2]
    for read_back in ([row["q_values"] for row in rows], columns["q_values"]):
        np.testing.assert_array_equal(np.array(read_back, np.float32), q_values)


def test_a_lone_output_has_no_name():
    outputs = {"y": np.array([1, 2])}
    assert json_tensors.answer(outputs, is_rows=True) == {"predictions": [1, 2]}
    assert json_tensors.answer(outputs, is_rows=False) == {"outputs": [1, 2]}


@pytest.mark.parametrize("outputs", [{"y": np.array(1)}, {"a": np.ones(1), "b": np.ones(2)}])
def test_outputs_without_rows_are_refused_as_rows(outputs):
    with pytest.raises(RequestError, match="no batch size in common"):
        json_tensors.answer(outputs, is_rows=True)
