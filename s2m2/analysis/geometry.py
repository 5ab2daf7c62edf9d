"""The geometry of a representation: how entangled its classes are, and in how many directions each of them varies.

**Entanglement** is the soft nearest neighbor loss (Frosst, Papernot and Hinton, ICML 2019, arXiv 1902.01889). An item picks a neighbor
j among all others with a probability that falls with the squared distance, exp(-|x_i - x_j|^2 / T); the loss is the mean of -log of the
probability that the neighbor is of the item's own class. 0: the neighbors of every item are of its own class. At T -> infinity it is
log((items - 1) / (others of the class)) for any representation.

**Flatness** is the spectrum of each class. Manifold mixup is said to flatten representations: to leave each class fewer directions of
variance (Verma et al., ICML 2019, arXiv 1806.05236, section 3).

Both are computed in float64, on the CPU where the device has no float64.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Float64, Int64
from scipy.optimize import minimize_scalar
from torch import Tensor

from s2m2.classifiers.span import where_float64_is

MIN_TEMPERATURE, MAX_TEMPERATURE, TEMPERATURES = 1e-4, 1e4, 49
"""Range of the temperatures tried, in mean squared distances, and the size of the logarithmic grid."""
VARIANCE_HELD = 0.95
"""Fraction of the variance that `ClassSpectrum.directions` counts."""
CHUNK = 2**24
"""Numbers converted to float64 at once: 128 MB."""


class MinLoss(NamedTuple):
    """The loss at its minimum over temperatures."""

    loss: float
    """In nats."""
    temperature: float
    """In units of the squared distance."""


def soft_nearest_neighbor_loss(
    features: Float[Tensor, "item dim"], labels: Int64[Tensor, " item"], temperature: float
) -> Float64[Tensor, ""]:
    """The loss at a fixed temperature (Frosst et al., equation 1), in nats, with gradient.

        -1/b sum_i log( sum_{j != i, y_j = y_i} exp(-|x_i - x_j|^2 / T) / sum_{k != i} exp(-|x_i - x_k|^2 / T) )

    Items without another of their class (`singletons`) are left out of the mean, but remain neighbors of the others. Memory: a few
    matrices "item item" in float64, whatever the dimension.

    Args:
        temperature: above 0, in units of the squared distance.

    Raises:
        ValueError: no two items have the same label.
    """
    return _Neighbors(squared_distances(features), labels).loss(temperature)


def min_soft_nearest_neighbor_loss(features: Float[Tensor, "item dim"], labels: Int64[Tensor, " item"]) -> MinLoss:
    """The loss minimized over the temperature (Frosst et al., equation 2), which makes layers of different scale comparable.

    The loss need not be convex in 1 / T: temperatures from 1e-4 to 1e4 mean squared distances are tried on a logarithmic grid, and the
    best is refined between its neighbors. Scaling the features scales the temperature and leaves the loss unchanged.

    Raises:
        ValueError: no two items have the same label.
    """
    with torch.no_grad():
        squared = squared_distances(features)
        items, neighbors = len(squared), _Neighbors(squared, labels)
        scale = float(squared.sum()) / max(items * (items - 1), 1) or 1.0  # identical items have no scale

        def loss(log_temperature: float) -> float:
            return float(neighbors.loss(scale * math.exp(log_temperature)))

        grid = torch.linspace(math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE), TEMPERATURES).tolist()
        losses = [loss(log_temperature) for log_temperature in grid]
        best = min(range(TEMPERATURES), key=losses.__getitem__)
        bounds = (grid[max(best - 1, 0)], grid[min(best + 1, TEMPERATURES - 1)])
        refined = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-5})
    minimum, log_temperature = min((losses[best], grid[best]), (float(refined.fun), float(refined.x)))
    return MinLoss(loss=minimum, temperature=scale * math.exp(log_temperature))


def singletons(labels: Int64[Tensor, " item"]) -> Bool[Tensor, " item"]:
    """Items without another of their class."""
    _, inverse, counts = labels.unique(return_inverse=True, return_counts=True)
    return counts[inverse] == 1


def squared_distances(features: Float[Tensor, "item dim"]) -> Float64[Tensor, "item item"]:
    """Squared Euclidean distances between all items, with gradient.

    By inner products of the offsets from the mean: one matrix product, which in float64 loses little. Dimensions are taken in chunks,
    without a copy of all features.
    """
    total: Tensor | None = None
    for chunk in double_chunks(features):
        offsets = chunk - chunk.mean(0)
        products = offsets @ offsets.mT
        total = products if total is None else total + products
    assert total is not None
    lengths = total.diagonal()
    return (lengths[:, None] + lengths - 2 * total).clamp(min=0)


class _Neighbors:
    """Squared distances of the items with others of their class: to all others, and to those of their class."""

    def __init__(self, squared: Float64[Tensor, "item item"], labels: Int64[Tensor, " item"]) -> None:
        labels = labels.to(squared.device)
        counted = ~singletons(labels)
        if not bool(counted.any()):
            raise ValueError("no two items have the same label, so none has a neighbor of its own class")
        itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)[counted]
        other_class = labels[counted, None] != labels
        self.to_all = squared[counted].masked_fill(itself, math.inf)
        # As many of the nearest as the largest class has; for smaller classes the last are infinitely far and count nothing.
        neighbors = int(labels.unique(return_counts=True)[1].max()) - 1
        self.to_class = self.to_all.masked_fill(other_class, math.inf).topk(neighbors, largest=False, sorted=False).values

    def loss(self, temperature: float) -> Float64[Tensor, ""]:
        """The loss at a temperature; log-sum-exp prevents overflow and underflow."""
        losses = (-self.to_all / temperature).logsumexp(1) - (-self.to_class / temperature).logsumexp(1)
        # Only rounding makes a loss negative; it is taken back without changing the gradient.
        return (losses + (-losses).clamp(min=0).detach()).mean()


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassSpectrum:
    """How the variance within classes is spread over directions; every value is the mean over the classes that vary.

    A class of n items varies in at most n - 1 directions: compare only spectra with the same number of items per class. Where no class
    varies (a collapse to points), there is a single direction without variance, and every value is 0.
    """

    fractions: Float64[Tensor, " direction"]
    """Fraction of a class's variance in each principal direction, largest first: s_k^2 / sum_j s_j^2. Sums to 1, or to 0."""
    singular_values: Float64[Tensor, " direction"]
    """Singular values s_k of the centered representations of a class, divided by sqrt(items): standard deviations by direction."""
    largest_fraction: float
    """Fraction of the variance in the first direction."""
    effective_rank: float
    """exp of the entropy of the fractions (Roy and Vetterli, EUSIPCO 2007, with variances in place of singular values)."""
    directions: float
    """Minimum number of directions that hold 95% of the variance."""
    within: float
    """Variance within classes as a fraction of the total variance; 0: every class is a point."""
    classes: int
    """Classes measured."""
    left_out: int
    """Classes without variance: a single item, or identical ones."""


