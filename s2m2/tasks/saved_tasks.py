"""Task files, with which two programs score the same tasks.

A NumPy archive (.npz) without pickles. The tasks are concatenated in flat arrays, as they may differ in size:

    sizes         "task 3"   ways, support images and queries of each task
    classes       " way"     class number of each way
    support       " item"    image numbers of the support, in order of the ways
    support_ways  " item"    way of each
    query         " query"   image numbers of the queries
    query_ways    " query"   way of each; -1: a class that is not in the task
    spec          text       JSON: how the tasks were sampled; {} where unknown
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from s2m2.archives import archive_fault
from s2m2.errors import InputError
from s2m2.io import check_regular, parse_json, replace_file
from s2m2.recipe.evaluation import ProtocolName
from s2m2.tasks.episodes import OPEN_SET, EpisodeIndices, EpisodeSpec, TaskSource, join_episodes
from s2m2.tasks.sampler import BLOCK

FIELDS = {"classes": 0, "support": 1, "support_ways": 1, "query": 2, "query_ways": 2}
"""Flat arrays, and the column of `sizes` that counts their entries."""
OLD_KEYS = {"unknown": "open_set_classes"}
"""Keys of `spec` in files of s2m2 0.1.0."""


class SavedTasks:
    """Tasks of a file, as indices into features."""

    def __init__(self, spec: EpisodeSpec, tasks: list[EpisodeIndices], digest: str) -> None:
        """Tasks as they are.

        Args:
            digest: SHA-256 over the arrays of the file, hexadecimal.
        """
        self.spec = spec
        self.digest = digest
        self.tasks = len(tasks)
        self._tasks = tasks

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-self.tasks // BLOCK)

    def block(self, number: int) -> list[EpisodeIndices]:
        """The tasks of a block in order; consecutive tasks of one size are together."""
        chosen = self._tasks[number * BLOCK : (number + 1) * BLOCK]
        return [join_episodes(list(group)) for _, group in groupby(chosen, key=lambda task: task.size)]


def save_tasks(path: Path, source: TaskSource, spec: EpisodeSpec, images: Int64[Tensor, " image"]) -> None:
    """Write tasks, whole or not at all.

    Args:
        images: number in the image dataset of each image that the indices of the tasks refer to.
    """
    pieces: dict[str, list[np.ndarray]] = {name: [] for name in (*FIELDS, "sizes")}
    for number in range(source.blocks):
        for part in source.block(number):
            for name in FIELDS:
                values = getattr(part, name)
                pieces[name].append((images[values] if name in ("support", "query") else values).flatten().numpy())
            pieces["sizes"].append(np.tile(np.array(part.size[:3], dtype=np.int64), (len(part), 1)))
    arrays = {name: np.concatenate(parts) for name, parts in pieces.items()}
    with replace_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, spec=np.array(json.dumps(asdict(spec))), **arrays)


def load_tasks(path: Path, images: Int64[Tensor, " image"], labels: Int64[Tensor, " image"]) -> SavedTasks:
    """Tasks that `save_tasks`, or another program, wrote.

    Args:
        images: number in the image dataset of each image with features.
        labels: class number of each.

    Raises:
        InputError: the file is missing or of another form, an image in it is missing here, twice in a task or of another class,
            or the tasks do not match `spec`.
    """
    arrays = _read(path)
    ends = {name: np.cumsum(arrays["sizes"][:, column])[:-1] for name, column in FIELDS.items()}
    indices = {name: torch.from_numpy(_indices(path, arrays[name], images.numpy())) for name in ("support", "query")}
    values = {name: indices.get(name, torch.from_numpy(arrays[name])) for name in FIELDS}
    _check_ways(path, values, arrays["sizes"], labels)
    _check_once(path, values, arrays["sizes"])
    pieces = {name: values[name].tensor_split(torch.from_numpy(ends[name])) for name in FIELDS}
    tasks = []
    for number in range(len(arrays["sizes"])):
        task = {name: pieces[name][number][None] for name in FIELDS}
        counts = task["support_ways"][0].bincount(minlength=task["classes"].shape[1])
        even = bool((counts == counts[0]).all() and (task["support_ways"].diff() >= 0).all())
        tasks.append(EpisodeIndices(**task, shots=int(counts[0]) if even else None))
    return SavedTasks(_spec(path, str(arrays["spec"]), tasks), tasks, _digest(arrays))


def _read(path: Path) -> dict[str, np.ndarray]:
    check_regular(path)
    try:
        with path.open("rb") as file:
            if fault := archive_fault(path):
                raise ValueError(f"it {fault}")
            stored = np.load(file, allow_pickle=False)
            if isinstance(stored, np.ndarray):
                raise ValueError("it is a single array, not an archive of arrays")
            arrays = {name: stored[name] for name in (*FIELDS, "sizes", "spec")}
    except FileNotFoundError as error:
        raise InputError(f"no file of tasks {path}") from error
    except KeyError as error:
        raise InputError(f"{path} holds no tasks: it has no array {error.args[0].split()[0]}") from error
    except (OSError, ValueError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} holds no tasks: {' '.join(str(error).split())}") from error
    sizes = arrays["sizes"]
    whole = all(np.issubdtype(arrays[name].dtype, np.integer) for name in (*FIELDS, "sizes"))
    if not whole or sizes.ndim != 2 or sizes.shape[1] != 3 or not len(sizes) or sizes.min() < 1:
        raise InputError(f"{path} holds no tasks: sizes must be whole numbers above 0, three a task")
    for name, column in FIELDS.items():
        if arrays[name].shape != (sizes[:, column].sum(),):
            raise InputError(f"{path}: {name} has {arrays[name].size} entries, but sizes add up to {sizes[:, column].sum()}")
    return {name: array.astype(np.int64) if name != "spec" else array for name, array in arrays.items()}


def _digest(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 over the tasks alone, without `spec` and compression."""
    digest = hashlib.sha256()
    for name in ("sizes", *FIELDS):
        digest.update(arrays[name].astype("<i8").tobytes())
    return digest.hexdigest()


