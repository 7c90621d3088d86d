"""gRPC and REST give the golden answers, and TF Serving's errors; the next request is answered."""

import base64
import json

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

from agents.serving import golden
from agents.serving.tensors import MAX_BYTES
from tests import serving

PREDICT = "/v1/models/policy:predict"
ZEROS = np.zeros((1, 84, 84, 4), np.uint8)


@pytest.fixture(scope="module")
def server(exported, tmp_path_factory):
    base_path = tmp_path_factory.mktemp("policy")
    serving.add_version(exported, base_path, 1)
    serving.add_version(exported, base_path, 2)
    config = serving.config(
        base_path,
        model_version_policy={"all": {}},
        version_labels={"stable": 1, "gone": 7},
    )
    with serving.served(config) as server:
        yield server


@pytest.fixture(scope="module")
def cases(exported):
    return list(golden.cases(exported))


@pytest.fixture
def still_serves(server, cases):
    """After the test, both fronts give a golden answer."""
    yield
    case = cases[0]
    response = server.predictions.Predict(serving.request(case.signature, **case.inputs))
    case.check(serving.arrays(response))
    rows = {"instances": case.inputs["observation"][:1].tolist()}
    assert server.post(PREDICT, {"json": rows}).ok


def test_grpc_gives_the_golden_answers(server, cases):
    for case in cases:
        response = server.predictions.Predict(serving.request(case.signature, **case.inputs))
        case.check(serving.arrays(response))
        spec = response.model_spec
        assert (spec.name, spec.version.value, spec.signature_name) == ("policy", 2, case.signature)


def test_rest_gives_the_golden_answers_by_rows_and_columns(server, cases):
    for case in cases[:2]:  # a row of frames has 800,000 numbers: not for JSON
        ((name, tensor),) = case.inputs.items()
        values = tensor.tolist()
        if tensor.dtype == object:
            values = [{"b64": base64.b64encode(row).decode()} for row in tensor]
        signature = {"signature_name": case.signature}
        for instances in (values, [{name: value} for value in values]):
            answer = server.post(PREDICT, {"json": signature | {"instances": instances}}).json()
            columns = zip(*(row.values() for row in answer["predictions"]), strict=True)
            case.check(dict(zip(answer["predictions"][0], columns, strict=True)))
        answer = server.post(PREDICT, {"json": signature | {"inputs": values}}).json()
        case.check(answer["outputs"])


def test_versions_and_labels(server):
    request = serving.request(observation=ZEROS)
    request.model_spec.version.value = 1
    assert server.predictions.Predict(request).model_spec.version.value == 1
    request.model_spec.version_label = "stable"
    assert server.predictions.Predict(request).model_spec.version.value == 1
    for path in ("versions/1", "labels/stable"):
        assert server.post(
            f"/v1/models/policy/{path}:predict", {"json": {"inputs": ZEROS.tolist()}}
        ).ok


def test_an_output_filter_chooses_outputs(server):
    request = serving.request(observation=ZEROS)
    request.output_filter.append("action")
    assert server.predictions.Predict(request).outputs.keys() == {"action"}


