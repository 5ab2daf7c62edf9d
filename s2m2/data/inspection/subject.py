"""`Subject`: what is inspected, a table or pictures on disk, seen alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from s2m2.data.catalog import DRAWN
from s2m2.data.decoding import decode_whole
from s2m2.data.inspection.expectation import Expectation, expectation_of
from s2m2.data.picture import Picture
from s2m2.data.sources import survey_source
from s2m2.data.sources.listing import LeftOut
from s2m2.data.sources.scanning import Flaw
from s2m2.data.splitting import OF_SOURCE, split_classes, splits_origin
from s2m2.data.table import TABLE_FILE, ImageTable, Split, open_table
from s2m2.errors import InputError


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A data set whose pictures can be read one by one."""

    name: str
    place: str
    """Where it lies, as the user named it."""
    labels: Int64[np.ndarray, " picture"]
    class_names: tuple[str, ...]
    splits: Mapping[Split, tuple[int, ...]]
    """Class numbers of each split; empty where they could not be told."""
    read: Callable[[int], UInt8[np.ndarray, "height width 3"]]
    """The picture of a row; raises `InputError` where it cannot be read."""
    picture_name: Callable[[int], str]
    """What to call the picture of a row: its path inside the source where it has one."""
    pictures: tuple[Picture, ...] = ()
    """Pictures on disk, by row; none where it is a table."""
    table: ImageTable | None = None
    """The table, where it is one; its digest is verified."""
    expected: Expectation | None = None
    """What the data set of this name consists of."""
    left_out: Mapping[LeftOut, int] = field(default_factory=dict)
    """Files and pictures of the source that are passed over, by the reason."""
    flaws: tuple[Flaw, ...] = ()
    """For what the source is refused by `s2m2 prepare`."""
    fault: str | None = None
    """Why the data set cannot be prepared, though its pictures can be looked at."""


def subject_of(
    data: str,
    *,
    dataset: str = "auto",
    splits: str | None = None,
    seed: int = 0,
    box: bool = False,
    rotated: bool = False,
) -> Subject:
    """A drawn data set by name, a table by its folder, or pictures on disk. `DoctorConfig` describes the arguments.

    Raises:
        InputError: it is none of these, or an argument does not go with it.
    """
    folder = Path(data).expanduser()
    if data not in DRAWN and not (folder / TABLE_FILE).is_file():
        return folder_subject(folder, dataset=dataset, splits=splits, seed=seed, box=box, rotated=rotated)
    for flag, given in (("splits", splits is not None), ("seed", seed != 0), ("box", box), ("rotated", rotated)):
        if given:
            raise InputError(f"--{flag} is for pictures on disk, but {data} is a table already")
    return table_subject(DRAWN[data]() if data in DRAWN else open_table(folder), place=data, dataset=dataset)


def table_subject(table: ImageTable, *, place: str, dataset: str = "auto") -> Subject:
    """A table; its settings tell which data set it was made of, unless `dataset` does.

    Raises:
        InputError: there is no data set of that name.
    """
    # Drawn tables have no source, and one way to be split.
    found, splits = (place, OF_SOURCE) if place in DRAWN else (table.settings.get("dataset"), table.settings.get("splits"))
    return Subject(
        name=table.name,
        place=place,
        labels=table.labels,
        class_names=table.class_names,
        splits=table.splits,
        read=lambda row: table.images[row],
        picture_name=lambda row: f"{table.class_names[table.labels[row]]} #{row}",
        table=table,
        expected=expectation_of(
            dataset, found if isinstance(found, str) else None, splits=str(splits), rotated=table.settings.get("rotated") is True
        ),
    )


def folder_subject(
    folder: Path, *, dataset: str = "auto", splits: str | None = None, seed: int = 0, box: bool = False, rotated: bool = False
) -> Subject:
    """Pictures on disk. What is missing or cannot be split is a flaw or a fault of the subject rather than an error.

    Raises:
        InputError: there is no such folder, or nothing in it that is laid out as a data set, or no picture at all.
    """
    listing = survey_source(folder, dataset, box=box, rotated=rotated)
    numbers: Mapping[Split, tuple[int, ...]] = {}
    fault = None
    try:
        numbers = split_classes(listing.class_names, splits, seed, listing.splits)
    except InputError as error:
        fault = str(error)
    return Subject(
        name=listing.name,
        place=str(folder),
        labels=np.array(listing.labels, dtype=np.int64),
        class_names=listing.class_names,
        splits=numbers,
        read=lambda row: decode_whole(listing.pictures[row]),
        pictures=listing.pictures,
        picture_name=lambda row: _name_inside(listing.root, listing.pictures[row]),
        expected=expectation_of(dataset, listing.dataset, splits=splits_origin(splits, listing.splits), rotated=rotated),
        left_out=listing.left_out,
        flaws=listing.flaws,
        fault=fault,
    )


def _name_inside(root: Path, picture: Picture) -> str:
    name = picture.name.removeprefix(f"{root}/")
    return f"{name} turned by {90 * picture.quarter_turns} degrees" if picture.quarter_turns else name
