"""The images that training sees: those of the base classes, less some that are kept to measure on, with labels that may be spoilt."""

from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from s2m2.data.dataset import ImageDataset
from s2m2.errors import InputError
from s2m2.recipe.data import DataConfig
from s2m2.seeding import generator_for


@dataclass(frozen=True, kw_only=True, eq=False)
class BaseSplit:
    """Rows of the dataset and their base classes, counted from 0."""

    rows: Int64[Tensor, " item"]
    """Images that are trained on."""
    labels: Int64[Tensor, " item"]
    """Their classes as training is told them; some are wrong where `data.label_noise` is above 0."""
    true_labels: Int64[Tensor, " item"]
    """Their classes."""
    held_rows: Int64[Tensor, " held"]
    """Images of the same classes that are kept from training, the share `data.holdout_fraction` of every class."""
    held_labels: Int64[Tensor, " held"]


def split_base(dataset: ImageDataset, config: DataConfig, seed: int) -> BaseSplit:
    """What is trained on, a function of the dataset, the settings and the seed.

    A wrong label is any other class with equal chance (as in Zhang et al., ICLR 2018, section 3.4, but never the right one by luck).

    Raises:
        InputError: a class would have nothing left to train on.
    """
    rows = torch.from_numpy(dataset.rows("base"))
    numbers = torch.tensor(dataset.splits["base"]).sort().values
    labels = torch.searchsorted(numbers, torch.from_numpy(dataset.labels)[rows])
    held = _held_out(labels, config.holdout_fraction, seed)
    emptied = sorted(set(labels.tolist()) - set(labels[~held].tolist()))
    if emptied:
        name = dataset.class_names[int(numbers[emptied[0]])]
        raise InputError(f"--data.holdout_fraction is {config.holdout_fraction}, which leaves class {name} no image to train on")
    true = labels[~held]
    return BaseSplit(
        rows=rows[~held],
        labels=_corrupted(true, len(numbers), config.label_noise, seed),
        true_labels=true,
        held_rows=rows[held],
        held_labels=labels[held],
    )


def _held_out(labels: Int64[Tensor, " item"], share: float, seed: int) -> Tensor:
    """Whether each image is kept from training: a random choice of the share of every class, rounded."""
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
