"""`BaseStatistics`: statistics of the features of the base classes, for classifiers that take them."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class BaseStatistics:
    """Statistics of features of the classes that the backbone was trained on, and of no others."""

    mean: Float[Tensor, " dim"]
    """Mean of all base features."""
    class_means: Float[Tensor, "class dim"]
    class_factors: Float[Tensor, "class rank dim"] | None = None
    """R of each class, with R' R its unbiased covariance; None where no classifier needs them."""
    fingerprint: str = ""
    """Of the features."""

    @classmethod
    def from_features(
        cls, features: Tensor | np.ndarray, labels: Tensor | np.ndarray, *, covariances: bool = True, fingerprint: str = ""
    ) -> "BaseStatistics":
        """Statistics of features "image dim" and their labels, of any kind.

        Args:
            covariances: take up to dim x dim values a class; only `calibrated` needs them.
        """
        features, labels = torch.as_tensor(features), torch.as_tensor(np.unique(np.asarray(labels), return_inverse=True)[1])
        classes = [features[labels == label] for label in labels.unique()]
        rank = min(max(map(len, classes)), features.shape[1])
        return cls(
            mean=features.mean(0),
            class_means=torch.stack([members.mean(0) for members in classes]),
            class_factors=torch.stack([_factor(members, rank) for members in classes]) if covariances else None,
            fingerprint=fingerprint,
        )

    def __repr__(self) -> str:
        classes, dim = self.class_means.shape
        return f"BaseStatistics({classes} classes, {dim} dimensions)"

    def __sklearn_clone__(self) -> "BaseStatistics":
        return self


def _factor(members: Float[Tensor, "image dim"], rank: int) -> Float[Tensor, "{rank} dim"]:
    """R of the QR factorization of the deviations from the mean, which works where a covariance is singular; zeros fill up its rows."""
    deviations = (members - members.mean(0)) / max(len(members) - 1, 1) ** 0.5
    factor = torch.linalg.qr(deviations, mode="r").R
    return torch.cat([factor, factor.new_zeros(rank - factor.shape[0], factor.shape[1])])
