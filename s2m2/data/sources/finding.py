"""Finding the files that a list names."""

import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from s2m2.data.sources.scanning import Flaw
from s2m2.data.wording import first_named
from s2m2.errors import InputError


class Finder:
    """Looks for files in several folders. Each folder is listed once, which takes a fraction of the time of asking for each file."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)
        self._names: dict[tuple[Path, str], frozenset[str]] = {}

    def find(self, name: str) -> Path | None:
        """The file of this name, relative to one of the folders; None: it is in none of them.

        Raises:
            InputError: files in two of the folders have this name.
        """
        found = list(dict.fromkeys(path for folder in self._folders if (path := self._at(folder, name)) is not None))
        if len(found) > 1:
            raise InputError(f"{name} is ambiguous: there are {found[0]} and {found[1]}")
        return found[0] if found else None

    def find_all(self, names: Iterable[str], origin: str) -> tuple[dict[str, Path], list[Flaw]]:
        """The files of these names; those that are not there are a flaw.

        Args:
            names: as a list gives them.
            origin: the list, for an error message.

        Raises:
            InputError: a name is listed twice, or files in two of the folders have one name.
        """
        found: dict[str, Path] = {}
        missing: list[str] = []
        twice: list[str] = []
        for name in names:
            if name in found:
                twice.append(name)
            elif (path := self.find(name)) is None:
                missing.append(name)
            else:
                found[name] = path
        if twice:
            raise InputError(f"{origin} names {len(twice):,} images more than once: {first_named(twice)}")
        return found, missing_flaws(missing, f"{origin} names")

    def _at(self, folder: Path, name: str) -> Path | None:
        # Accents are one character in some systems' file names and two in others', whatever the list has.
        forms = (name,) if name.isascii() else (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name))
        for form in forms:
            inside, _, last = form.rpartition("/")
            if last in self._listed(folder, inside if inside or not form.startswith("/") else "/"):
                return folder / form
        return None

    def _listed(self, folder: Path, inside: str) -> frozenset[str]:
        if (folder, inside) not in self._names:
            try:
                with os.scandir(folder / inside) as entries:
                    self._names[folder, inside] = frozenset(entry.name for entry in entries)
            except (OSError, ValueError):  # No file can have a name with a zero byte.
                self._names[folder, inside] = frozenset()
        return self._names[folder, inside]


def missing_flaws(missing: Sequence[str], what: str) -> list[Flaw]:
    """A flaw where images are missing; `what` begins the sentence: `train.csv names`."""
    message = f"{what} {len(missing):,} images that are not there: {first_named(missing)}"
    return [Flaw(kind="missing", message=message, items=tuple(missing))] if missing else []
