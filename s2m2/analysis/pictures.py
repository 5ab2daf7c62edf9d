"""Which pictures are measured: a bounded number, drawn by a seed, the same ones for every stage of a run."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from s2m2.data.base_classes import BaseSplit, split_base
from s2m2.data.catalog import ImageTables
from s2m2.data.table import ImageTable
from s2m2.errors import InputError
from s2m2.recipe import AnalyseConfig, Recipe
from s2m2.seeding import generator_for

Origin = Literal["held out", "trained"]
"""Of pictures of base classes: whether training saw them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Chosen:
    """Pictures of one table, and their classes."""

    images: UInt8[Tensor, "image height width 3"]
    """All pictures of the table."""
    rows: Int64[Tensor, " row"]
    labels: Int64[Tensor, " row"]


@dataclass(frozen=True, kw_only=True, eq=False)
class AnalysedPictures:
    """What a run is measured on."""

    base: Chosen
    """Pictures of base classes, for the representation."""
    base_from: Origin
    novel: Chosen | None
    """Pictures of novel classes, for the representation; None where there are none."""
    head: Chosen
    """Pictures of base classes, for the class head."""
    head_from: Origin
    trained: Chosen | None
    """Pictures that were trained on, with the labels that training gave them; None unless some of these are wrong."""
    true_labels: Int64[Tensor, " trained"] | None
    """Their classes."""


def choose_pictures(recipe: Recipe, tables: ImageTables) -> AnalysedPictures:
    """Draw the pictures: ones of base classes that training did not see where there are any, else ones that it saw.

    Raises:
        InputError: no base class has two pictures.
    """
    config, base = recipe.analyse, split_base(tables.base, recipe.data, recipe.seed)
    images, held = tables.base.image_tensor(), bool(len(base.held_rows))
    rows, labels = (base.held_rows, base.held_labels) if held else (base.rows, base.true_labels)
    some = draw_some(len(rows), config.predictions, generator_for(config.seed, "analysis", "head"))
    places, compared = _draw(labels, config, "base"), held
    if held and not len(places):  # a share that keeps one picture of a class leaves none to compare it with
        rows, labels, compared = base.rows, base.true_labels, False
        places = _draw(labels, config, "base")
    if not len(places):
        raise InputError(f"no base class of {tables.base.name} has two pictures, which the analysis compares")
    head_rows, head_labels = (base.held_rows, base.held_labels) if held else (base.rows, base.true_labels)
    trained, true_labels = _trained(images, base, config)
    return AnalysedPictures(
        base=Chosen(images=images, rows=rows[places], labels=labels[places]),
        base_from="held out" if compared else "trained",
        novel=_novel(tables.novel, config),
        head=Chosen(images=images, rows=head_rows[some], labels=head_labels[some]),
        head_from="held out" if held else "trained",
        trained=trained,
        true_labels=true_labels,
    )


def draw_by_class(labels: Int64[Tensor, " row"], classes: int, pictures: int, generator: torch.Generator) -> Int64[Tensor, " chosen"]:
    """Places of a number of pictures of a number of classes, by class; all where there are fewer.

    Classes of a single picture are not drawn: nothing can be said of how it lies to others of its class.
    """
    keys = torch.rand(len(labels), generator=generator, dtype=torch.float64)
    numbers, counts = labels.unique(return_counts=True)
    numbers = numbers[counts >= 2]
    chosen = numbers[torch.randperm(len(numbers), generator=generator)[:classes]].sort().values
    found = []
    for label in chosen.tolist():
        own = (labels == label).nonzero().flatten()
        found.append(own[keys[own].argsort()[:pictures]])
    return torch.cat(found) if found else torch.empty(0, dtype=torch.int64)


def draw_some(count: int, most: int, generator: torch.Generator) -> Int64[Tensor, " chosen"]:
    """Places of at most so many of `count` things, ascending."""
    return torch.randperm(count, generator=generator)[:most].sort().values


def _draw(labels: Int64[Tensor, " row"], config: AnalyseConfig, kind: str) -> Int64[Tensor, " chosen"]:
    return draw_by_class(labels, config.classes, config.pictures, generator_for(config.seed, "analysis", kind))


def _novel(table: ImageTable, config: AnalyseConfig) -> Chosen | None:
    if not table.splits.get("novel", ()):
        return None
    rows = torch.from_numpy(table.rows("novel"))
    labels = torch.from_numpy(table.labels)[rows]
    places = _draw(labels, config, "novel")
    return Chosen(images=table.image_tensor(), rows=rows[places], labels=labels[places]) if len(places) else None


def _trained(images: Tensor, base: BaseSplit, config: AnalyseConfig) -> tuple[Chosen | None, Tensor | None]:
    if torch.equal(base.labels, base.true_labels):
        return None, None
    some = draw_some(len(base.rows), config.predictions, generator_for(config.seed, "analysis", "memorisation"))
    return Chosen(images=images, rows=base.rows[some], labels=base.labels[some]), base.true_labels[some]
