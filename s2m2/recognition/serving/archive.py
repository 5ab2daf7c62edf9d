"""A model's folder as a zip file: what `model.json` names, and nothing else that lies there."""

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from s2m2.errors import InputError
from s2m2.recognition.saving import BACKBONE, CARD, MODEL

CHUNK = 2**18
"""Bytes."""


class Archive:
    """A zip file without a name, read by several downloads at their own pace; it ends with the last of them."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._reading = file, threading.Lock()
        self.size = file.seek(0, io.SEEK_END)
        """In bytes."""

    def __del__(self) -> None:
        self._file.close()

    def chunks(self) -> Iterator[bytes]:
        """The whole file, piece by piece."""
        for start in range(0, self.size, CHUNK):
            with self._reading:
                self._file.seek(start)
                chunk = self._file.read(CHUNK)
            yield chunk


def packed(folder: Path) -> Archive:
    """The model in a folder, packed.

    Raises:
        InputError: a file of it is missing, or a link, which may lead anywhere.
    """
    file, name = TemporaryFile(), Path(folder.resolve().name)  # noqa: SIM115 (the archive closes it)
    try:
        _refuse_link(folder / MODEL, folder)
        about = (folder / MODEL).read_bytes()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr((name / MODEL).as_posix(), about)
            for path in _files(folder, about):
                _refuse_link(path, folder)
                archive.write(path, name / path.relative_to(folder))
    except (OSError, ValueError, KeyError) as error:
        file.close()
        raise InputError(f"the model cannot be packed: {getattr(error, 'strerror', None) or error}") from error
    return Archive(file)


def _files(folder: Path, about: bytes) -> list[Path]:
    """All files of a model but `model.json`."""
    content = json.loads(about)
    files = [folder / Path(name).name for name in content["files"]]
    if (folder / CARD).exists():
        files.append(folder / CARD)
    if content["settings"]["backbone"] == BACKBONE:
        inside = sorted((folder / BACKBONE).rglob("*"))
        files += [path for path in inside if path.is_symlink() or path.is_file()]
    return files


def _refuse_link(path: Path, folder: Path) -> None:
    inside = path.relative_to(folder)
    if any((folder / part).is_symlink() for part in (inside, *inside.parents[:-1])):
        raise InputError(f"{inside} is a link; copy the folder with its files")
