"""Versions come, are labelled, and go as TF Serving's policies say; a broken one does no harm."""

import asyncio
import gc
import shutil
import weakref

import grpc
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import model_pb2

from agents.serving.models import Models, Status
from agents.serving.server import ModelConfig
from agents.serving.status import RequestError
from tests import serving


@pytest.fixture
def base_path(tmp_path):
    path = tmp_path / "policy"
    path.mkdir()
    return path


@pytest.fixture
def models(base_path):
    def make(options: str = "") -> Models:
        config = text_format.Parse(options, ModelConfig())
        config.name, config.base_path = "policy", str(base_path)
        reports.clear()
        return Models([config], lambda rows: None, reports.append)

    reports: list[str] = []
    make.reports = reports
    return make


def poll(models: Models) -> dict[int, str]:
    """The state of each version afterwards."""
    asyncio.run(models.poll())
    try:
        statuses = models.statuses(spec())
    except RequestError:
        return {}
    return {status.version: Status.State.Name(status.state) for status in statuses}


def spec(version: int | None = None, label: str = "", name: str = "policy") -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=name)
    if version is not None:
        spec.version.value = version
    if label:
        spec.version_label = label
    return spec


def code_and_message(call, *arguments):
    with pytest.raises(RequestError) as caught:
        call(*arguments)
    return caught.value.code, caught.value.message


def test_the_latest_version_takes_over_and_the_old_one_leaves_memory(models, exported, base_path):
    it = models()
    assert poll(it) == {}
    serving.add_version(exported, base_path, 2)
    assert poll(it) == {2: "AVAILABLE"}
    assert it.find(spec()).version == 2
    old = weakref.ref(it.find(spec()))
    serving.add_version(exported, base_path, 10)
    assert poll(it) == {10: "AVAILABLE", 2: "END"}
    assert it.find(spec()).version == 10
    gc.collect()
    assert old() is None
    serving.add_version(exported, base_path, 3)  # not the latest
    assert poll(it) == {10: "AVAILABLE", 2: "END"}
    shutil.rmtree(base_path / "10")
    assert poll(it) == {10: "END", 3: "AVAILABLE", 2: "END"}
    assert models.reports == [
        "policy: version 2 is served",
        "policy: version 10 is served",
        "policy: version 2 is no longer served",
        "policy: version 3 is served",
        "policy: version 10 is no longer served",
    ]


def test_policies_and_labels(models, exported, base_path):
    for version in (1, 2, 3):
        serving.add_version(exported, base_path, version)
    it = models(
        "model_version_policy { specific { versions: 1 versions: 3 versions: 9 } } "
        "version_labels { key: 'stable' value: 1 } version_labels { key: 'gone' value: 2 }"
    )
    assert poll(it) == {3: "AVAILABLE", 1: "AVAILABLE"}
    assert it.find(spec()).version == 3
    assert it.find(spec(1)).version == it.find(spec(label="stable")).version == 1
    assert [status.version for status in it.statuses(spec(label="stable"))] == [1]
    not_found, invalid = grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT
    for wanted, code, message in (
        (spec(2), not_found, "Servable not found for request: Specific(policy, 2)"),
        (spec(label="gone"), not_found, "Servable not found for request: Specific(policy, 2)"),
        (spec(label="new"), invalid, "Unrecognized servable version label: new"),
        (spec(name="x"), not_found, "Servable not found for request: Latest(x)"),
        (spec(name=""), invalid, "ModelSpec has no name specified."),
    ):
        assert code_and_message(it.find, wanted) == (code, message)
    for wanted, message in (
        (spec(2), "Could not find version 2 of model policy"),
        (spec(name="x"), "Could not find any versions of model x"),
    ):
        assert code_and_message(it.statuses, wanted) == (not_found, message)
    assert poll(models("model_version_policy { latest { num_versions: 2 } }")).keys() == {2, 3}
    assert poll(models("model_version_policy { all {} }")).keys() == {1, 2, 3}


def test_a_broken_version_leaves_the_old_one_in_service_and_may_be_mended(
    models, exported, base_path
):
    serving.add_version(exported, base_path, 1)
    it = models()
    poll(it)
    (base_path / "2").mkdir()  # a copy that has begun
    (base_path / "partial").mkdir()
    assert poll(it) == {2: "END", 1: "AVAILABLE"}
    (status,) = it.statuses(spec(2))
    assert "SavedModel" in status.status.error_message
    assert it.find(spec()).version == 1
    shutil.copytree(exported, base_path / "2", dirs_exist_ok=True)
    assert poll(it) == {2: "AVAILABLE", 1: "END"}


def test_a_version_that_stays_broken_is_tried_five_times(models, exported, base_path):
    (base_path / "1").mkdir()
    it = models()
    for _ in range(7):
        assert poll(it) == {1: "END"}
    assert len(models.reports) == 5
    (base_path / "1").rmdir()  # what comes in its place is another
    poll(it)
    (base_path / "1").mkdir()
    poll(it)
    assert len(models.reports) == 6


def test_a_version_that_is_still_being_copied_is_tried_on(models, exported, base_path):
    serving.add_version(exported, base_path / "aside", 1)
    (base_path / "1").mkdir()
    it = models()
    for step in range(7):
        (base_path / "1" / "note").write_text("x" * step)
        assert poll(it) == {1: "END"}
    assert len(models.reports) == 7
    shutil.rmtree(base_path / "1")
    assert poll(it) == {1: "END"}
    (base_path / "aside" / "1").rename(base_path / "1")
    assert poll(it) == {1: "AVAILABLE"}


def test_a_number_that_no_version_can_have_is_none(models, exported, base_path):
    serving.add_version(exported, base_path, 1)
    (base_path / str(2**63)).mkdir()
    assert poll(models()) == {1: "AVAILABLE"}


def test_a_bad_warm_up_request_fails_the_load(models, exported, base_path):
    serving.add_version(exported, base_path, 1)
    warm_up = base_path / "1" / "assets.extra" / "tf_serving_warmup_requests"
    warm_up.write_bytes(warm_up.read_bytes()[:-10])
    it = models()
    assert poll(it) == {1: "END"}


def test_versions_stay_while_the_directory_is_out_of_reach(models, exported, base_path):
    serving.add_version(exported, base_path, 1)
    it = models()
    poll(it)
    base_path.rename(base_path.with_name("elsewhere"))
    assert poll(it) == {1: "AVAILABLE"}
    base_path.mkdir()
    assert poll(it) == {1: "END"}
