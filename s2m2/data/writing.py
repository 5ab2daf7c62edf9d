"""Writing a dataset image by image, so that it appears under its name whole or not at all."""

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Int64, UInt8

from s2m2.data.dataset import (
    DATASET_FILE,
    DATASET_FORMAT,
    IMAGES_FILE,
    LABELS_FILE,
    SPLITS,
    DatasetDigest,
    ImageDataset,
    Split,
    open_dataset,
)
from s2m2.data.partial import PROGRESS_FILE, Shape, beside, disk_errors, locked, note_progress, open_images, publish, restore
from s2m2.errors import InputError

NOTE_SECONDS = 2.0
"""Time between two notes of what is safely on disk: what a kill costs at most."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DatasetContents:
    """Everything in a dataset but the pixels."""

    name: str
    """Name of the dataset."""
    size: tuple[int, int]
    """Height and width of the images; there are as many as labels."""
    labels: Int64[np.ndarray, " image"]
    class_names: tuple[str, ...]
    splits: Mapping[Split, tuple[int, ...]]
    """Class numbers of each split."""
    settings: Mapping[str, Any]
    """How the dataset was made."""

    @property
    def shape(self) -> Shape:
        """Of all images together."""
        return len(self.labels), *self.size, 3

    @property
    def complete_splits(self) -> dict[Split, tuple[int, ...]]:
        """All three, those without classes included."""
        return {split: tuple(self.splits.get(split, ())) for split in SPLITS}

    def start_digest(self) -> DatasetDigest:
        """The digest before the first image."""
        return DatasetDigest(self.shape, self.labels, self.class_names, self.complete_splits, self.settings)


@dataclass(kw_only=True, eq=False)
class DatasetWriter:
    """Takes the images of a dataset in order; made by `writing_dataset`."""

    folder: Path
    """Where the dataset shall be."""
    partial: Path
    """Where it is until it is whole."""
    contents: DatasetContents
    images: IO[bytes]
    digest: DatasetDigest
    fingerprint: str | None
    written: int
    """Images in the file so far, those of an earlier writer that is continued included."""
    noted: float = field(default_factory=time.monotonic)

    def append(self, images: UInt8[np.ndarray, "image height width 3"]) -> None:
        """Write the next images.

        Raises:
            InputError: the disk refuses.
        """
        images = np.ascontiguousarray(images)
        with disk_errors(self.folder):
            # Appended rather than stored through a memory map, so that a full disk is an error and not a crash.
            self.images.write(images.data)
        self.digest.update(images)  # at once, so that no dataset is read again for its digest
        self.written += len(images)
        if time.monotonic() - self.noted >= NOTE_SECONDS:
            self.note()

    def note(self) -> None:
        """See to it that the images so far need not be written again, whatever happens; needs a fingerprint."""
        if self.fingerprint is not None:
            with disk_errors(self.folder):
                note_progress(self.partial, self.images, self.written, self.fingerprint)
        self.noted = time.monotonic()

    def finish(self) -> ImageDataset:
        """Write what is not images, sync everything, and give the folder its name.

        Raises:
            InputError: the disk refuses.
            ValueError: there are not as many images as labels.
        """
        if self.written != len(self.contents.labels):
            raise ValueError(f"{self.written} images and {len(self.contents.labels)} labels for a dataset")
        described = {
            "format": DATASET_FORMAT,
            "name": self.contents.name,
            "images": self.written,
            "class_names": self.contents.class_names,
            "splits": self.contents.complete_splits,
            "digest": self.digest.hexdigest(),
            "settings": dict(self.contents.settings),
        }
        with disk_errors(self.folder):
            self.images.close()
            np.save(self.partial / LABELS_FILE, self.contents.labels, allow_pickle=False)
            (self.partial / DATASET_FILE).write_text(json.dumps(described, indent=1), encoding="ascii")
            publish(self.partial, self.folder)
        return open_dataset(self.folder)


@contextmanager
def writing_dataset(
    folder: Path, contents: DatasetContents, *, overwrite: bool = False, wait: bool = False, fingerprint: str | None = None
) -> Iterator[DatasetWriter]:
    """A writer for the dataset in `folder`, which appears there when `finish` is called and never before.

    The dataset is written into a hidden folder beside its own, which is removed on any error. Without a fingerprint it is removed on
    Ctrl-C too, and what a kill leaves of it, the next writer of the same dataset removes. With one, both keep the images written so
    far, as does the loss of a process that decodes, and the next writer with an equal fingerprint starts with these in `written`.

    Args:
        folder: where the dataset shall be; the folders above it are made.
        overwrite: replace a dataset that is there. A folder that holds anything else is never replaced.
        wait: wait for another process that writes the same dataset, instead of raising.
        fingerprint: text that differs wherever anything of the dataset would.

    Raises:
        InputError: something is there already, another process is writing it, or the disk refuses.
    """
    partial, digest = beside(folder, "partial"), contents.start_digest()
    with locked(folder, wait=wait):
        keep = False
        with disk_errors(folder):
            restore(folder)
        check_output(folder, overwrite=overwrite)
        try:
            with disk_errors(folder):
                try:
                    images, done = open_images(partial, contents.shape, fingerprint, digest)
                finally:
                    # Until the first image is appended, what an earlier writer noted is as good as before.
                    keep = (partial / PROGRESS_FILE).exists()
            writer = DatasetWriter(
                folder=folder, partial=partial, contents=contents, images=images, digest=digest, fingerprint=fingerprint, written=done
            )
            with _closing(images):
                keep = False
                try:
                    yield writer
                except BaseException as error:
                    keep = _was_stopped(error) and _keep(writer)
                    raise
        finally:
            if not keep:
                shutil.rmtree(partial, ignore_errors=True)


def write_dataset(
    folder: Path, contents: DatasetContents, images: Iterable[UInt8[np.ndarray, "image height width 3"]], *, overwrite: bool = False
) -> ImageDataset:
    """Write a whole dataset from pieces of its images; arguments and errors are those of `writing_dataset` and `DatasetWriter.finish`."""
    with writing_dataset(folder, contents, overwrite=overwrite) as writer:
        for piece in images:
            writer.append(piece)
        return writer.finish()


def check_output(folder: Path, *, overwrite: bool) -> None:
    """Raise `InputError` unless a dataset may be written to `folder`: nothing is there, an empty folder, or a dataset to be replaced."""
    if not os.path.lexists(folder):
        return
    try:
        held = {item.name for item in folder.iterdir()} if folder.is_dir() else None
    except OSError as error:
        raise InputError(f"cannot read --output {folder}: {error.strerror}") from error
    # Arrays of these names without the description may be somebody's own.
    if held is None or (held and not {DATASET_FILE} <= held <= {IMAGES_FILE, LABELS_FILE, DATASET_FILE}):
        raise InputError(f"{folder} exists and is no dataset; choose another --output")
    if held and not overwrite:
        raise InputError(f"{folder} exists; choose another --output or give --overwrite true")


@contextmanager
def _closing(images: IO[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        with suppress(OSError):  # A full disk refuses the last bytes once more.
            images.close()


def _was_stopped(error: BaseException) -> bool:
    """Whether nothing is wrong with the images: Ctrl-C, or the system killed a process that decodes."""
    return isinstance(error, KeyboardInterrupt) or isinstance(error.__cause__, BrokenProcessPool)


def _keep(writer: DatasetWriter) -> bool:
    """Whether what was written is kept for the next writer."""
    if writer.fingerprint is None or writer.written == 0 or writer.images.closed:
        return False
    try:
        writer.note()
    except InputError:
        return False
    return True
