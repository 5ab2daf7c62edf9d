"""Photos in, answers out, for many requests at once: decoding in threads, the network in batches, changes one after another."""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from s2m2.errors import InputError
from s2m2.recognition.class_names import Label, typed_label
from s2m2.recognition.classifier import ImageClassifier
from s2m2.recognition.fitted import Answers
from s2m2.recognition.serving.archive import Archive
from s2m2.recognition.serving.batching import Batcher
from s2m2.recognition.serving.decoding import Photo, read_photo
from s2m2.recognition.serving.limits import CPU_BATCH, Limits
from s2m2.recognition.serving.shared_model import ConflictError, SharedModel, Snapshot

MAX_DECODERS = 4
"""Threads that decode; each may hold a photo of the greatest size."""
AHEAD = 4
"""Batches of decoded photos that may wait for the network: more would only fill the memory."""
COVERAGE = 0.95
"""Of the sets."""
Result = TypeVar("Result")
Read = Callable[[], bytes]
"""Reads the bytes of an uploaded file; called in a thread that decodes, so that few files are in memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Named:
    """What the model says of the photos of a request."""

    reasons: tuple[str, ...]
    """Why each photo could not be read; empty where it was."""
    answers: Answers | None
    """Of those that could be read, in order; None if there are none."""
    sets: tuple[tuple[Label, ...], ...]
    """Classes that each of these may be, so that the right one is among them with probability `COVERAGE`."""
    version: int
    """Of the model."""


class Recognizer:
    """Answers of a shared model. Its coroutines run in one event loop."""

    def __init__(self, shared: SharedModel, limits: Limits) -> None:
        self.shared, self.limits = shared, limits
        model = shared.current.model
        extractor = model.extractor()
        self._preprocessing = extractor.preprocessing
        on_cpu = next(extractor.network.parameters()).device.type == "cpu"
        batch_size = limits.batch_size or (CPU_BATCH if on_cpu else model.batch_size)
        self._batcher = Batcher(extractor, batch_size, limits.batch_wait)
        self._decoders = ThreadPoolExecutor(min(os.cpu_count() or 1, MAX_DECODERS), thread_name_prefix="decode")
        self._changer = ThreadPoolExecutor(1, thread_name_prefix="change")
        self._room = asyncio.Semaphore(AHEAD * batch_size)

    def close(self) -> None:
        """End the threads; what has not begun is dropped."""
        self._decoders.shutdown(wait=False, cancel_futures=True)
        self._changer.shutdown(wait=False, cancel_futures=True)
        self._batcher.close()
        self.shared.close()

    async def name(self, files: Sequence[Read]) -> Named:
        """What the model says of some photos."""
        read = await asyncio.gather(*(self._read(file, keep=False) for file in files))
        features = [one[1] for one in read if not isinstance(one, str)]
        snapshot = self.shared.current
        answers, sets = None, []
        if features:
            answers = await self._in_thread(self._decoders, lambda: snapshot.model.answers_of(torch.stack(features)))
            sets = snapshot.model.sets(answers.probabilities, COVERAGE)
        reasons = tuple(one if isinstance(one, str) else "" for one in read)
        return Named(reasons=reasons, answers=answers, sets=tuple(sets), version=snapshot.version)

    async def learn(self, files: Sequence[Read], label: str, version: int | None = None) -> Snapshot:
        """Photos with their right label.

        Args:
            version: of the model that is meant; None: as it is when the photos have been read.

        Raises:
            InputError: a photo cannot be read, or the label is of no use.
            ConflictError: the model has another version.
        """
        self._label(label)  # before anything takes time
        read = await asyncio.gather(*(self._read(file, keep=True) for file in files))
        for position, one in enumerate(read, 1):
            if isinstance(one, str):
                raise InputError(one if len(read) == 1 else f"photo {position}: {one}")
        pairs = [one for one in read if not isinstance(one, str)]
        photos, features = [photo for photo, _ in pairs], torch.stack([row for _, row in pairs])
        return await self._change(lambda: self.shared.learn(photos, features, self._label(label), version))

    async def rename(self, label: str, name: str, version: int | None = None) -> Snapshot:
        """Another name for a class; that of another class merges the two."""

        def renamed(model: ImageClassifier) -> ImageClassifier:
            return model.rename_class(label, typed_label(model.support_.classes(), name))

        return await self._change(lambda: self.shared.change(renamed, version))

    async def remove(self, label: str, version: int | None = None) -> Snapshot:
        """Forget a class."""

        def removed(model: ImageClassifier) -> ImageClassifier:
            return model.remove_class(label)

        return await self._change(lambda: self.shared.change(removed, version))

    async def undo(self, version: int | None = None) -> Snapshot:
        """Take back the last change.

        Raises:
            ConflictError: there is none, or the model has another version.
        """

        def undone(model: ImageClassifier) -> ImageClassifier:
            if not model.support_.changes:
                raise ConflictError("there is no change to undo")
            return model.undo()

        return await self._change(lambda: self.shared.change(undone, version))

    async def archive(self) -> Archive:
        """The model as a zip file."""
        return await self._change(self.shared.archive)

    async def _read(self, file: Read, *, keep: bool) -> tuple[Photo, Tensor] | str:
        """A photo and its features, or why there are none."""
        async with self._room:
            try:
                photo = await self._in_thread(
                    self._decoders, lambda: read_photo(file(), self._preprocessing, self.limits.max_pixels, keep=keep)
                )
            except InputError as error:
                return str(error)
            return photo, await asyncio.wrap_future(self._batcher.submit(photo.values))

    async def _change(self, make: Callable[[], Result]) -> Result:
        """A change in its turn. If its request ends before, it is never made; once begun it is waited for, however long it takes, so that
        no change is made whose request was told that it failed.
        """
        job = self._changer.submit(make)
        try:
            return await asyncio.shield(asyncio.wrap_future(job))
        except asyncio.CancelledError:
            if job.cancel():
                raise
            return await asyncio.wrap_future(job)

    async def _in_thread(self, threads: ThreadPoolExecutor, make: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(threads, make)

    def _label(self, text: str) -> Label:
        return typed_label(self.shared.current.model.support_.classes(), text)