def test_metadata(server):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "policy"
    response = server.predictions.GetModelMetadata(request)
    assert response.model_spec.version.value == 2
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert signatures.signature_def.keys() == {"serving_default", "serving_bytes", "frames"}
    info = signatures.signature_def["serving_default"].inputs["observation"]
    assert [dim.size for dim in info.tensor_shape.dim] == [-1, 84, 84, 4]
    by_rest = server.get("/v1/models/policy/versions/1/metadata").json()
    assert by_rest["model_spec"] == {"name": "policy", "signature_name": "", "version": "1"}
    signature = by_rest["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["observation"]["dtype"] == "DT_UINT8"
    assert signature["method_name"] == "tensorflow/serving/predict"


def test_status(server):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "policy"
    statuses = server.models.GetModelStatus(request).model_version_status
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert [(status.version, status.state) for status in statuses] == [
        (2, available),
        (1, available),
    ]
    ok = {"error_code": "OK", "error_message": ""}
    assert server.get("/v1/models/policy/labels/stable").json() == {
        "model_version_status": [{"version": "1", "state": "AVAILABLE", "status": ok}]
    }
    assert len(server.get("/v1/models/policy").json()["model_version_status"]) == 2


def test_metrics(server):
    def count(status):
        page = server.get("/monitoring/prometheus/metrics")
        assert page.headers["Content-Type"].startswith("text/plain")
        name = ":tensorflow:serving:request_count_total"
        line = f'{name}{{model_name="policy",status="{status}"}} '
        found = [it for it in page.text.splitlines() if it.startswith(line)]
        return float(found[0].removeprefix(line)) if found else 0

    ok, invalid = count("OK"), count("INVALID_ARGUMENT")
    server.predictions.Predict(serving.request(observation=ZEROS))
    server.post(PREDICT, {"json": {"inputs": ZEROS.tolist()}})
    server.post(PREDICT, {"json": {"inputs": 1}})
    assert (count("OK"), count("INVALID_ARGUMENT")) == (ok + 2, invalid + 1)
    for model in ("a", "b"):  # a name from outside makes no series of its own
        server.post(f"/v1/models/{model}:predict", {"json": {"inputs": 1}})
    assert 'model_name="a"' not in server.get("/monitoring/prometheus/metrics").text


def with_spec(request, **fields):
    for name, value in fields.items():
        setattr(request.model_spec, name, value)
    return request


def specific(version):
    request = serving.request(observation=ZEROS)
    request.model_spec.version.value = version
    return request


def filtered(*names):
    request = serving.request(observation=ZEROS)
    request.output_filter.extend(names)
    return request


def parsed_wrongly(**fields):
    request = serving.request(observation=ZEROS)
    tensor = request.inputs["observation"]
    tensor.Clear()
    tensor.dtype = (tf.string if "strings" in fields else tf.uint8).as_datatype_enum
    for size in fields["shape"]:
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = fields.get("content", b"")
    tensor.int_val.extend(fields.get("values", []))
    tensor.string_val.extend(fields.get("strings", []))
    return request


@pytest.mark.usefixtures("still_serves")
@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (predict_pb2.PredictRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (
            serving.request(observation=np.zeros((1, 90, 90, 4), np.uint8)),
            "INVALID_ARGUMENT",
            "Shape of tensor serving_default_observation [1,90,90,4] is not compatible with "
            "expected shape [?,84,84,4].",
        ),
        (
            serving.request(observation=ZEROS.astype(np.float32)),
            "INVALID_ARGUMENT",
            "Expects arg[0] to be uint8 but float is provided",
        ),
        (
            serving.request(observations=ZEROS),
            "INVALID_ARGUMENT",
            "Signature input alias: observation(feed name: serving_default_observation:0) not "
            "found in request and no default value provided. Inputs expected to be in the request "
            "{observations}, or default input alias set: ",
        ),
        (
            serving.request(observation=ZEROS, more=ZEROS),
            "INVALID_ARGUMENT",
            "input size does not match signature: 2!=1 len({more,observation}) != "
            "len({observation}). Sent extra: {more}. Missing but required: {}.",
        ),
        (
            serving.request("wrong", observation=ZEROS),
            "FAILED_PRECONDITION",
            'Serving signature key "wrong" not found.',
        ),
        (
            with_spec(serving.request(observation=ZEROS), name="pong"),
            "NOT_FOUND",
            "Servable not found for request: Latest(pong)",
        ),
        (specific(7), "NOT_FOUND", "Servable not found for request: Specific(policy, 7)"),
        (
            with_spec(serving.request(observation=ZEROS), version_label="new"),
            "INVALID_ARGUMENT",
            "Unrecognized servable version label: new",
        ),
        (
            filtered("value"),
            "INVALID_ARGUMENT",
            "output tensor alias not found in signature: value Outputs expected to be in the set "
            "{action,q_values}.",
        ),
        (filtered("action", "action"), "INVALID_ARGUMENT", "duplicate output tensor alias: action"),
        (
            parsed_wrongly(shape=[1, 84, 84, 4], content=b"123"),
            "INVALID_ARGUMENT",
            "tensor parsing error: observation",
        ),
        (
            parsed_wrongly(shape=[10**6, 84, 84, 4], values=[1]),  # 28 GB
            "INVALID_ARGUMENT",
            "tensor parsing error: observation",
        ),
        (
            parsed_wrongly(shape=[10**6], strings=[bytes(28_224)]),  # as much
            "INVALID_ARGUMENT",
            "tensor parsing error: observation",
        ),
        (
            parsed_wrongly(shape=[2**60], strings=[b""]),
            "INVALID_ARGUMENT",
            "tensor parsing error: observation",
        ),
        (
            parsed_wrongly(shape=[-1, 84, 84, 4]),
            "INVALID_ARGUMENT",
            "tensor parsing error: observation",
        ),
        (
            serving.request("serving_bytes", observation_bytes=[bytes(28_223)]),
            "INVALID_ARGUMENT",
            "Input to reshape is a tensor with 28223 values, but the requested shape has 28224",
        ),
    ],
)
def test_bad_grpc_requests(server, request_, code, message):
    with pytest.raises(grpc.RpcError) as caught:
        server.predictions.Predict(request_)
    assert (caught.value.code().name, caught.value.details().partition("\n")[0]) == (code, message)


