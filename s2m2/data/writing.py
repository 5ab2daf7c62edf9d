"""Writing a dataset: whole or not at all, and continued after an interruption.

A dataset grows in a hidden folder beside its own, and a rename publishes it. A note in the hidden folder tells how many images are
safely on disk and of which dataset; anything beyond the note is written again.
"""

import io
import json
import math
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
from filelock import FileLock, Timeout
from jaxtyping import Float32, Int64, UInt8

from s2m2.data.chunks import ChunkSums
from s2m2.data.dataset import (
    DATASET_FILE,
    DATASET_FORMAT,
    IMAGES_FILE,
    LABELS_FILE,
    OLD_DATASET_FILE,
    PROPORTIONS_FILE,
    SPLITS,
    SQUARE_FORMAT,
    DatasetDigest,
    ImageDataset,
    Split,
    description_check,
    open_dataset,
)
from s2m2.errors import InputError
from s2m2.io import replace_file, sync_folder, write_text

PROGRESS_FILE = "progress.json"
PROGRESS_SECONDS = 2.0
"""Time between two notes of progress: the most that a kill costs."""
REREAD_BYTES = 1 << 22
"""Bytes per read where images of an earlier writer enter the digest."""
Shape = tuple[int, int, int, int]
Digests = tuple[DatasetDigest, ChunkSums]
"""That every image enters."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DatasetContents:
    """Everything in a dataset but the pixels."""

    name: str
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
    """The dataset's folder."""
    partial: Path
    """Its folder until it is whole."""
    contents: DatasetContents
    images: IO[bytes]
    digest: DatasetDigest
    sums: ChunkSums
    fingerprint: str | None
    written: int
    """Images in the file so far, those of an interrupted writer included."""
    proportions: Float32[np.ndarray, " image"]
    """Width by height of every image before it was squeezed; 1 of those not appended yet."""
    noted: float = field(default_factory=time.monotonic)
    """Time of the last note of progress."""

    def append(self, images: UInt8[np.ndarray, "image height width 3"], proportions: Float32[np.ndarray, " image"] | None = None) -> None:
        """Write the next images, with their width by height before they were squeezed; None: they were not.

        Raises:
            InputError: the disk refuses.
        """
        if proportions is not None:
            self.proportions[self.written : self.written + len(images)] = proportions
        images = np.ascontiguousarray(images)
        with _disk_errors(self.folder):
            # Appended rather than stored through a memory map, so that a full disk is an error and not a crash.
            self.images.write(images.data)
        self.digest.update(images)  # at once, so that no dataset is read again for its digest
        self.sums.update(images)
        self.written += len(images)
        if time.monotonic() - self.noted >= PROGRESS_SECONDS:
            self.save_progress()

    def save_progress(self) -> None:
        """Sync the images so far and note that they are on disk, so that the next writer continues there; needs a fingerprint."""
        if self.fingerprint is not None:
            with _disk_errors(self.folder):
                self.images.flush()
                os.fsync(self.images.fileno())
                _save_proportions(self.partial / PROPORTIONS_FILE, self.proportions[: self.written])
                write_text(self.partial / PROGRESS_FILE, json.dumps({"fingerprint": self.fingerprint, "images": self.written}))
        self.noted = time.monotonic()

    def finish(self) -> ImageDataset:
        """Write everything else, sync it, and give the folder its name.

        Raises:
            InputError: the disk refuses.
            ValueError: there are not as many images as labels.
        """
        if self.written != len(self.contents.labels):
            raise ValueError(f"{self.written} images and {len(self.contents.labels)} labels for a dataset")
        proportions = self.proportions if (self.proportions != 1).any() else None
        description = {
            "format": SQUARE_FORMAT if proportions is None else DATASET_FORMAT,
            "name": self.contents.name,
            "images": self.written,
            "class_names": self.contents.class_names,
            "splits": self.contents.complete_splits,
            "digest": self.digest.hexdigest(),
            "settings": dict(self.contents.settings),
            "chunks": {"per_chunk": self.sums.images, "sums": self.sums.text()},
        }
        with _disk_errors(self.folder):
            self.images.close()
            np.save(self.partial / LABELS_FILE, self.contents.labels, allow_pickle=False)
            if proportions is None:
                (self.partial / PROPORTIONS_FILE).unlink(missing_ok=True)
            else:
                _save_proportions(self.partial / PROPORTIONS_FILE, proportions)
            # As it will be read, as JSON has lists for tuples and text for every key.
            read = json.loads(json.dumps(description))
            text = json.dumps(read | {"check": description_check(read, self.contents.labels, proportions)}, indent=1)
            (self.partial / DATASET_FILE).write_text(text, encoding="ascii")
            _publish(self.partial, self.folder)
        return open_dataset(self.folder)


