"""`BaseStatistics`: statistics of the features of the base classes, for classifiers that take them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from s2m2.errors import InputError
from s2m2.tasks.labels import as_array, label_array


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
    def from_features(cls, features: Any, labels: Any, *, covariances: bool = True, fingerprint: str = "") -> "BaseStatistics":
        """Statistics of features "image dim" and their labels: arrays, tensors or lists.

        Args:
            covariances: take up to dim x dim values a class; only `calibrated` needs them.

        Raises:
            InputError: features are no finite real numbers in rows and columns, or there is not one label a row.
        """
        values, numbers = _float_rows(features), np.unique(label_array(labels, "base labels"), return_inverse=True)[1]
        if len(values) != len(numbers):
            raise InputError(f"base has {len(values):,} rows of features, but {len(numbers):,} labels")
        classes = [values[torch.from_numpy(numbers == label)] for label in range(int(numbers.max()) + 1)]
        rank = min(max(map(len, classes)), values.shape[1])
        return cls(
            mean=values.mean(0),
            class_means=torch.stack([members.mean(0) for members in classes]),
            class_factors=torch.stack([_factor(members, rank) for members in classes]) if covariances else None,
            fingerprint=fingerprint,
        )

    def __repr__(self) -> str:
        classes, dim = self.class_means.shape
        return f"BaseStatistics({classes} classes, {dim} dimensions)"

    def __sklearn_clone__(self) -> "BaseStatistics":
        return self


def statistics_of(classifier: Any) -> BaseStatistics | None:
    """The base statistics of a classifier; those of a pair of features and labels are computed once and kept with it.

    Raises:
        InputError: `base` is neither statistics nor such a pair.
    """
    base = getattr(classifier, "base", None)
    if base is None or isinstance(base, BaseStatistics):
        return base
    if not isinstance(base, tuple | list) or len(base) != 2:
        raise InputError("base is neither BaseStatistics nor a pair of features and labels of the base classes")
    kept = getattr(classifier, "_statistics_of_pair", None)
    if kept is None or kept[0] is not base:
        kept = base, BaseStatistics.from_features(*base, covariances=classifier.needs_covariances)
        classifier._statistics_of_pair = kept
    return kept[1]


def check_base_dim(classifier: Any, dim: int) -> None:
    """Raise `InputError` if a classifier has base statistics of another number of features an image than X has."""
    statistics = statistics_of(classifier)
    if statistics is not None and len(statistics.mean) != dim:
        raise InputError(f"base has {len(statistics.mean)} features an image, but X has {dim}")


def _float_rows(features: Any) -> Float[Tensor, "image dim"]:
    """Features as a tensor of floats; whole numbers and half precision become float32."""
    values = features if isinstance(features, Tensor) else torch.as_tensor(_numbers(features))
    if values.ndim != 2 or values.is_complex() or not values.numel():
        raise InputError(f"base features of shape {tuple(values.shape)}, not real numbers in rows and columns")
    values = values.detach() if values.dtype in (torch.float32, torch.float64) else values.detach().float()
    if not bool(values.isfinite().all()):
        raise InputError("base features are not all finite")
    return values


def _numbers(features: Any) -> np.ndarray:
    array = as_array(features, "base features")
    if array.dtype.kind not in "fiu":
        raise InputError(f"base features of type {array.dtype}, not real numbers")
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def _factor(members: Float[Tensor, "image dim"], rank: int) -> Float[Tensor, "{rank} dim"]:
    """R of the QR factorization of the deviations from the mean, which works where a covariance is singular; zeros fill up its rows."""
    deviations = (members - members.mean(0)) / max(len(members) - 1, 1) ** 0.5
    factor = torch.linalg.qr(deviations, mode="r").R
    return torch.cat([factor, factor.new_zeros(rank - factor.shape[0], factor.shape[1])])