def test_bad_metadata_requests(server):
    for fields, message in (
        ([], "GetModelMetadataRequest must specify at least one metadata_field"),
        (["graph"], "Metadata field graph is not supported"),
    ):
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
        request.model_spec.name = "policy"
        with pytest.raises(grpc.RpcError) as caught:
            server.predictions.GetModelMetadata(request)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert caught.value.details() == message


@pytest.mark.usefixtures("still_serves")
def test_what_is_not_offered_is_unimplemented(server):
    call = server.channel.unary_unary("/tensorflow.serving.PredictionService/Classify")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"")
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.usefixtures("still_serves")
def test_a_message_of_100_mb_is_refused(server):
    with pytest.raises(grpc.RpcError) as caught:
        server.predictions.Predict(serving.request(observation=np.zeros(10**8, np.uint8)))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    response = server.post(PREDICT, {"data": bytes(10**8)})
    assert (response.status_code, response.json()) == (
        413,
        {"error": f"The body is larger than {MAX_BYTES} bytes"},
    )


SHAPE_ERROR = (
    "Shape of tensor serving_default_observation [1] is not compatible with expected shape "
    "[?,84,84,4]."
)


@pytest.mark.usefixtures("still_serves")
@pytest.mark.parametrize(
    ("path", "body", "code", "message"),
    [
        (PREDICT, b'{"instances": [1', 400, "JSON Parse error: Invalid value. at offset: 16"),
        (PREDICT, b"", 400, "JSON Parse error: The document is empty"),
        (PREDICT, {"instances": [1]}, 400, SHAPE_ERROR),
        (
            PREDICT,
            {"inputs": ["x"]},
            400,
            'JSON Value: "x" Type: String is not of expected type: uint8',
        ),
        (
            PREDICT,
            {"signature_name": "wrong", "inputs": 1},
            400,
            'Serving signature name: "wrong" not found in signature def',
        ),
        (
            "/v1/models/policy/versions/7:predict",
            {"inputs": 1},
            404,
            "Servable not found for request: Specific(policy, 7)",
        ),
        (
            "/v1/models/pong:predict",
            {"inputs": 1},
            404,
            "Servable not found for request: Latest(pong)",
        ),
        (
            "/v1/models/policy/labels/new:predict",
            {"inputs": 1},
            400,
            "Unrecognized servable version label: new",
        ),
        (
            f"/v1/models/policy/versions/{2**63}:predict",
            {"inputs": 1},
            400,
            f"Failed to convert version: {2**63} to numeric.",
        ),
        (
            f"/v1/models/policy/versions/{'9' * 4_400}:predict",
            {"inputs": 1},
            400,
            f"Failed to convert version: {'9' * 4_400} to numeric.",
        ),
        ("/v1/models/policy:classify", {}, 501, "classify is not supported: predict is"),
        ("/v1/models/policy", {}, 400, "Malformed request: POST /v1/models/policy"),
        ("/v1/models/a/b:predict", {}, 400, "Malformed request: POST /v1/models/a/b:predict"),
    ],
)
def test_bad_rest_requests(server, path, body, code, message):
    data = body if isinstance(body, bytes) else json.dumps(body)
    response = server.post(path, {"data": data})
    assert (response.status_code, response.json()) == (code, {"error": message})


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        (PREDICT, 400, f"Malformed request: GET {PREDICT}"),
        ("/v1/models/pong", 404, "Could not find any versions of model pong"),
        ("/v1/models/policy/versions/7", 404, "Could not find version 7 of model policy"),
        ("/v1/models/pong/metadata", 404, "Servable not found for request: Latest(pong)"),
    ],
)
def test_bad_questions(server, path, code, message):
    response = server.get(path)
    assert (response.status_code, response.json()) == (code, {"error": message})
    assert server.get("/elsewhere").status_code == 404
