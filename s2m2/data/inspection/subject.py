"""`Subject`: what is inspected, a dataset or images on disk, seen alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from s2m2.data.catalog import DRAWN
from s2m2.data.dataset import DATASET_FILE, ImageDataset, Split, open_dataset
from s2m2.data.decoding import decode_whole
from s2m2.data.image import ListedImage
from s2m2.data.inspection.expectation import Expectation, expectation_of
from s2m2.data.sources import survey_source
from s2m2.data.sources.listing import LeftOut
from s2m2.data.sources.scanning import Flaw
from s2m2.data.splitting import OF_SOURCE, split_classes, splits_origin
from s2m2.errors import InputError


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A dataset whose images can be read one by one."""

    name: str
    place: str
    """Where it lies, as the user named it."""
    labels: Int64[np.ndarray, " image"]
    class_names: tuple[str, ...]
    splits: Mapping[Split, tuple[int, ...]]
    """Class numbers of each split; empty where they could not be told."""
    read: Callable[[int], UInt8[np.ndarray, "height width 3"]]
    """The image of a row; raises `InputError` where it cannot be read."""
    image_name: Callable[[int], str]
    """What to call the image of a row: its path inside the source where it has one."""
    images: tuple[ListedImage, ...] = ()
    """Images on disk, by row; none where it is a dataset."""
    dataset: ImageDataset | None = None
    """The dataset, where it is one; its digest is verified."""
    expected: Expectation | None = None
    """What the dataset of this name consists of."""
    left_out: Mapping[LeftOut, int] = field(default_factory=dict)
    """Files and images of the source that are passed over, by the reason."""
    flaws: tuple[Flaw, ...] = ()
    """For what the source is refused by `s2m2 prepare`."""
    fault: str | None = None
    """Why the dataset cannot be prepared, though its images can be looked at."""


def subject_of(
    data: str,
    *,
    dataset: str = "auto",
    splits: str | None = None,
    seed: int = 0,
    box: bool = False,
    rotated: bool = False,
) -> Subject:
    """A drawn dataset by name, a dataset by its folder, or images on disk. `DoctorConfig` describes the arguments.

    Raises:
        InputError: it is none of these, or an argument does not go with it.
    """
    folder = Path(data).expanduser()
    if data not in DRAWN and not (folder / DATASET_FILE).is_file():
        return folder_subject(folder, dataset=dataset, splits=splits, seed=seed, box=box, rotated=rotated)
    for flag, given in (("splits", splits is not None), ("seed", seed != 0), ("box", box), ("rotated", rotated)):
        if given:
            raise InputError(f"--{flag} is for images on disk, but {data} is a dataset already")
    return dataset_subject(DRAWN[data]() if data in DRAWN else open_dataset(folder), place=data, named=dataset)


def dataset_subject(dataset: ImageDataset, *, place: str, named: str = "auto") -> Subject:
    """A dataset; its settings tell which dataset it was made of, unless `named` does.

    Raises:
        InputError: there is no dataset of that name.
    """
    # Drawn datasets have no source, and one way to be split.
    found, splits = (place, OF_SOURCE) if place in DRAWN else (dataset.settings.get("named"), dataset.settings.get("splits"))
    return Subject(
        name=dataset.name,
        place=place,
        labels=dataset.labels,
        class_names=dataset.class_names,
        splits=dataset.splits,
        read=lambda row: dataset.images[row],
        image_name=lambda row: f"{dataset.class_names[dataset.labels[row]]} #{row}",
        dataset=dataset,
        expected=expectation_of(
            named, found if isinstance(found, str) else None, splits=str(splits), rotated=dataset.settings.get("rotated") is True
        ),
    )


def folder_subject(
    folder: Path, *, dataset: str = "auto", splits: str | None = None, seed: int = 0, box: bool = False, rotated: bool = False
) -> Subject:
    """Images on disk. What is missing or cannot be split is a flaw or a fault of the subject rather than an error.

    Raises:
        InputError: there is no such folder, or nothing in it that is laid out as a dataset, or no image at all.
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
        read=lambda row: decode_whole(listing.images[row]),
        images=listing.images,
        image_name=lambda row: _name_inside(listing.root, listing.images[row]),
        expected=expectation_of(dataset, listing.dataset, splits=splits_origin(splits, listing.splits), rotated=rotated),
        left_out=listing.left_out,
        flaws=listing.flaws,
        fault=fault,
    )


def _name_inside(root: Path, image: ListedImage) -> str:
    name = image.name.removeprefix(f"{root}/")
    return f"{name} turned by {90 * image.rot90} degrees" if image.rot90 else name
