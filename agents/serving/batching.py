"""Batching: concurrent requests go in, they run together, each gets its own answer.

While one batch runs, what arrives waits and makes the next one, so that a lone request is never
held back and many at once cost little more than one.
"""

import asyncio
import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence

import grpc
import numpy as np

from agents.serving.status import RequestError

MAX_ROWS = 64  # of a batch; a request that has more runs alone
MAX_WAITING = 1_000  # requests

Tensors = Mapping[str, np.ndarray]
Run = Callable[[str, Tensors], Tensors]


@dataclasses.dataclass(frozen=True)
class _Request:
    signature: str
    inputs: Tensors
    answer: asyncio.Future

    def rows(self) -> int:
        """0 where the inputs have no first dimension in common, and so no rows."""
        sizes = {value.shape[:1] for value in self.inputs.values()}
        return sizes.pop()[0] if len(sizes) == 1 and sizes != {()} else 0

    def kind(self) -> tuple:
        """Requests of one kind can be laid together."""
        tensors = [(key, x.dtype.str, x.shape[1:]) for key, x in sorted(self.inputs.items())]
        return self.signature, tuple(tensors)


class Batcher:
    """Runs one batch at a time in another thread. It needs a running event loop."""

    def __init__(self, run: Run, on_batch: Callable[[int], None]):
        """Makes an idle one.

        Args:
          run: `run(signature, inputs)` gives the outputs, of as many rows, or raises RequestError.
          on_batch: told how many rows each batch has.
        """
        self._run = run
        self._on_batch = on_batch
        self._waiting: collections.deque[_Request] = collections.deque()
        self._worker: asyncio.Task | None = None

    async def run(self, signature: str, inputs: Tensors) -> Tensors:
        """The outputs for these inputs.

        Raises:
          RequestError: of `run`, or too many requests are waiting.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise RequestError(
                grpc.StatusCode.UNAVAILABLE,
                "The batch scheduling queue to which this task was submitted is full",
            )
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append(_Request(signature, inputs, answer))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        while batch := self._next_batch():
            answers = await asyncio.to_thread(self._answers, batch)
            for request, answer in zip(batch, answers, strict=True):
                if request.answer.done():  # its client has gone
                    continue
                if isinstance(answer, RequestError):
                    request.answer.set_exception(answer)
                else:
                    request.answer.set_result(answer)

    def _next_batch(self) -> list[_Request]:
        """The one that has waited longest, and those of its kind that fit."""
        batch, others, rows = [], collections.deque(), 0
        for request in self._waiting:
            if request.answer.done():
                continue
            fits = not batch or (
                rows and 0 < request.rows() <= MAX_ROWS - rows and request.kind() == batch[0].kind()
            )
            (batch if fits else others).append(request)
            rows += request.rows() if fits else 0
        self._waiting = others
        return batch

    def _answers(self, batch: Sequence[_Request]) -> list[Tensors | RequestError]:
        """Where a batch fails, each request runs alone, so that it fails for its own fault only."""
        first = batch[0]
        try:
            answers: list[Tensors | RequestError]
            if len(batch) == 1:
                answers = [self._run(first.signature, first.inputs)]
            else:
                inputs = {
                    key: np.concatenate([request.inputs[key] for request in batch])
                    for key in first.inputs
                }
                outputs = self._run(first.signature, inputs)
                ends = np.cumsum([request.rows() for request in batch])
                answers = [
                    {key: value[end - request.rows() : end] for key, value in outputs.items()}
                    for request, end in zip(batch, ends, strict=True)
                ]
        except Exception as e:  # whatever it is, others must not wait for ever
            if len(batch) > 1:
                return [self._answers([request])[0] for request in batch]
            is_ours = isinstance(e, RequestError)
            return [e if is_ours else RequestError(grpc.StatusCode.INTERNAL, repr(e))]
        self._on_batch(sum(request.rows() for request in batch))
        return answers
