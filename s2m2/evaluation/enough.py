"""Whether a dataset is large enough for a recipe: everything that is missing at once, with flags and values that work."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from s2m2.console import count
from s2m2.data.batches import split_base
from s2m2.data.catalog import ImageDatasets
from s2m2.data.dataset import ImageDataset, Split
from s2m2.errors import InputError
from s2m2.recipe import EvaluateConfig, FinetuneConfig, PretrainConfig, Recipe

SHOTS_ONLY = ("s2m2", "dirichlet")
"""Protocols that need one query of every class, whatever `queries` is."""


@dataclass(frozen=True, kw_only=True)
class Shortage:
    """Something of which a recipe asks for more than a dataset has."""

    reason: str
    """What is missing, with the dataset or the class."""
    flags: tuple[str, ...] = ()
    """Flags with values that work; empty where no setting helps."""


def check_sizes(recipe: Recipe, datasets: ImageDatasets, parts: Sequence[str]) -> None:
    """Raise `InputError` if batches or tasks need more images or classes than there are, naming all that is to be changed.

    Args:
        parts: of the recipe that will run, of pretrain, finetune and evaluate.
    """
    shortages: list[Shortage] = []
    for stage in (recipe.pretrain, recipe.finetune):
        if stage.stage in parts and stage.epochs:
            shortages += [*_batches(recipe, stage, datasets.base), *_validation(stage, datasets.validation)]
    if "evaluate" in parts and not recipe.evaluate.tasks_from and datasets.queries is None:
        shortages += _tasks(recipe.evaluate, datasets.of(recipe.evaluate.split))
    if not shortages:
        return
    reasons = "; ".join(dict.fromkeys(shortage.reason for shortage in shortages))
    flags = " ".join(dict.fromkeys(flag for shortage in shortages for flag in shortage.flags))
    hopeless = any(not shortage.flags for shortage in shortages)
    works = f"; {'these help in part' if hopeless else 'this works'}: {flags}" if flags else ""
    again = "; prepare the dataset with other --splits, or leave small classes out by --min_images" if hopeless else ""
    raise InputError(f"too few images for the recipe: {reasons}{works}{again}")


def _batches(recipe: Recipe, config: PretrainConfig | FinetuneConfig, dataset: ImageDataset) -> Iterator[Shortage]:
    images, processes = len(split_base(dataset, recipe.data, recipe.seed).indices), recipe.runtime.devices * recipe.runtime.nodes
    if images >= config.batch_size:
        return
    sizes = [1 << power for power in range(1, 20) if 1 << power <= images and (1 << power) % processes == 0]
    flags = (f"--{config.stage}.batch_size {sizes[-1]}",) if sizes else ()
    flag = f"--{config.stage}.batch_size"
    yield Shortage(reason=f"{dataset.name} has {images:,} base images, fewer than the {config.batch_size:,} of {flag}", flags=flags)


def _validation(config: PretrainConfig | FinetuneConfig, dataset: ImageDataset) -> Iterator[Shortage]:
    tasks, at = config.validation, f"--{config.stage}.validation"
    numbers, counts = _classes(dataset, "validation")
    yield from _ways(dataset, "validation", len(numbers), (tasks.ways,), at)
    if (need := tasks.shots + tasks.queries) > counts.min():
        flags = _fewer(int(counts.min()), (tasks.shots,), tasks.queries, at)
        yield _small(dataset, numbers, counts, f"{at}.shots and {at}.queries", need, flags)


def _tasks(config: EvaluateConfig, dataset: ImageDataset) -> Iterator[Shortage]:
    kinds = [protocol for protocol in config.protocols if protocol != "variable"]
    if not kinds:
        return
    numbers, counts = _classes(dataset, config.split)
    yield from _ways(dataset, config.split, len(numbers), config.ways, "--evaluate")
    queries = config.queries if "fixed" in kinds else 1
    if (need := max(config.shots) + queries) > counts.min():
        flags = _fewer(int(counts.min()), config.shots, queries, "--evaluate")
        yield _small(dataset, numbers, counts, "--evaluate.shots and --evaluate.queries", need, flags)


def _classes(dataset: ImageDataset, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the classes of a split that have images, and how many each has."""
    numbers, counts = np.unique(dataset.labels[dataset.indices(split)], return_counts=True)
    return numbers, counts


def _ways(dataset: ImageDataset, split: str, classes: int, ways: Sequence[int], at: str) -> Iterator[Shortage]:
    if max(ways) <= classes:
        return
    works = [one for one in ways if one <= classes] or [classes]
    flags = (f"{at}.ways {' '.join(map(str, works))}",) if classes > 1 else ()
    has = f"{dataset.name} has {count(classes, f'{split} class', f'{split} classes')}"
    yield Shortage(reason=f"{has}, fewer than the {max(ways)} of {at}.ways", flags=flags)


def _fewer(least: int, shots: Sequence[int], queries: int, at: str) -> tuple[str, ...]:
    """Shots and queries that the smallest class has, as many of the wanted ones as possible."""
    works = [one for one in shots if one < least] or ([1] if least > 1 else [])
    if not works:
        return ()
    left = least - max(works)
    fewer_shots = (f"{at}.shots {' '.join(map(str, works))}",) if list(shots) != works else ()
    return (*fewer_shots, f"{at}.queries {left}") if left < queries else fewer_shots


def _small(dataset: ImageDataset, numbers: np.ndarray, counts: np.ndarray, flags: str, need: int, works: tuple[str, ...]) -> Shortage:
    name, least = dataset.class_names[int(numbers[counts.argmin()])], int(counts.min())
    return Shortage(reason=f"class {name} of {dataset.name} has {count(least, 'image')}, fewer than the {need} of {flags}", flags=works)