def _indices(path: Path, numbers: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Positions of image numbers among `images`."""
    order = images.argsort()
    positions = np.searchsorted(images, numbers, sorter=order).clip(max=len(images) - 1)
    indices = order[positions]
    missing = numbers[images[indices] != numbers]
    if len(missing):
        raise InputError(f"{path} names image {missing[0]}, which is not among the {len(images):,} images of this evaluation")
    return indices


def _check_ways(path: Path, values: dict[str, Tensor], sizes: np.ndarray, labels: Int64[Tensor, " image"]) -> None:
    """Check that every image is of the class of its way, and every way has support."""
    first_way = torch.from_numpy(np.cumsum(sizes[:, 0]) - sizes[:, 0])
    for name, column in (("support", 1), ("query", 2)):
        task = torch.arange(len(sizes)).repeat_interleave(torch.from_numpy(sizes[:, column]))
        ways = values[f"{name}_ways"]
        invalid = (ways >= torch.from_numpy(sizes[:, 0])[task]) | (ways < (OPEN_SET if name == "query" else 0))
        if invalid.any():
            raise InputError(f"{path}: {name}_ways of task {int(task[invalid][0])} has {int(ways[invalid][0])}, which is no way of it")
        closed = ways != OPEN_SET
        position = (first_way[task] + ways)[closed]
        wrong = labels[values[name]][closed] != values["classes"][position]
        if wrong.any():
            raise InputError(f"{path}: a {name} image of task {int(task[closed][wrong][0])} is not of the class of its way; other data?")
        if name == "support" and len(position.unique()) != len(values["classes"]):
            raise InputError(f"{path}: a class of a task has no support")


def _check_once(path: Path, values: dict[str, Tensor], sizes: np.ndarray) -> None:
    """Check that a task has each class and each image once, and at least one query of its classes."""
    numbers = torch.arange(len(sizes))
    ways, support, queries = (numbers.repeat_interleave(torch.from_numpy(sizes[:, column])) for column in range(3))
    members = {
        "a class": (ways, values["classes"]),
        "an image": (torch.cat([support, queries]), torch.cat([values["support"], values["query"]])),
    }
    for what, (tasks, entries) in members.items():
        pairs, counts = torch.stack([tasks, entries]).unique(dim=1, return_counts=True)
        if (counts > 1).any():
            raise InputError(f"{path}: task {int(pairs[0, counts > 1][0])} has {what} twice")
    closed = torch.bincount(queries[values["query_ways"] != OPEN_SET], minlength=len(sizes))
    if not closed.all():
        raise InputError(f"{path}: task {int((closed == 0).nonzero()[0])} has no query of its classes")


def _spec(path: Path, text: str, tasks: list[EpisodeIndices]) -> EpisodeSpec:
    """How the tasks were sampled; `stored` where unknown."""
    ways, shots, queries = (_common(values) for values in zip(*map(_counts, tasks), strict=True))
    try:
        stated = parse_json(text)
        if not stated:
            return EpisodeSpec(ways=ways, shots=shots, queries=queries, tasks=len(tasks), protocol="stored")
        if stated.get("protocol", "fixed") not in get_args(ProtocolName):
            raise ValueError(f"protocol {stated['protocol']} cannot be sampled")
        spec = replace(EpisodeSpec(**{OLD_KEYS.get(key, key): value for key, value in stated.items()}), tasks=len(tasks))
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: spec does not describe tasks: {' '.join(str(error).split())}") from error
    counted = {"ways": ways, "shots": shots, **({"queries": queries} if spec.protocol == "fixed" else {})}
    for name, count in counted.items() if spec.protocol != "variable" else ():
        if getattr(spec, name) != count or not count:
            raise InputError(f"{path}: spec says {name} {getattr(spec, name)}, but the tasks have {count or 'different numbers'}")
    return spec


def _counts(task: EpisodeIndices) -> tuple[int, int, int]:
    """Ways, shots and queries per class of a task; 0 where classes differ."""
    queries = task.query_ways[task.query_ways != OPEN_SET].bincount(minlength=task.ways).tolist()
    return task.ways, task.shots or 0, _common(queries)


def _common(values: Iterable[int]) -> int:
    """The one value that all are; 0 where they differ."""
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else 0
