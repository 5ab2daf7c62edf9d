"""The pictures that training sees: those of the base classes, less some that are kept to measure on, with labels that may be spoilt."""

from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from s2m2.data.table import ImageTable
from s2m2.errors import InputError
from s2m2.recipe.data import DataConfig
from s2m2.seeding import generator_for


@dataclass(frozen=True, kw_only=True, eq=False)
class BaseSplit:
    """Rows of the table and their base classes, counted from 0."""

    rows: Int64[Tensor, " item"]
    """Pictures that are trained on."""
    labels: Int64[Tensor, " item"]
    """Their classes as training is told them; some are wrong where `data.corrupt_labels` is above 0."""
    true_labels: Int64[Tensor, " item"]
    """Their classes."""
    held_rows: Int64[Tensor, " held"]
    """Pictures of the same classes that are kept from training, the share `data.held_out` of every class."""
    held_labels: Int64[Tensor, " held"]


def split_base(table: ImageTable, config: DataConfig, seed: int) -> BaseSplit:
    """What is trained on, a function of the table, the settings and the seed.

    A wrong label is any other class with equal chance (as in Zhang et al., ICLR 2018, section 3.4, but never the right one by luck).

    Raises:
        InputError: a class would have nothing left to train on.
    """
    rows = torch.from_numpy(table.rows("base"))
    numbers = torch.tensor(table.splits["base"]).sort().values
    labels = torch.searchsorted(numbers, torch.from_numpy(table.labels)[rows])
    held = _held_out(labels, config.held_out, seed)
    emptied = sorted(set(labels.tolist()) - set(labels[~held].tolist()))
    if emptied:
        name = table.class_names[int(numbers[emptied[0]])]
        raise InputError(f"--data.held_out is {config.held_out}, which leaves class {name} no picture to train on")
    true = labels[~held]
    return BaseSplit(
        rows=rows[~held],
        labels=_corrupted(true, len(numbers), config.corrupt_labels, seed),
        true_labels=true,
        held_rows=rows[held],
        held_labels=labels[held],
    )


def _held_out(labels: Int64[Tensor, " item"], share: float, seed: int) -> Tensor:
    """Whether each picture is kept from training: a random choice of the share of every class, rounded."""
    keys = torch.rand(len(labels), generator=generator_for(seed, "held out"), dtype=torch.float64)
    order = (labels + keys).argsort()
    sizes = torch.bincount(labels)
    first = sizes.cumsum(0) - sizes
    places = torch.empty_like(order).scatter_(0, order, torch.arange(len(order))) - first[labels]
    return places < (share * sizes).round()[labels]


def _corrupted(labels: Int64[Tensor, " item"], classes: int, share: float, seed: int) -> Int64[Tensor, " item"]:
    """The labels with a random choice of them, the share rounded, replaced by another class."""
    generator = generator_for(seed, "corrupt labels")
    chosen = torch.randperm(len(labels), generator=generator)[: round(share * len(labels))]
    others = torch.randint(1, classes, (len(chosen),), generator=generator) if classes > 1 else 0
    return labels.index_copy(0, chosen, (labels[chosen] + others) % classes)
