"""The server outlives whatever clients do, swaps versions unnoticed, and is a command."""

import contextlib
import json
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import grpc
import numpy as np
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow_serving.apis import predict_pb2

from agents.errors import UserError
from agents.serving import golden
from agents.serving.server import Ports, read_configs
from tests import serving

ROOT = Path(__file__).parent.parent
PREDICT = "/v1/models/policy:predict"


@pytest.fixture(scope="module")
def case(exported):
    return next(golden.cases(exported))


@pytest.fixture(scope="module")
def server(exported):
    with serving.served(serving.config(exported.parent), timeout_seconds=5) as server:
        yield server


def check_serves(server, case):
    response = server.predictions.Predict(serving.request(**case.inputs))
    case.check(serving.arrays(response))
    rows = {"inputs": case.inputs["observation"][:1].tolist()}
    assert server.post(PREDICT, {"json": rows}).ok


def head(length: int) -> bytes:
    return f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


@pytest.mark.parametrize(
    "sent",
    [b"", b"POST /v1/mod", head(100), head(100) + b'{"inputs": ', b"\0\xff\r\n\r\n", head(10**8)],
)
def test_cut_connections(server, case, sent, caplog):
    for port in server.ports:
        for _ in range(5):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(sent)
            # Closing sends a reset instead of a farewell.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
    check_serves(server, case)
    assert [record.message for record in caplog.records] == []


def test_slow_clients_are_told_and_others_are_served_meanwhile(server, case):
    slow = [socket.create_connection(("127.0.0.1", server.ports.rest)) for _ in range(20)]
    for connection in slow:
        connection.sendall(head(100) + b'{"inputs": ')
    check_serves(server, case)
    for connection in slow:
        with connection, connection.makefile("rb") as answer:
            assert answer.readline() == b"HTTP/1.1 504 Gateway Timeout\r\n"
            assert b"The request took longer than 5 s" in answer.read()


def test_a_client_that_leaves_in_the_midst_of_its_request(server, case):
    for _ in range(10):
        leaving = server.predictions.Predict.future(serving.request(**case.inputs))
        leaving.cancel()
        hurried = server.predictions.Predict.future(serving.request(**case.inputs), timeout=1e-6)
        # gRPC's timers tick in milliseconds, so a quick server may be in time.
        assert hurried.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.OK)
    check_serves(server, case)


