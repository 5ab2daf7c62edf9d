"""A saved model that many requests read and some change: each change makes another model, saves it, and takes the place of the old one."""

import threading
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float32
from torch import Tensor

from s2m2.console import count
from s2m2.errors import InputError
from s2m2.recognition.class_names import Label
from s2m2.recognition.classifier import ImageClassifier
from s2m2.recognition.extractors import FEATURES
from s2m2.recognition.saving import MODEL
from s2m2.recognition.serving.archive import Archive, packed
from s2m2.recognition.serving.decoding import Photo
from s2m2.recognition.support import Change, Support

NAME = "photo from the page or the interface"
"""Of images learned while serving: what a file was called elsewhere is nobody's business here."""


class ConflictError(InputError):
    """The model is not in the state that a change needs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot:
    """A model that never changes again."""

    model: ImageClassifier
    thumbnails: dict[str, bytes]
    """Small copies of its labeled images, by digest."""
    version: int
    """Number of changes since the start."""

    @property
    def last_change(self) -> str | None:
        """What undo would take back, in words."""
        changes = self.model.support_.changes
        return changes[-1].action if changes else None


class SharedModel:
    """The model of a folder, for requests at the same time.

    Raises:
        InputError: there is no model, or it takes features in place of images.
    """

    def __init__(self, folder: Path, model: ImageClassifier | None = None) -> None:
        self.folder = folder
        model = model or ImageClassifier.load(folder)
        if model.backbone == FEATURES:
            raise InputError(f"{folder} takes features, not images; serve needs a model with a backbone")
        self._current = _snapshot(model, 0)
        self._changing = threading.Lock()
        self._stamp = self._file_stamp()
        self._archive: tuple[tuple[int, int, int], Archive] | None = None

    @property
    def current(self) -> Snapshot:
        """The model as it is now. Take it once for an answer, as the next moment may bring another."""
        return self._current

    def learn(self, photos: Sequence[Photo], features: Float32[Tensor, "image dim"], label: Label, version: int | None = None) -> Snapshot:
        """Photos with their right label, new or that of a class; those that the model has already are moved to it, in one change."""

        def learned(model: ImageClassifier) -> ImageClassifier:
            support = _with_photos(model.support_, photos, features, label)
            return model if support is model.support_ else model.fit_support(support)

        return self.change(learned, version)

    def change(self, make: Callable[[ImageClassifier], ImageClassifier], version: int | None = None) -> Snapshot:
        """Change a copy of the model, save it and put it in the place of the current one; if anything fails, nothing has changed.

        Args:
            version: that the model must have; None: any.

        Raises:
            InputError: the change is not possible, or cannot be saved.
            ConflictError: the model has another version, or another program has changed the folder.
        """
        with self._changing:
            before = self._current
            if version not in (None, before.version):
                raise ConflictError(f"the model has changed: it has version {before.version}, not {version}; look at it again")
            model = make(copy(before.model))
            if model.support_ is before.model.support_:
                return before
            if self._file_stamp() != self._stamp:
                raise ConflictError("another program has changed the model's folder; start `s2m2 serve` again")
            model.save(self.folder, overwrite=True)
            self._stamp = self._file_stamp()
            self._current = _snapshot(model, before.version + 1)
            return self._current

    def archive(self) -> Archive:
        """The model as a zip file, packed once for all downloads of the same state.

        Raises:
            InputError: a file of the model is a link.
        """
        with self._changing:
            stamp = self._file_stamp()
            if self._archive is None or self._archive[0] != stamp:
                self._archive = None  # its file ends with the last download of it
                self._archive = stamp, packed(self.folder)
            return self._archive[1]

    def close(self) -> None:
        """Let go of the zip file."""
        self._archive = None

    def _file_stamp(self) -> tuple[int, int, int]:
        try:
            state = (self.folder / MODEL).stat()
        except OSError:
            return -1, -1, -1
        return state.st_mtime_ns, state.st_size, state.st_ino


def _snapshot(model: ImageClassifier, version: int) -> Snapshot:
    support = model.support_
    thumbnails = {support.digests[item]: support.thumbnails[item] for item in support.active if support.thumbnails[item]}
    return Snapshot(model=model, thumbnails=thumbnails, version=version)


def _with_photos(support: Support, photos: Sequence[Photo], features: Float32[Tensor, "image dim"], label: Label) -> Support:
    """With photos of a class, as one change; the same support where it has them all already."""
    items = [support.item_with(photo.digest) for photo in photos]
    moved = sorted({item for item in items if item is not None and support.labels[item] != label})
    first = {photo.digest: position for position, photo in reversed(list(enumerate(photos))) if items[position] is None}
    fresh = sorted(first.values())
    changes = support.changes
    if moved:
        support = support.relabeled(moved, label, f"moved {count(len(moved), 'photo')} to {label}")
    if fresh:
        new = Support(
            features=features[fresh].to(torch.float32),
            labels=(label,) * len(fresh),
            names=(NAME,) * len(fresh),
            digests=tuple(photos[position].digest for position in fresh),
            thumbnails=tuple(photos[position].thumbnail for position in fresh),
        )
        support = support.added(new, f"added {count(len(fresh), 'photo')} of {label}")
    return replace(support, changes=(*changes, _joined(support.changes[len(changes) :]))) if moved and fresh else support


def _joined(changes: Sequence[Change]) -> Change:
    """Changes as one, which is undone as one."""
    return Change(
        action=" and ".join(change.action for change in changes),
        items=tuple(item for change in changes for item in change.items),
        before=tuple(label for change in changes for label in change.before),
        after=tuple(label for change in changes for label in change.after),
    )
