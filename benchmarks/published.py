"""Published 5-way accuracies, in percent, to compare with."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Published:
    """A row of a paper's table: mean and half of the 95% interval, where it is stated."""

    one_shot: tuple[float, float | None]
    five_shot: tuple[float, float | None]


def _row(one_shot: float, five_shot: float) -> Published:
    return Published(one_shot=(one_shot, None), five_shot=(five_shot, None))


S2M2: dict[str, dict[str, Published]] = {
    "mini_imagenet": {
        "supervised": _row(57.33, 72.99),
        "manifold_mixup": _row(57.60, 75.89),
        "rotation": _row(63.90, 81.03),
        "s2m2_r": Published(one_shot=(64.93, 0.18), five_shot=(83.18, 0.11)),
    },
    "cub": {
        "supervised": _row(70.40, 82.92),
        "manifold_mixup": _row(73.47, 85.42),
        "rotation": _row(77.61, 89.32),
        "s2m2_r": Published(one_shot=(80.68, 0.81), five_shot=(90.85, 0.44)),
    },
    "cifar_fs": {
        "supervised": _row(67.50, 80.08),
        "manifold_mixup": _row(69.20, 83.42),
        "rotation": _row(70.66, 84.15),
        "s2m2_r": Published(one_shot=(74.81, 0.19), five_shot=(87.47, 0.13)),
    },
    "tiered_imagenet": {"s2m2_r": Published(one_shot=(73.71, 0.22), five_shot=(88.59, 0.14))},
    "fc100": {},
}
"""WRN-28-10, inductive, cosine classifier: dataset, row, accuracies (Mangla et al., WACV 2020). `supervised` is its Baseline++.
The rows of exemplar self-supervision, and FC100, have no number here."""
S2M2_SMALL: dict[str, dict[str, Published]] = {
    "cifar_fs": {"s2m2_r": Published(one_shot=(63.66, 0.17), five_shot=(76.07, 0.19))},
}
"""The same with ResNet-18, the paper's network of at most 12 million parameters."""
SMALL_RECIPES = ("short", "long")
"""Recipes of networks of that size."""


def published(dataset: str, recipe: str, row: str) -> Published | None:
    """The row of the paper that a recipe is compared with; None where it has none."""
    return (S2M2_SMALL if recipe in SMALL_RECIPES else S2M2).get(dataset, {}).get(row)
