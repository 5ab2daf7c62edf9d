"""The datasets that a recipe names, as a model card needs them: their images if they are at hand, their names, and the flags for others."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from s2m2.console import console
from s2m2.data.cache import user_cache
from s2m2.data.catalog import DRAWN, ImageDatasets, load_datasets
from s2m2.data.dataset import SPLITS
from s2m2.data.learn2learn import CLASSES, TABLE
from s2m2.errors import InputError
from s2m2.evaluation.results import TaskResults
from s2m2.recipe import DataConfig, EvaluateConfig, Recipe
from s2m2.reporting.card_parts import code
from s2m2.runs.directory import RunDirectory
from s2m2.runs.provenance import read_provenance


def card_tables(run: RunDirectory, recipe: Recipe, results: Sequence[TaskResults]) -> tuple[ImageDatasets | None, str]:
    """The images that the recipe names, if they are those that were scored and at hand: nothing is downloaded for a card.

    Else None and the words that say, without a place, which dataset is missing or another one.
    """
    data, novel_dataset = recipe.data, recipe.evaluate.novel_dataset
    steps: list[tuple[str | None, DataConfig, str | None]] = [
        (data.path, replace(data, validation_dataset=None), None),
        (data.validation_dataset, data, None),
        (novel_dataset, data, novel_dataset),
    ]
    datasets = None
    for name, shown, novel in steps:
        if name is None:
            continue
        try:
            if _is_downloaded(recipe, name) and not (user_cache() / str(data.download) / name / TABLE).is_dir():
                raise InputError(f"{name} is not downloaded here")
            datasets = load_datasets(shown, EvaluateConfig(novel_dataset=novel))
        except InputError as error:
            return _uncounted(str(error), f"the dataset {code(bare(name))} was not at hand")
    assert datasets is not None
    other = _other_images(run, datasets, recipe, results)
    if other is None:
        return datasets, ""
    words = f"the dataset {code(bare(other))} held other images than those that were scored"
    return _uncounted(f"{other} holds other images than when the run was scored", words)


def missing_datasets(recipe: Recipe) -> dict[str, str]:
    """Flags of the datasets that others have to name before they can score, with a word in place of each.

    Those that are drawn or downloaded need no flag, nor does a folder below the current directory, whose path the recipe keeps. A dataset
    that is named twice has one word.
    """
    named = {
        "--data.path": (recipe.data.path, "TABLE"),
        "--data.validation_dataset": (recipe.data.validation_dataset, "VALIDATION"),
        "--evaluate.novel_dataset": (recipe.evaluate.novel_dataset, "NOVEL"),
        "--evaluate.query_dataset": (recipe.evaluate.query_dataset, "QUERIES"),
    }
    words: dict[str, str] = {}
    flags = {}
    for flag, (dataset, word) in named.items():
        if dataset is not None and not (
            dataset in DRAWN or _is_downloaded(recipe, dataset) or (bare(dataset) == dataset and Path(dataset).is_dir())
        ):
            flags[flag] = words.setdefault(dataset, word)
    return flags


def bare(dataset: str) -> str:
    """A folder by its name alone, unless the path lies below the current directory; of `~`, `..` and the root others have no use."""
    path = Path(dataset)
    return dataset if not path.is_absolute() and not dataset.startswith("~") and ".." not in path.parts else path.name or "dataset"


def bare_or_none(dataset: str | None) -> str | None:
    """The same of a dataset that need not be named."""
    return None if dataset is None else bare(dataset)


def _is_downloaded(recipe: Recipe, dataset: str) -> bool:
    return recipe.data.download is not None and (dataset == recipe.data.path or (dataset in CLASSES and not Path(dataset).is_dir()))


def _other_images(run: RunDirectory, datasets: ImageDatasets, recipe: Recipe, results: Sequence[TaskResults]) -> str | None:
    """The first dataset that is not the one that was scored: that of the base classes by the record of the run, others by its results."""
    if read_provenance(run).get("data", {}).get("digest", datasets.base.digest) != datasets.base.digest:
        return recipe.data.path
    names = {"base": recipe.data.path, "validation": recipe.data.validation_dataset, "novel": recipe.evaluate.novel_dataset}
    for split in SPLITS:
        # Before the plus is the dataset of the split, behind it that of the queries.
        scored = {result.data_digest.split("+")[0] for result in results if result.split == split}
        if scored and datasets.of(split).digest not in scored:
            return names[split] or recipe.data.path
    return None


def _uncounted(reason: str, words: str) -> tuple[None, str]:
    console.print(f"warning: the card counts no images: {reason}", markup=False, soft_wrap=True)
    return None, words
