"""`BaseStatistics`: what the features of the base classes are like, which some classifiers and transforms draw on."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from s2m2.evaluation.features import FeatureSet


@dataclass(frozen=True, kw_only=True, eq=False)
class BaseStatistics:
    """Statistics of base features, which training has seen; of no other classes."""

    mean: Float[Tensor, " dim"]
    """Mean of all base features."""
    class_means: Float[Tensor, "class dim"]
    class_factors: Float[Tensor, "class rank dim"] | None = None
    """R of each class, with R' R its unbiased covariance; None where no classifier needs them."""
    fingerprint: str
    """Of the features."""


def base_statistics(base: FeatureSet, *, covariances: bool) -> BaseStatistics:
    """Statistics of the features of the base classes; covariances take up to dim x dim numbers a class, so they are made on demand only."""
    classes = [base.features[base.labels == number] for number in base.labels.unique()]
    rank = min(max(map(len, classes)), base.features.shape[1])
    return BaseStatistics(
        mean=base.features.mean(0),
        class_means=torch.stack([members.mean(0) for members in classes]),
        class_factors=torch.stack([_factor(members, rank) for members in classes]) if covariances else None,
        fingerprint=base.fingerprint,
    )


def _factor(members: Float[Tensor, "row dim"], rank: int) -> Float[Tensor, "{rank} dim"]:
    """R of the QR factorisation of the deviations from the mean, which works where a covariance is singular; zeros fill up its rows."""
    deviations = (members - members.mean(0)) / max(len(members) - 1, 1) ** 0.5
    factor = torch.linalg.qr(deviations, mode="r").R
    return torch.cat([factor, factor.new_zeros(rank - factor.shape[0], factor.shape[1])])
