"""`BaseStatistics`: what the features of the base classes are like, which some heads and transforms draw on."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from s2m2.evaluation.features import FeatureTable


@dataclass(frozen=True, kw_only=True, eq=False)
class BaseStatistics:
    """Statistics of base features, which training has seen; of no other classes."""

    mean: Float[Tensor, " dim"]
    """Mean of all base features."""
    class_means: Float[Tensor, "class dim"]
    class_covariances: Float[Tensor, "class dim dim"] | None = None
    """Unbiased covariances; None where no head needs them."""
    fingerprint: str
    """Of the features."""


def base_statistics(base: FeatureTable, *, covariances: bool) -> BaseStatistics:
    """Statistics of the features of the base classes; covariances take dim x dim numbers a class, so they are made on demand only."""
    classes = [base.features[base.labels == number] for number in base.labels.unique()]
    return BaseStatistics(
        mean=base.features.mean(0),
        class_means=torch.stack([members.mean(0) for members in classes]),
        class_covariances=torch.stack([members.T.cov() for members in classes]) if covariances else None,
        fingerprint=base.fingerprint,
    )
