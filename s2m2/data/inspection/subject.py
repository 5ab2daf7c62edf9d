"""`Subject`: what is inspected, a dataset or images on disk, and the counts that it should have."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from s2m2.data.catalog import DRAWN
from s2m2.data.dataset import ImageDataset, Split, dataset_file, open_dataset
from s2m2.data.decode import USUAL, ListedImage, Reading, decode_whole
from s2m2.data.sources import survey_source
from s2m2.data.sources.listing import Flaw, LeftOut
from s2m2.data.splits import OF_SOURCE, ROTATIONS, split_classes, splits_origin
from s2m2.data.standard_datasets import DATASETS
from s2m2.errors import InputError
from s2m2.io import expanded
from s2m2.recipe.command_settings import NAME_PLACEHOLDER

ALL = "all"
"""Name of the whole dataset, beside the names of its splits."""


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """Numbers of classes and images that a dataset should have."""

    dataset: str
    """Its name in papers."""
    classes: Mapping[str, int]
    """By split, and of the whole dataset; of the whole alone if the splits are others."""
    images: Mapping[str, int]
    """As the classes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A dataset whose images can be read one by one."""

    name: str
    path: str
    """Its path or name, as the user gave it."""
    labels: Int64[np.ndarray, " image"]
    class_names: tuple[str, ...]
    splits: Mapping[Split, tuple[int, ...]]
    """Class numbers of each split; empty if they cannot be told."""
    read: Callable[[int], UInt8[np.ndarray, "height width 3"]]
    """An image by its index; raises `InputError` if it cannot be read."""
    image_name: Callable[[int], str]
    """Name of an image by its index: its path inside the source, if it has one."""
    images: tuple[ListedImage, ...] = ()
    """Images on disk; none of a prepared dataset."""
    dataset: ImageDataset | None = None
    """A prepared dataset, whose digest is verified."""
    expected: Expectation | None = None
    """Its published counts, if it is a standard dataset."""
    left_out: Mapping[LeftOut, tuple[str, ...]] = field(default_factory=dict)
    """Paths of ignored files and images of the source, by reason."""
    flaws: tuple[Flaw, ...] = ()
    """Reasons of `s2m2 prepare` to refuse the source."""
    reading: Reading = USUAL
    """What is accepted of images on disk."""
    fault: str | None = None
    """Why the dataset cannot be prepared, though its images can be inspected."""


def subject_of(
    data: str,
    *,
    dataset: str = "auto",
    splits: str | None = None,
    seed: int = 0,
    box: bool = False,
    rotated: bool = False,
    reading: Reading = USUAL,
) -> Subject:
    """A drawn dataset by name, a prepared one by its folder, or images on disk. `DoctorConfig` describes the arguments.

    Raises:
        InputError: it is none of these, or an argument does not go with it.
    """
    folder = expanded(data)
    if data not in DRAWN and not dataset_file(folder).is_file():
        return folder_subject(folder, dataset=dataset, splits=splits, seed=seed, box=box, rotated=rotated, reading=reading)
    for flag, is_set in (("splits", splits is not None), ("seed", seed != 0), ("box", box), ("rotated", rotated)):
        if is_set:
            raise InputError(f"--{flag} is for images on disk, but {data} is a dataset already")
    return dataset_subject(DRAWN[data]() if data in DRAWN else open_dataset(folder), path=data, named=dataset)


def dataset_subject(dataset: ImageDataset, *, path: str, named: str = "auto") -> Subject:
    """A prepared or drawn dataset. Its settings tell the standard dataset that it was made of, unless `named` does.

    Raises:
        InputError: there is no standard dataset of that name.
    """
    # Drawn datasets have no source, and one way to be split.
    settings = {"dataset": path, "splits": OF_SOURCE} if path in DRAWN else dataset.settings
    origin = settings.get("dataset")
    return Subject(
        name=dataset.name,
        path=path,
        labels=dataset.labels,
        class_names=dataset.class_names,
        splits=dataset.splits,
        read=lambda index: dataset.images[index],
        image_name=lambda index: f"{dataset.class_names[dataset.labels[index]]} #{index}",
        dataset=dataset,
        expected=expectation_of(
            named,
            origin if isinstance(origin, str) else None,
            splits=str(settings.get("splits")),
            rotated=settings.get("rotated") is True,
        ),
    )


def folder_subject(
    folder: Path,
    *,
    dataset: str = "auto",
    splits: str | None = None,
    seed: int = 0,
    box: bool = False,
    rotated: bool = False,
    reading: Reading = USUAL,
) -> Subject:
    """Images on disk. Missing images or impossible splits are flaws or a fault of the subject rather than an error.

    Raises:
        InputError: there is no such folder, no known layout in it, or no image at all.
    """
    listing = survey_source(folder, dataset, box=box, rotated=rotated)
    class_numbers: Mapping[Split, tuple[int, ...]] = {}
    fault = None
    try:
        class_numbers = split_classes(listing.class_names, splits, seed, listing.splits)
    except InputError as error:
        fault = str(error)
    return Subject(
        name=listing.name,
        path=str(folder),
        labels=np.array(listing.labels, dtype=np.int64),
        class_names=listing.class_names,
        splits=class_numbers,
        read=lambda index: decode_whole(listing.images[index], reading),
        images=listing.images,
        image_name=lambda index: _name_inside(listing.root, listing.images[index]),
        expected=expectation_of(dataset, listing.dataset, splits=splits_origin(splits, listing.splits), rotated=rotated),
        left_out=listing.left_out,
        flaws=listing.flaws,
        reading=reading,
        fault=fault,
    )


def expectation_of(dataset: str, recognized: str | None, *, splits: str, rotated: bool) -> Expectation | None:
    """The published counts of a dataset; None if there are none.

    Args:
        dataset: name of a standard dataset; or `auto`: the recognized one; or `own`: nothing is expected.
        recognized: the standard dataset of the images; None: own images.
        splits: origin of the splits, as in a dataset's settings.
        rotated: whether each class became four by rotations.

    Raises:
        InputError: there is no standard dataset of that name.
    """
    if dataset not in ("auto", "own", *DATASETS):
        raise InputError(f"--dataset is {dataset}, but must be auto, own or one of {', '.join(DATASETS)}")
    standard = DATASETS.get((recognized or "own") if dataset == "auto" else dataset)
    if standard is None:
        return None
    factor = len(ROTATIONS) if rotated else 1

    def scaled(counts: Mapping[Split, int]) -> dict[str, int]:
        by_split = dict(counts) if splits in (OF_SOURCE, standard.class_list) else {}
        return {ALL: factor * sum(counts.values()), **{split: factor * count for split, count in by_split.items()}}

    return Expectation(dataset=standard.title, classes=scaled(standard.classes), images=scaled(standard.images))


def page_path(output: str, subject: Subject) -> Path:
    """Path of the report page, with the name of the dataset filled in.

    Raises:
        InputError: it is inside the data, a folder is there already, or it cannot be written.
    """
    name = re.sub(r"[^\w.-]+", "-", subject.name).strip("-.") or "data"
    path = expanded(output.replace(NAME_PLACEHOLDER, name))
    if path.resolve().is_relative_to(expanded(subject.path).resolve()):
        raise InputError(f"--output {path} lies inside {subject.path}, which is to be left as it is")
    if path.exists() and not path.is_file():
        raise InputError(f"--output {path} is there already, and is no file")
    parent = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"--output {path} cannot be written: {parent} is {'write-protected' if parent.is_dir() else 'no folder'}")
    return path


def _name_inside(root: Path, image: ListedImage) -> str:
    name = image.name.removeprefix(f"{root}/")
    return f"{name} rotated by {90 * image.rot90} degrees" if image.rot90 else name
