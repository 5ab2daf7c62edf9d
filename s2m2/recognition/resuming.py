"""A long file of predictions in parts, so that a kill loses one part at most and the same call goes on after the others.

While it is made, `predictions.csv.parts` holds `call.json`, what the call was, and for each part its rows and a note of the images that
they are of. At the end the parts become `predictions.csv`, which is there whole or not at all. A file of few images has no parts.
"""

import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from glob import escape
from itertools import islice
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from s2m2.errors import InputError
from s2m2.io import expanded, parse_json, replace_file, sync_folder, write_text
from s2m2.recognition.bulk import Predictions
from s2m2.recognition.class_names import Label
from s2m2.recognition.prediction_files import join_predictions, open_predictions

PART_IMAGES, PART_SECONDS = 4096, 60.0
"""A part is written when it has so many images, or is so old."""
MAX_ERRORS = 5
"""Reasons that are kept for the message at the end."""
CALL = "call.json"
ROW = re.compile(r"\[\d+\]$")
"""Behind the name of a file of features."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Counts of the images of a part, or of all."""

    images: int = 0
    unknown: int = 0
    unreadable: int = 0
    errors: tuple[str, ...] = ()
    """The first reasons of images that could not be read."""

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            images=self.images + other.images,
            unknown=self.unknown + other.unknown,
            unreadable=self.unreadable + other.unreadable,
            errors=(self.errors + other.errors)[:MAX_ERRORS],
        )

    @classmethod
    def of(cls, part: Predictions) -> "Tally":
        """The counts of a batch."""
        errors = part.unreadable
        unknown = int(part.answers.unknown.sum())
        return cls(images=len(part.files), unknown=unknown, unreadable=len(errors), errors=tuple(errors[:MAX_ERRORS]))


