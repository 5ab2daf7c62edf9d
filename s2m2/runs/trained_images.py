"""The images that a run is trained on, told by their content: fixed at its first step, under whatever path they lie later."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from s2m2.console import console, first_named, literal
from s2m2.data.catalog import ImageDatasets
from s2m2.data.dataset import SPLITS, ImageDataset
from s2m2.errors import InputError
from s2m2.io import read_json, write_json
from s2m2.recipe import DataConfig
from s2m2.runs.directory import STAGES, RunDirectory
from s2m2.runs.provenance import read_provenance

ROLES = {"base": "path", "validation": "validation_dataset"}
"""What training reads, and the setting in `data` that names it; without the second, one dataset has both."""
SHOWN = 16
"""Digits of a digest that a message shows, as `s2m2 prepare` prints them."""


def has_begun(run: RunDirectory) -> bool:
    """Whether a stage was trained here, to its end or in part. Imported weights alone are of images that are not known."""
    ended = any(run.outcome(stage).exists() for stage in STAGES)
    return any(run.last(stage).exists() for stage in STAGES) or (ended and not run.imported.is_file())


def describe(dataset: ImageDataset) -> dict[str, Any]:
    """A dataset as a run remembers it: its digest, and what tells where another one differs."""
    counts = np.bincount(dataset.labels, minlength=len(dataset.class_names))
    splits = {split: {dataset.class_names[number]: int(counts[number]) for number in dataset.splits.get(split, ())} for split in SPLITS}
    facts = {"name": dataset.name, "digest": dataset.digest, "size": list(dataset.images.shape[1:3]), "splits": splits}
    return facts | ({"proportions": dataset.proportions_digest} if dataset.proportions is not None else {})


def record_images(run: RunDirectory, datasets: ImageDatasets) -> None:
    """Write which images a run is trained on, before its first step; a run that has begun keeps what it has."""
    if has_begun(run) and run.trained_images.is_file():
        return
    if has_begun(run):
        say = f"warning: --run {run.path}, begun by an older version, does not say what it is trained on"
        console.print(literal(f"{say}; from here on it keeps digest {datasets.base.digest[:SHOWN]}"), soft_wrap=True)
    write_json(run.trained_images, {role: describe(datasets.of(role)) for role in ("base", "validation")})


def read_images(run: RunDirectory) -> dict[str, Any] | None:
    """What `record_images` wrote; None where no training has begun, and for runs of 0.1.0.

    Raises:
        InputError: the file is damaged, or cannot be read now.
    """
    if not has_begun(run):
        return None
    try:
        images = read_json(run.trained_images)
        return {role: dict(images[role]) for role in ROLES}
    except FileNotFoundError:
        return None
    except InputError:
        raise
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"{run.trained_images}, which says what images the run is trained on, is damaged ({error})") from error


def trained_digest(run: RunDirectory) -> str | None:
    """Digest of the dataset of the base classes of a run; None where it is not known."""
    images = read_images(run)
    if images is not None:
        return str(images["base"]["digest"])
    digest = read_provenance(run).get("data", {}).get("digest") if has_begun(run) else None
    return str(digest) if digest is not None else None


def places(run: RunDirectory) -> tuple[str, ...]:
    """Settings that only say where the images of a run are, as it knows them by content."""
    everything = ("data.path", "data.download", "data.validation_dataset")
    return everything if read_images(run) is not None else everything[:2] if trained_digest(run) is not None else ()


def check_images(data: DataConfig, datasets: ImageDatasets, run: RunDirectory) -> None:
    """Raise `InputError` if a run was trained on other images than these; both digests are stated, and what differs."""
    images = read_images(run)
    known = images if images is not None else {"base": {"digest": trained_digest(run)}}
    for role, stored in known.items():
        dataset = datasets.of("base" if role == "base" else "validation")
        if stored["digest"] in (None, dataset.digest):
            continue
        setting = ROLES[role] if role == "base" or data.validation_dataset is not None else "path"
        what = f"--data.{setting} {getattr(data, setting)} holds other images than --run {run.path} is trained on"
        digests = f"digest {dataset.digest[:SHOWN]}, not {str(stored['digest'])[:SHOWN]}"
        found = "; ".join(changes(stored, dataset)) if "splits" in stored else "the run does not say what they were"
        ways = "name another --run, score them by --evaluate.novel_dataset, or train its weights on them after `s2m2 import`"
        raise InputError(f"{what}: {digests}; {found}; {ways}")


def check_proportions(data: DataConfig, datasets: ImageDatasets, run: RunDirectory) -> None:
    """Raise `InputError` if a stage that has begun would go on with training crops of other proportions; scores do not depend on them."""
    images = read_images(run)
    begun = any(run.last(stage).exists() and not run.outcome(stage).exists() for stage in STAGES)
    if begun and images is not None and images["base"].get("proportions", "") != datasets.base.proportions_digest:
        which = "has none" if datasets.base.proportions is None else "has others" if "proportions" in images["base"] else "has some"
        raise InputError(
            f"--run {run.path} is in the middle of a stage, and --data.path {data.path}, of equal images, {which} of what its squares were "
            "squeezed from, by which training cuts its crops; go on with the dataset that it began with, or name another --run"
        )


def changes(stored: Mapping[str, Any], dataset: ImageDataset) -> Iterator[str]:
    """What differs between a dataset that a run remembers and one of another digest."""
    now = describe(dataset)
    before, after = _split_of(stored), _split_of(now)
    if now["size"] != stored["size"]:
        yield f"images of {'x'.join(map(str, now['size']))} pixels, not {'x'.join(map(str, stored['size']))}"
    moved: dict[str, list[str]] = {}
    for name in [*before, *(name for name in after if name not in before)]:
        if before.get(name) != after.get(name):
            here, there = before.get(name, ("",))[0], after.get(name, ("",))[0]
            what = f"{here} to {there}" if here and there and here != there else "new" if not here else "gone" if not there else "counted"
            moved.setdefault(what, []).append(f"{name} ({before[name][1]} to {after[name][1]} images)" if what == "counted" else name)
    words = {"new": "new classes", "gone": "classes that are gone", "counted": "other numbers of images"}
    yield from (f"{words.get(what, f'from {what}')}: {first_named(names)}" for what, names in moved.items())
    if not moved and now["size"] == stored["size"]:
        yield "equal classes and numbers of images, but other pixels or another preparation"


def _split_of(described: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
    """Split and number of images of each class."""
    return {name: (split, count) for split in SPLITS for name, count in described["splits"][split].items()}