@contextmanager
def writing_dataset(
    folder: Path, contents: DatasetContents, *, overwrite: bool = False, wait: bool = False, fingerprint: str | None = None
) -> Iterator[DatasetWriter]:
    """A writer for the dataset in `folder`, which appears there at `finish` and never before.

    Any error removes the hidden folder. Without a fingerprint so does Ctrl-C, and the next writer removes the rest of a killed one.
    With a fingerprint, Ctrl-C, a kill, and the loss of a process that decodes keep the images so far, and the next writer with an equal
    fingerprint starts with these in `written`.

    Args:
        folder: of the dataset; its parents are made.
        overwrite: replace a dataset that is there. A folder with anything else is never replaced.
        wait: wait for another process that writes the same dataset, instead of raising.
        fingerprint: text that changes with anything in the dataset.

    Raises:
        InputError: something is there already, another process is writing it, or the disk refuses.
    """
    partial, digest, sums = _hidden(folder, "partial"), contents.start_digest(), ChunkSums(math.prod(contents.shape[1:]))
    with _locked(folder, wait=wait):
        keep = False
        with _disk_errors(folder):
            _restore(folder)
        check_output(folder, overwrite=overwrite)
        try:
            with _disk_errors(folder):
                try:
                    images, proportions = open_images(partial, contents.shape, fingerprint, (digest, sums))
                finally:
                    # Until the first image is appended, the note of an earlier writer stays valid.
                    keep = (partial / PROGRESS_FILE).exists()
            writer = DatasetWriter(
                folder=folder, partial=partial, contents=contents, images=images, digest=digest, sums=sums, fingerprint=fingerprint,
                written=len(proportions), proportions=_with_ones(proportions, len(contents.labels)),
            )  # fmt: skip
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
    """Raise `InputError` unless `folder` may hold a new dataset: nothing is there, an empty folder, or a dataset to replace."""
    if not os.path.lexists(folder):
        return
    try:
        names = {item.name for item in folder.iterdir()} if folder.is_dir() else None
    except OSError as error:
        raise InputError(f"cannot read --output {folder}: {error.strerror}") from error
    # Arrays of these names without a description may be somebody's own.
    descriptions = {DATASET_FILE, OLD_DATASET_FILE}
    known = {IMAGES_FILE, LABELS_FILE, PROPORTIONS_FILE, *descriptions}
    if names is None or (names and not (names & descriptions and names <= known)):
        raise InputError(f"{folder} exists and is no dataset; choose another --output")
    if names and not overwrite:
        raise InputError(f"{folder} exists; choose another --output or give --overwrite true")


def open_images(
    partial: Path, shape: Shape, fingerprint: str | None, digests: Digests
) -> tuple[IO[bytes], Float32[np.ndarray, " written"]]:
    """The file to append images to, and the proportions of those of an earlier writer in it, which enter the digests.

    Raises:
        InputError: there is too little space for the rest.
        OSError: the disk refuses.
    """
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    start, image_bytes = len(header.getvalue()), shape[1] * shape[2] * shape[3]
    proportions = _noted_proportions(partial, fingerprint)
    written = len(proportions)
    if not 0 < written <= shape[0] or (partial / IMAGES_FILE).stat().st_size < start + written * image_bytes:
        written, proportions = 0, proportions[:0]
    if not written and partial.exists():
        shutil.rmtree(partial)
    missing, free = (shape[0] - written) * image_bytes, shutil.disk_usage(partial.parent).free
    if free < missing:
        megabytes = f"{missing / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB free"
        raise InputError(f"too little space for {partial.parent}: {megabytes}; a smaller --size needs less")
    if written:
        return _continue(partial / IMAGES_FILE, start, written, shape, digests), proportions
    partial.mkdir()
    images: IO[bytes] = (partial / IMAGES_FILE).open("wb")
    images.write(header.getvalue())
    return images, proportions


def _hidden(folder: Path, purpose: str) -> Path:
    return folder.with_name(f".{folder.name}.{purpose}")


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from error