KEYS = st.sampled_from(["inputs", "instances", "signature_name", "observation", "b64"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS | st.sampled_from(["serving_default", "serving_bytes", "frames"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
BODIES = st.binary(max_size=40) | st.dictionaries(KEYS, VALUES, max_size=3).map(
    lambda it: json.dumps(it).encode()
)
SETTINGS = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@SETTINGS
@given(
    st.sampled_from([PREDICT, "/v1/models/policy/versions/1:predict", "/v1/"])
    | st.text(st.characters(exclude_characters="?#", exclude_categories=["Cs", "Cc"]), max_size=9),
    BODIES,
)
def test_generated_rest_requests_are_answered(rest_session, path, body):
    session, url = rest_session
    response = session.post(f"{url}/{path.lstrip('/')}", data=body, timeout=60)
    assert response.status_code in (200, 400, 404, 405)


@pytest.fixture(scope="module")
def rest_session(server):
    with requests.Session() as session:
        yield session, server.url


@st.composite
def predict_requests(draw):
    request = predict_pb2.PredictRequest()
    if draw(st.booleans()):
        request.model_spec.name = draw(st.sampled_from(["policy", "", "other"]))
        request.model_spec.signature_name = draw(
            st.sampled_from(["", "serving_bytes", "frames", "?"])
        )
    names = st.sampled_from(["observation", "observation_bytes", "frames", "x"])
    for name in draw(st.lists(names, max_size=2)):
        tensor = request.inputs[name]
        tensor.dtype = draw(st.sampled_from([1, 4, 4, 7, 7, 9]) | st.integers(0, 130))
        sizes = st.sampled_from([0, 1, 2, 4, 84]) | st.integers(-(2**63), 2**63 - 1)
        for size in draw(st.lists(sizes, max_size=7)):
            tensor.tensor_shape.dim.add(size=size)
        tensor.tensor_shape.unknown_rank = draw(st.booleans())
        tensor.tensor_content = draw(st.binary(max_size=9))
        tensor.int_val.extend(draw(st.lists(st.integers(-300, 300), max_size=3)))
        tensor.string_val.extend(draw(st.lists(st.binary(max_size=3), max_size=3)))
    request.output_filter.extend(draw(st.lists(st.sampled_from(["action", "?"]), max_size=2)))
    return request


@SETTINGS
@given(predict_requests())
def test_generated_grpc_requests_are_answered(server, request):
    try:
        server.predictions.Predict(request, timeout=60)
    except grpc.RpcError as e:
        if e.code().name not in ("INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"):
            raise


@SETTINGS
@given(st.binary(max_size=60))
def test_generated_messages_are_answered(server, message):
    call = server.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    with contextlib.suppress(grpc.RpcError):
        call(message, timeout=60)


def test_it_serves_after_all_that(server, case):
    check_serves(server, case)


def test_versions_swap_under_concurrent_clients_without_a_failed_request(exported, case, tmp_path):
    serving.add_version(exported, tmp_path, 1)
    seen: list[set[int]] = [set() for _ in range(6)]
    failures: list[BaseException] = []
    done = threading.Event()
    body = {"inputs": case.inputs["observation"][:1].tolist()}

    def ask_for_ever(server, versions):
        try:
            with requests.Session() as session:
                while not done.is_set():
                    response = server.predictions.Predict(serving.request(**case.inputs))
                    case.check(serving.arrays(response))
                    versions.add(response.model_spec.version.value)
                    answer = session.post(server.url + PREDICT, json=body, timeout=60)
                    assert answer.status_code == 200, answer.text
        except BaseException as e:
            failures.append(e)

    with serving.served(serving.config(tmp_path)) as server:
        threads = [threading.Thread(target=ask_for_ever, args=(server, v)) for v in seen]
        for thread in threads:
            thread.start()
        try:
            for version in (2, 3):
                serving.add_version(exported, tmp_path, version)
                serving.wait_until(lambda v=version: failures or all(v in it for it in seen))
                shutil.rmtree(tmp_path / str(version - 1))
        finally:
            done.set()
            for thread in threads:
                thread.join()
    assert failures == []
    assert seen == [{1, 2, 3}] * len(seen)


def test_a_config_file_names_models_policies_and_labels(tmp_path):
    path = tmp_path / "models.config"
    path.write_text(
        "model_config_list { config { name: 'a' base_path: '/a' model_platform: 'tensorflow' "
        "version_labels { key: 'stable' value: 1 } } }"
    )
    (config,) = read_configs(path)
    assert (config.name, config.base_path, config.version_labels) == ("a", "/a", {"stable": 1})
    alike = "config { name: 'a' base_path: '/a' }"
    path.write_text(f"model_config_list {{ {alike} {alike} }}")
    with pytest.raises(UserError, match="has 2 models of the name 'a': rename one"):
        read_configs(path)
    path.write_text("model_config_lists {}")
    with pytest.raises(UserError, match='has no field named "model_config_lists"'):
        read_configs(path)
    path.write_text("")
    with pytest.raises(UserError, match="names no model"):
        read_configs(path)


def test_a_model_that_has_no_version_yet_is_told_of(tmp_path):
    (tmp_path / "policy").mkdir()
    with serving.served(serving.config(tmp_path / "policy")) as server:
        line = f"policy: {tmp_path / 'policy'} has no version that can be served yet"
        assert server.reports == [line]


def test_what_cannot_be_served_is_one_line(server, exported, tmp_path):
    def start(*arguments, **options):
        with serving.served(*arguments, **options):
            pass

    with pytest.raises(UserError, match="is no directory"):
        start(serving.config(tmp_path / "x"))
    with pytest.raises(UserError, match=f"is one version: name .* versions, {exported.parent}$"):
        start(serving.config(exported))
    for ports in (Ports(server.ports.grpc, 0), Ports(0, server.ports.rest)):
        with pytest.raises(UserError, match=r"cannot listen on 127\.0\.0\.1"):
            start(serving.config(exported.parent), ports=ports)


def test_the_command_serves_until_it_is_told_to_stop(exported, case):
    command = [sys.executable, str(ROOT / "launch" / "serve.py"), "--port=0", "--rest_api_port=0"]
    process = subprocess.Popen(
        [*command, f"--model_base_path={exported.parent}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    lines = [process.stdout.readline().strip() for _ in range(5)]
    assert lines[0] == "policy: version 1 is served"
    assert lines[4] == "Ctrl-C stops"
    address = lines[1].removeprefix("gRPC: ")
    assert address.startswith("127.0.0.1:")
    url = lines[2].removeprefix("REST: ")
    answer = requests.post(url + ":predict", json={"inputs": case.inputs["observation"].tolist()})
    case.check({key: np.array(value) for key, value in answer.json()["outputs"].items()})
    process.send_signal(signal.SIGTERM)
    assert process.communicate() == ("", "")
    assert process.returncode == 0


def test_a_command_line_that_says_too_little_is_one_line():
    command = [sys.executable, str(ROOT / "launch" / "serve.py")]
    run = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    message = "error: name a model: --model_base_path=exports/space_invaders\n"
    assert (run.returncode, run.stdout, run.stderr) == (2, "", message)
