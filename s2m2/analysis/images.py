"""Which images are measured: a bounded number, drawn by a seed, the same ones for every stage of a run."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from s2m2.data.base_classes import BaseSplit, split_base
from s2m2.data.catalog import ImageDatasets
from s2m2.data.dataset import ImageDataset
from s2m2.errors import InputError
from s2m2.recipe import AnalyzeConfig, Recipe
from s2m2.seeding import generator_for

Origin = Literal["held out", "trained"]
"""Of images of base classes: whether training saw them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Chosen:
    """Images of one dataset, and their classes."""

    images: UInt8[Tensor, "image height width 3"]
    """All images of the dataset."""
    rows: Int64[Tensor, " row"]
    labels: Int64[Tensor, " row"]


@dataclass(frozen=True, kw_only=True, eq=False)
class AnalyzedImages:
    """What a run is measured on."""

    base: Chosen
    """Images of base classes, for the representation."""
    base_from: Origin
    novel: Chosen | None
    """Images of novel classes, for the representation; None where there are none."""
    head: Chosen
    """Images of base classes, for the class head."""
    head_from: Origin
    trained: Chosen | None
    """Images that were trained on, with the labels that training gave them; None unless some of these are wrong."""
    true_labels: Int64[Tensor, " trained"] | None
    """Their classes."""


def choose_images(recipe: Recipe, datasets: ImageDatasets) -> AnalyzedImages:
    """Draw the images: ones of base classes that training did not see where there are any, else ones that it saw.

    Raises:
        InputError: no base class has two images.
    """
    config, base = recipe.analyze, split_base(datasets.base, recipe.data, recipe.seed)
    images, held = datasets.base.image_tensor(), bool(len(base.held_rows))
    rows, labels = (base.held_rows, base.held_labels) if held else (base.rows, base.true_labels)
    some = draw_some(len(rows), config.predictions, generator_for(config.seed, "analysis", "head"))
    places, compared = _draw(labels, config, "base"), held
    if held and not len(places):  # a share that keeps one image of a class leaves none to compare it with
        rows, labels, compared = base.rows, base.true_labels, False
        places = _draw(labels, config, "base")
    if not len(places):
        raise InputError(f"no base class of {datasets.base.name} has two images, which the analysis compares")
    head_rows, head_labels = (base.held_rows, base.held_labels) if held else (base.rows, base.true_labels)
    trained, true_labels = _trained(images, base, config)
    return AnalyzedImages(
        base=Chosen(images=images, rows=rows[places], labels=labels[places]),
        base_from="held out" if compared else "trained",
        novel=_novel(datasets.novel, config),
        head=Chosen(images=images, rows=head_rows[some], labels=head_labels[some]),
        head_from="held out" if held else "trained",
        trained=trained,
        true_labels=true_labels,
    )


def draw_by_class(labels: Int64[Tensor, " row"], classes: int, images: int, generator: torch.Generator) -> Int64[Tensor, " chosen"]:
    """Places of a number of images of a number of classes, by class; all where there are fewer.

    Classes of a single image are not drawn: nothing can be said of how it lies to others of its class.
    """
    keys = torch.rand(len(labels), generator=generator, dtype=torch.float64)
    numbers, counts = labels.unique(return_counts=True)
    numbers = numbers[counts >= 2]
    chosen = numbers[torch.randperm(len(numbers), generator=generator)[:classes]].sort().values
    found = []
    for label in chosen.tolist():
        own = (labels == label).nonzero().flatten()
        found.append(own[keys[own].argsort()[:images]])
    return torch.cat(found) if found else torch.empty(0, dtype=torch.int64)


def draw_some(count: int, most: int, generator: torch.Generator) -> Int64[Tensor, " chosen"]:
    """Places of at most so many of `count` things, ascending."""
    return torch.randperm(count, generator=generator)[:most].sort().values


def _draw(labels: Int64[Tensor, " row"], config: AnalyzeConfig, kind: str) -> Int64[Tensor, " chosen"]:
    return draw_by_class(labels, config.classes, config.images, generator_for(config.seed, "analysis", kind))


def _novel(dataset: ImageDataset, config: AnalyzeConfig) -> Chosen | None:
    if not dataset.splits.get("novel", ()):
        return None
    rows = torch.from_numpy(dataset.rows("novel"))
    labels = torch.from_numpy(dataset.labels)[rows]
    places = _draw(labels, config, "novel")
    return Chosen(images=dataset.image_tensor(), rows=rows[places], labels=labels[places]) if len(places) else None


def _trained(images: Tensor, base: BaseSplit, config: AnalyzeConfig) -> tuple[Chosen | None, Tensor | None]:
    if torch.equal(base.labels, base.true_labels):
        return None, None
    some = draw_some(len(base.rows), config.predictions, generator_for(config.seed, "analysis", "memorization"))
    return Chosen(images=images, rows=base.rows[some], labels=base.labels[some]), base.true_labels[some]
