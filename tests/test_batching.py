"""Concurrent requests run together, and each gets its own answer or its own error."""

import asyncio
import collections

import grpc
import numpy as np
import pytest

from agents.serving import batching
from agents.serving.batching import Batcher
from agents.serving.status import RequestError, invalid


class Doubling:
    """Doubles x; refuses a row below zero; notes the rows of its calls; waits to be let go."""

    def __init__(self, batches: list[int]):
        self.calls: list[tuple[str, int]] = []
        self.batcher = Batcher(self.run, batches.append)

    def run(self, signature, inputs):
        x = inputs["x"]
        self.calls.append((signature, len(x) if x.ndim else 0))
        if x.size and x.min() < 0:
            raise invalid("negative")
        if x.size and x.max() > 1e6:
            raise ZeroDivisionError
        return {"y": 2 * x, "sum": x.reshape(len(x), -1).sum(axis=1) if x.ndim else x}

    async def ask(self, *requests, signature="s"):
        """All at once; the answers or errors, in their order."""
        runs = [self.batcher.run(signature, {"x": np.asarray(x)}) for x in requests]
        return await asyncio.gather(*runs, return_exceptions=True)


@pytest.fixture
def batches():
    return []


@pytest.fixture
def doubling(batches):
    return Doubling(batches)


def test_many_requests_are_few_batches_and_each_gets_its_rows(doubling, batches):
    rng = np.random.default_rng(0)
    requests = [rng.integers(100, size=(rng.integers(1, 5), 3)) for _ in range(100)]
    answers = asyncio.run(doubling.ask(*requests))
    for x, answer in zip(requests, answers, strict=True):
        np.testing.assert_array_equal(answer["y"], 2 * x)
        np.testing.assert_array_equal(answer["sum"], x.sum(axis=1))
    rows = [rows for _, rows in doubling.calls]
    assert sum(rows) == sum(map(len, requests))
    assert max(rows) <= batching.MAX_ROWS
    assert len(rows) < 10
    assert batches == rows


def test_a_lone_request_is_not_held_back(doubling):
    async def one_after_another():
        return [await doubling.ask([x]) for x in (1, 2)]

    assert [answer["y"].tolist() for (answer,) in asyncio.run(one_after_another())] == [[2], [4]]
    assert doubling.calls == [("s", 1), ("s", 1)]


def test_a_large_request_runs_alone(doubling):
    answers = asyncio.run(doubling.ask(np.ones(2), np.ones(1000), np.ones(3)))
    assert [len(answer["y"]) for answer in answers] == [2, 1000, 3]
    assert sorted(rows for _, rows in doubling.calls) == [5, 1000]


def test_requests_of_another_kind_are_not_laid_together(doubling):
    async def ask():
        kinds = [np.ones(2), np.ones((1, 3)), np.ones(1, int), np.float64(4), np.float64(5)]
        return await asyncio.gather(
            doubling.ask(*kinds, *kinds), doubling.ask(np.ones(2), signature="t")
        )

    answers, (other,) = asyncio.run(ask())
    assert [answer["y"].shape for answer in answers] == 2 * [(2,), (1, 3), (1,), (), ()]
    assert len(other["y"]) == 2
    counts = collections.Counter(doubling.calls)
    assert counts == {("s", 4): 1, ("s", 2): 2, ("s", 0): 4, ("t", 2): 1}


def test_a_request_fails_for_its_own_fault_only(doubling, batches):
    answers = asyncio.run(doubling.ask([1], [-1], [2], [1e7], [3]))
    assert [answer["y"][0] for answer in answers[::2]] == [2, 4, 6]
    assert (answers[1].code, answers[1].message) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "negative",
    )
    assert isinstance(answers[3], RequestError)
    assert answers[3].code == grpc.StatusCode.INTERNAL
    assert sum(batches) == 3
    (again,) = asyncio.run(doubling.ask([5]))
    assert again["y"] == [10]


def test_what_a_client_left_is_not_run(doubling):
    async def ask():
        first = asyncio.create_task(doubling.ask([1]))
        await asyncio.sleep(0)
        left = asyncio.create_task(doubling.ask([2]))
        await asyncio.sleep(0)
        left.cancel()
        await first
        await doubling.ask([3])

    asyncio.run(ask())
    assert sum(rows for _, rows in doubling.calls) == 2


def test_too_many_waiting_requests_are_refused(doubling, monkeypatch):
    monkeypatch.setattr(batching, "MAX_WAITING", 5)
    answers = asyncio.run(doubling.ask(*[[1]] * 20))
    refused = [answer for answer in answers if isinstance(answer, RequestError)]
    assert len(refused) == 15
    assert {e.code for e in refused} == {grpc.StatusCode.UNAVAILABLE}
    assert "queue" in refused[0].message