class ResumableFile:
    """A file of predictions in the making.

    Args:
        output: the file; its ending tells the format.
        classes: of the model, in the order of its columns.
        call: what makes the predictions what they are, in plain values: arguments, digest of the model.
        overwrite: replace the file, and drop parts of another call.

    Raises:
        InputError: the file is there already, parts are of another call, or it cannot be written.
    """

    def __init__(self, output: Path, classes: Sequence[Label], call: Mapping[str, Any], *, overwrite: bool = False) -> None:
        self.output, self.classes, self.suffix = output, classes, output.suffix
        self.folder = output.with_name(f"{output.name}.parts")
        self.call: dict[str, Any] = json.loads(json.dumps(call))
        self.overwrite = overwrite
        self.current: _Part | None = None
        self.done, self.outdated = self._finished()
        self._check_new()
        check_writable(output)

    @property
    def tally(self) -> Tally:
        """Counts of the parts that are written."""
        return sum((note.tally for note in self.done), Tally())

    def remaining(self, photos: Iterator[Any], name: Callable[[Any], str] = str) -> Iterator[Any]:
        """The images after those of the parts that are written.

        Raises:
            InputError: the parts are of other images.
        """
        for note in self.done:
            digest, number = hashlib.sha256(), 0
            for photo in islice(photos, note.tally.images):
                digest.update(_line(name(photo)))
                number += 1
            if number < note.tally.images or digest.hexdigest() != note.digest:
                raise InputError(self._other("the images are not those of its first parts, or have changed"))
        return photos

    def write(self, batches: Iterable[Predictions], advance: Callable[[int], None] = lambda _: None, *, empty: bool = False) -> Tally:
        """Write all batches, join the parts, and return the counts.

        Args:
            empty: write a file without rows where there is no image, rather than none.

        Raises:
            InputError: the file cannot be written; parts remain.
        """
        with self._locked():
            try:
                with self._writing():
                    self._begin()
                for batch in batches:
                    with self._writing():
                        self._add(batch)
                    advance(len(batch.files))
                with self._writing():
                    if empty and self.current is None and not self.done:
                        self.current = _Part(self.output, self.suffix, self.classes)
                    return self._finish(self.current)
            finally:
                if self.current is not None:
                    self.current.discard()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What the disk refuses is one line; what reading an image does is none of this."""
        try:
            yield
        except OSError as error:
            raise InputError(f"--output {self.output} cannot be written: {error.strerror or error}{self._goes_on()}") from error

    def _begin(self) -> None:
        """Now that no other process writes: remove what a killed one left beside the output, and parts of another call."""
        if (self.done, self.outdated) != self._finished():
            raise InputError(f"--output {self.output} has just been written by another process")
        self._check_new()
        for rest in self.output.parent.glob(f".{escape(self.output.name)}.*.partial"):
            if rest.is_dir():
                shutil.rmtree(rest)
            else:
                rest.unlink(missing_ok=True)
        if self.outdated:
            self._remove_parts()

    def _check_new(self) -> None:
        if self.output.exists() and not self.overwrite:
            raise InputError(f"--output {self.output} is there already; --overwrite true replaces it")

    def _remove_parts(self) -> None:
        """By a rename first: should this end here, no half of the parts is left under their name."""
        rest = self.folder.with_name(f".{self.output.name}.{uuid.uuid4().hex[:8]}.partial")
        self.folder.rename(rest)
        shutil.rmtree(rest)

    def _add(self, batch: Predictions) -> None:
        if self.current is not None and self.current.is_full:
            self._keep(self.current)
            self.current = None
        self.current = self.current or _Part(self.output, self.suffix, self.classes)
        self.current.write(batch)

    def _finish(self, last: "_Part | None") -> Tally:
        total = self.tally + (last.tally if last is not None else Tally())
        if not self.done and last is not None:
            last.commit(self.output)
            return total
        if last is not None:
            self._keep(last)
        if not self.done:
            return total
        with replace_file(self.output) as joined:
            join_predictions([self.folder / note.file for note in self.done], joined, self.suffix, self.classes)
        self._remove_parts()
        return total

    def _keep(self, part: "_Part") -> None:
        """Make a part one of the written ones: its rows, then the note that makes them count."""
        if not self.done:
            if self.folder.is_symlink():
                raise InputError(f"{self.folder} is a link; nothing is written through it")
            self.folder.mkdir(exist_ok=True)
            write_text(self.folder / CALL, json.dumps(self.call, indent=1))
        file = f"part-{len(self.done) + 1:05d}{self.suffix}"
        part.commit(self.folder / file)
        note = _Note(file=file, digest=part.digest.hexdigest(), tally=part.tally)
        write_text((self.folder / file).with_suffix(".json"), json.dumps(asdict(note)))
        self.done.append(note)

    def _finished(self) -> tuple[list["_Note"], bool]:
        """Notes of the parts that an earlier start of this call has written, and whether there are parts of another call to remove.

        Raises:
            InputError: there are, and they are to be kept, or the folder is not one of parts.
        """
        if not self.folder.is_dir():
            return [], False
        call = _read_json(self.folder / CALL)
        if not isinstance(call, dict):
            if any(not entry.name.startswith(".") for entry in self.folder.iterdir()):
                raise InputError(f"{self.folder} is in the way, and holds no parts of predictions; move it, or name another --output")
            return [], False
        if call != self.call:
            if not self.overwrite:
                raise InputError(self._other(_difference(call, self.call)))
            return [], True
        notes: list[_Note] = []
        while (stored := _read_json(self.folder / f"part-{len(notes) + 1:05d}.json")) is not None:
            notes.append(_Note.from_dict(stored))
        return notes, False

    def _other(self, what: str) -> str:
        return f"{self.folder} holds parts of another call: {what}; to begin again, remove that folder, or name another --output"

    def _goes_on(self) -> str:
        return f"; the same command goes on after the {self.tally.images:,} images that are written" if self.done else ""

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Two processes that write the same parts would mix them."""
        lock = FileLock(self.output.with_name(f".{self.output.name}.lock"), timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise InputError(f"--output {self.output} is being written by another process") from error
        except NotImplementedError:  # a file system without locks
            yield
            return
        except OSError as error:
            raise InputError(f"--output {self.output} cannot be written: {error.strerror or error}") from error
        try:
            yield
        finally:
            with suppress(OSError):  # while it is held: later it might be that of another process
                Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()


@dataclass(frozen=True, kw_only=True)
class _Note:
    file: str
    digest: str
    """SHA-256 over the names of its images, and the length and modification time of each."""
    tally: Tally

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "_Note":
        tally = values["tally"]
        return cls(file=values["file"], digest=values["digest"], tally=Tally(**{**tally, "errors": tuple(tally["errors"])}))


class _Part:
    """Rows in a temporary file beside the output."""

    def __init__(self, output: Path, suffix: str, classes: Sequence[Label]) -> None:
        self.path = output.with_name(f".{output.name}.{uuid.uuid4().hex[:8]}.partial")
        self.file = open_predictions(self.path, suffix, classes)
        self.tally, self.digest, self.begun = Tally(), hashlib.sha256(), time.monotonic()

    @property
    def is_full(self) -> bool:
        return self.tally.images >= PART_IMAGES or time.monotonic() - self.begun >= PART_SECONDS

    def write(self, batch: Predictions) -> None:
        self.file.write(batch)
        self.tally += Tally.of(batch)
        for name in batch.files:
            self.digest.update(_line(name))

    def commit(self, target: Path) -> None:
        self.file.close()
        with self.path.open("rb") as written:
            os.fsync(written.fileno())
        self.path.replace(target)
        sync_folder(target.parent)

    def discard(self) -> None:
        """Remove what is not committed."""
        with suppress(OSError):  # closing writes what a full disk refuses
            self.file.close()
        self.path.unlink(missing_ok=True)


def check_writable(output: Path) -> None:
    """Find out before any work whether a file can be written; its folder is made.

    Raises:
        InputError: it cannot.
    """
    probe = output.with_name(f".{output.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        if output.is_dir():
            raise InputError(f"--output {output} is a folder; name a file in it")
        output.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"--output {output} cannot be written: {error.strerror or error}") from error


def _line(name: str) -> bytes:
    return os.fsencode(name) + f"\0{_stamp(name)}\0".encode()


def _stamp(name: str) -> str:
    """Length and modification time of an image, or of the file whose row it is; empty where there is none."""
    for file in (name, ROW.sub("", name)):
        with suppress(OSError, ValueError):
            state = expanded(file).stat()
            return f"{state.st_size} {state.st_mtime_ns}"
    return ""


def _read_json(file: Path) -> Any:
    try:
        return parse_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """In which argument two calls differ."""
    name = next(name for name in {**before, **now} if before.get(name) != now.get(name))
    if name in ("model", "s2m2"):
        return "the model has changed" if name == "model" else f"it was made by s2m2 {before.get(name)}"
    return f"its {name} was {before.get(name)}, and is now {now.get(name)}"
