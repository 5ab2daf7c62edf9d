"""One thread runs the network, on photos of as many requests as have come in: a batch costs less than its photos one by one."""

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from jaxtyping import Float32
from torch import Tensor

from s2m2.recognition.extractors import Extractor

STOP_SECONDS = 2.0
"""That the end of the server waits for a batch that is being computed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Job:
    values: Float32[Tensor, "3 size size"]
    future: Future[Tensor]


class Batcher:
    """Features of single photos, computed in batches.

    Args:
        batch_size: photos in a batch, at most.
        wait: seconds that the first photo of a batch waits for others.
    """

    def __init__(self, extractor: Extractor, batch_size: int, wait: float) -> None:
        self._extractor, self._batch_size, self._wait = extractor, batch_size, wait
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="network", daemon=True)
        self._thread.start()

    def submit(self, values: Float32[Tensor, "3 size size"]) -> Future[Tensor]:
        """The features of a photo, " dim", later. A future that is canceled before its batch begins costs nothing."""
        future: Future[Tensor] = Future()
        self._jobs.put(_Job(values=values, future=future))
        return future

    def close(self) -> None:
        """Stop after the batch that is being computed."""
        self._jobs.put(None)
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch, ended = self._gather(first)
            if running := [job for job in batch if job.future.set_running_or_notify_cancel()]:
                self._compute(running)
            if ended:
                return

    def _gather(self, first: _Job) -> tuple[list[_Job], bool]:
        """The first photo and those that come soon after it; whether the end came among them."""
        batch, until = [first], time.monotonic() + self._wait
        while len(batch) < self._batch_size:
            try:
                job = self._jobs.get(timeout=max(until - time.monotonic(), 0))
            except Empty:
                break
            if job is None:
                return batch, True
            batch.append(job)
        return batch, False

    def _compute(self, jobs: list[_Job]) -> None:
        try:
            features = self._extractor([job.values for job in jobs])
        except Exception as error:  # the thread must live on: whoever waits raises it
            for job in jobs:
                job.future.set_exception(error)
            return
        for job, row in zip(jobs, features, strict=True):
            job.future.set_result(row)