@contextmanager
def _closing(images: IO[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        with suppress(OSError):  # A full disk refuses the last bytes once more.
            images.close()


@contextmanager
def _locked(folder: Path, *, wait: bool) -> Iterator[None]:
    """One writer at a time. The lock ends with its process, in whatever way.

    Missing parents of the dataset are made; those that are empty at the end are removed.
    """
    lock = FileLock(_hidden(folder, "lock"), timeout=-1 if wait else 0)
    made: list[Path] = []
    try:
        with _disk_errors(folder):
            made += [parent for parent in folder.parents if not parent.exists()]
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire()
            except Timeout as error:
                raise InputError(f"another process is writing {folder}") from error
        try:
            yield
        finally:
            # While it is held: a waiting process then sees that the file is gone, and makes another.
            with suppress(OSError):
                Path(lock.lock_file).unlink()
            lock.release()
    finally:
        with suppress(OSError):  # one of them is not empty
            for parent in made:
                parent.rmdir()


def _restore(folder: Path) -> None:
    """Undo or complete a replacement during which a writer was killed."""
    replaced = _hidden(folder, "replaced")
    if replaced.exists() and not folder.exists():
        replaced.rename(folder)
    if replaced.exists():
        shutil.rmtree(replaced)


def _publish(partial: Path, folder: Path) -> None:
    """Give a finished dataset its name, replacing an earlier one."""
    for file in partial.iterdir():
        if file.name not in (DATASET_FILE, IMAGES_FILE, LABELS_FILE, PROPORTIONS_FILE):
            file.unlink()  # the note of progress, and one during which an earlier writer was killed
    for file in partial.iterdir():
        with file.open("rb") as written:
            os.fsync(written.fileno())
    sync_folder(partial)
    replaced = _hidden(folder, "replaced")
    if folder.exists():
        folder.rename(replaced)
    partial.rename(folder)
    sync_folder(folder.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _save_proportions(path: Path, proportions: Float32[np.ndarray, " image"]) -> None:
    with replace_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, proportions, allow_pickle=False)


def _with_ones(proportions: Float32[np.ndarray, " written"], count: int) -> Float32[np.ndarray, " image"]:
    return np.concatenate([proportions, np.ones(count - len(proportions), dtype=np.float32)])


def _noted_proportions(partial: Path, fingerprint: str | None) -> Float32[np.ndarray, " written"]:
    """The proportions of the images that an earlier writer of the same dataset noted; of none if there was none."""
    none = np.empty(0, dtype=np.float32)
    try:
        note = json.loads((partial / PROGRESS_FILE).read_text(encoding="utf-8"))
        if fingerprint is None or note["fingerprint"] != fingerprint:
            return none
        proportions = np.load(partial / PROPORTIONS_FILE, allow_pickle=False)[: int(note["images"])]
        return proportions if len(proportions) == int(note["images"]) and proportions.dtype == np.float32 else none
    except (OSError, ValueError, LookupError, TypeError, EOFError):
        return none


def _continue(path: Path, start: int, images: int, shape: Shape, digests: Digests) -> IO[bytes]:
    """The file of an earlier writer, at the end of the noted images, which enter the digests."""
    file = path.open("r+b")
    try:
        file.seek(start)
        _reread(file, images, shape, digests)
        file.truncate(file.tell())
    except BaseException:
        file.close()
        raise
    return file


def _reread(file: IO[bytes], images: int, shape: Shape, digests: Digests) -> None:
    # Read rather than mapped, as pages of a map count as memory of the process.
    piece = max(1, REREAD_BYTES // (shape[1] * shape[2] * shape[3]))
    for start in range(0, images, piece):
        count = min(piece, images - start)
        content = file.read(count * shape[1] * shape[2] * shape[3])
        for digest in digests:
            digest.update(np.frombuffer(content, dtype=np.uint8).reshape(count, *shape[1:]))


def _was_stopped(error: BaseException) -> bool:
    """Whether the images are fine: Ctrl-C, or the system killed a process that decodes."""
    return isinstance(error, KeyboardInterrupt) or isinstance(error.__cause__, BrokenProcessPool)


def _keep(writer: DatasetWriter) -> bool:
    """Save the progress for the next writer; False if there is none to save."""
    if writer.fingerprint is None or writer.written == 0 or writer.images.closed:
        return False
    try:
        writer.save_progress()
    except InputError:
        return False
    return True