def class_spectrum(features: Float[Tensor, "item dim"], labels: Int64[Tensor, " item"]) -> ClassSpectrum:
    """The spectrum of every class around its own mean, averaged over classes; without gradient.

    Singular values come from the smaller Gram matrix of the centered representations, one class at a time: memory is a copy of one
    class in float64.
    """
    with torch.no_grad():
        spectra, within, left_out = [], 0.0, 0
        for label in labels.unique().tolist():
            items = where_float64_is(features[labels == label]).double()
            variances = _variances(items)
            within += float(variances.sum()) * len(items)
            if float(variances.sum()) > 0:
                spectra.append(variances)
            else:
                left_out += 1
        if not spectra:
            return _collapsed(left_out)
        padded = torch.nn.utils.rnn.pad_sequence(spectra, batch_first=True)
        return _mean_spectrum(padded, within / (_total_variance(features) * len(features)), left_out)


def _variances(items: Float64[Tensor, "item dim"]) -> Float64[Tensor, " direction"]:
    """Squared singular values of the centered items over their number, descending, at most items - 1 of them."""
    centered = items - items.mean(0)
    gram = centered @ centered.mT if len(items) <= items.shape[1] else centered.mT @ centered
    variances = torch.linalg.eigvalsh(gram).flip(0)[: max(len(items) - 1, 1)] / len(items)
    # The distance of identical items from their computed mean is rounding, not variance.
    rounding = torch.finfo(items.dtype).eps * float(items.square().sum()) / len(items)
    return variances.masked_fill(variances <= rounding, 0.0)


def _total_variance(features: Float[Tensor, "item dim"]) -> float:
    """Sum over dimensions of the variance around the mean of all items."""
    return sum(float(chunk.var(0, correction=0).sum()) for chunk in double_chunks(features))


def _collapsed(classes: int) -> ClassSpectrum:
    zero = torch.zeros(1, dtype=torch.float64)
    return ClassSpectrum(
        fractions=zero,
        singular_values=zero,
        largest_fraction=0.0,
        effective_rank=0.0,
        directions=0.0,
        within=0.0,
        classes=0,
        left_out=classes,
    )


def _mean_spectrum(variances: Float64[Tensor, "class direction"], within: float, left_out: int) -> ClassSpectrum:
    fractions = variances / variances.sum(1, keepdim=True)
    ranks = torch.special.entr(fractions).sum(1).exp()
    # A sum that misses the bound by rounding must not cost another direction.
    directions = (fractions.cumsum(1) < VARIANCE_HELD - 1e-9).sum(1) + 1
    return ClassSpectrum(
        fractions=fractions.mean(0),
        singular_values=variances.sqrt().mean(0),
        largest_fraction=float(fractions[:, 0].mean()),
        effective_rank=float(ranks.mean()),
        directions=float(directions.double().mean()),
        within=within,
        classes=len(variances),
        left_out=left_out,
    )


def double_chunks(features: Float[Tensor, "item dim"]) -> Iterator[Float64[Tensor, "item chunk"]]:
    """The features in float64, a few dimensions at a time, with gradient."""
    for chunk in features.split(max(CHUNK // max(len(features), 1), 1), dim=1):
        yield where_float64_is(chunk).double()
