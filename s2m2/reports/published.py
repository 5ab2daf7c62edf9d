"""Published 5-way accuracies on novel classes, in percent, to stand beside measured ones. Their intervals are over tasks."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Published:
    """A row of a paper's table: mean and half of the 95% interval, where it is stated."""

    one_shot: tuple[float, float | None]
    five_shot: tuple[float, float | None]

    def score(self, shots: int) -> tuple[float, float | None] | None:
        """That of 1 or of 5 shots; None for others."""
        return {1: self.one_shot, 5: self.five_shot}.get(shots)


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
SOURCE = "S2M2_R, WRN-28-10 (Mangla et al., 2020)"
"""Name of the rows `s2m2_r` of `S2M2` in tables."""
