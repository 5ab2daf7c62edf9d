"""Data sets by name or folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int64, UInt8

from s2m2.data.glyphs import glyph_table
from s2m2.data.learn2learn import CLASSES, downloaded_table
from s2m2.data.table import ImageTable, Split, open_table
from s2m2.errors import InputError
from s2m2.recipe import DataConfig, EvaluateConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageTables:
    """The pictures of a run. Usually one table has all of them; across domains, base, validation and novel classes have their own."""

    base: ImageTable
    """Pictures that the network is trained on."""
    validation: ImageTable
    novel: ImageTable
    queries: ImageTable | None = None
    """Where the queries of tasks come from, whose classes have the same names; None: where their support comes from."""

    def of(self, split: Split) -> ImageTable:
        """The table with the classes of a split."""
        return {"base": self.base, "validation": self.validation, "novel": self.novel}[split]

    @classmethod
    def of_one(cls, table: ImageTable) -> "ImageTables":
        """All splits from one table."""
        return cls(base=table, validation=table, novel=table)

    def digest(self, split: Split) -> str:
        """What tells the pictures of the tasks of a split from others."""
        digest = self.of(split).digest
        return digest if self.queries is None else f"{digest}+{self.queries.digest}"

    def picture(self, split: Split, row: int) -> UInt8[np.ndarray, "height width 3"]:
        """A picture by its row in the table of a split; rows beyond its end are those of `queries`."""
        table = self.of(split)
        if row < len(table.images):
            return table.images[row]
        assert self.queries is not None
        return self.queries.images[row - len(table.images)]


DRAWN = {"glyphs": glyph_table}
"""Data sets that need no files."""


def load_table(name_or_folder: str, download: Literal["learn2learn"] | None = None) -> ImageTable:
    """The table of a named data set, or the one that `s2m2 prepare` wrote into a folder.

    Args:
        download: have learn2learn download the named data set, unless it is in the user's cache already.

    Raises:
        InputError: it is neither, or cannot be downloaded.
    """
    if download is not None:
        return downloaded_table(name_or_folder)
    if name_or_folder in DRAWN:
        return DRAWN[name_or_folder]()
    folder = Path(name_or_folder).expanduser()
    if not folder.is_dir():
        known = ", ".join(DRAWN)
        hint = "; --data.download learn2learn obtains it" if name_or_folder in CLASSES else ""
        raise InputError(f"no data set {name_or_folder}: neither a folder that `s2m2 prepare` wrote nor one of {known}{hint}")
    return open_table(folder)


def load_tables(data: DataConfig, evaluate: EvaluateConfig) -> ImageTables:
    """The tables that a recipe names.

    Raises:
        InputError: one of them is not there.
    """
    base = load_table(data.table, data.download)
    named = {"data.validation_table": data.validation_table, "evaluate.novel_table": evaluate.novel_table}
    named["evaluate.query_table"] = evaluate.query_table
    others = {flag: _load_other(flag, table, data.download) if table is not None else None for flag, table in named.items()}
    validation, novel, queries = others.values()
    return ImageTables(base=base, validation=validation or base, novel=novel or base, queries=queries)


def _load_other(flag: str, table: str, download: Literal["learn2learn"] | None) -> ImageTable:
    try:
        # A data set that is downloaded goes by its name; beside it, prepared tables go by their folders.
        return load_table(table, download if table in CLASSES and not Path(table).is_dir() else None)
    except InputError as error:
        raise InputError(f"--{flag}: {error}") from error


def query_rows(tables: ImageTables, split: Split) -> tuple[Int64[np.ndarray, " row"], Int64[np.ndarray, " row"]]:
    """Pictures of `tables.queries` that may be queries of tasks of a split, and the class number of each in the table of the split.

    What counts are the names of the classes: whatever split the query table has them in, they are those of the support.

    Raises:
        InputError: the tables have no class of the split in common, or are one and the same.
    """
    assert tables.queries is not None
    support, queries = tables.of(split), tables.queries
    if queries.digest == support.digest:
        raise InputError(f"--evaluate.query_table has {queries.name}, where the support comes from: pictures would be their own queries")
    numbers = {support.class_names[number]: number for number in support.splits[split]}
    number_of = np.array([numbers.get(name, -1) for name in queries.class_names])
    labels = number_of[queries.labels]
    rows = np.flatnonzero(labels >= 0)
    if not len(rows):
        raise InputError(f"--evaluate.query_table has {queries.name}, which has no class of the {split} classes of {support.name}")
    return rows, labels[rows]
