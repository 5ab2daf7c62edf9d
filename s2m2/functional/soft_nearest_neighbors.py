"""The soft nearest neighbor loss: how entangled the classes of a representation are (Frosst, Papernot and Hinton, ICML 2019, 1902.01889).

An item draws a neighbor j among all others with a probability that falls with the squared distance, exp(-|x_i - x_j|^2 / T); the
loss is the mean of -log of the probability that the neighbor is of the item's own class. 0: every class keeps to itself; at T -> infinity
it is log((items - 1) / (others of the class)), whatever the representation.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Float64, Int64
from scipy.optimize import minimize_scalar
from torch import Tensor

from s2m2.functional.double_pieces import double_pieces

COLDEST, HOTTEST, TEMPERATURES = 1e-4, 1e4, 49
"""Least and greatest temperature that is tried, in mean squared distances, and how many between them, equally far on a log scale."""


class LeastLoss(NamedTuple):
    """The loss at the temperature that makes it least."""

    loss: float
    """In nats."""
    temperature: float
    """In units of the squared distance."""


def soft_nearest_neighbor_loss(
    features: Float[Tensor, "item dim"], labels: Int64[Tensor, " item"], temperature: float
) -> Float64[Tensor, ""]:
    """The loss at a fixed temperature (Frosst et al., equation 1), in nats, with gradient.

        -1/b sum_i log( sum_{j != i, y_j = y_i} exp(-|x_i - x_j|^2 / T) / sum_{k != i} exp(-|x_i - x_k|^2 / T) )

    Items whose class no other item has, `alone`, could not find a neighbor of their own: they are left out of the mean, and stay
    neighbors of the others. Memory: a few matrices "item item" in float64, whatever the dimension.

    Args:
        temperature: above 0, in units of the squared distance.

    Raises:
        ValueError: no two items have the same label.
    """
    return _Neighbors(squared_distances(features), labels).loss(temperature)


def least_soft_nearest_neighbor_loss(features: Float[Tensor, "item dim"], labels: Int64[Tensor, " item"]) -> LeastLoss:
    """The loss at the temperature that makes it least (Frosst et al., equation 2), which compares layers of different scale.

    The loss need not be convex in 1 / T, so temperatures from 1e-4 to 1e4 mean squared distances are tried on a log grid, and the
    best one is refined between its neighbors. Scaling the features scales the temperature and leaves the loss as it is.

    Raises:
        ValueError: no two items have the same label.
    """
    with torch.no_grad():
        squared = squared_distances(features)
        items, neighbors = len(squared), _Neighbors(squared, labels)
        scale = float(squared.sum()) / max(items * (items - 1), 1) or 1.0  # items that are all the same have no scale

        def loss(logarithm: float) -> float:
            return float(neighbors.loss(scale * math.exp(logarithm)))

        grid = torch.linspace(math.log(COLDEST), math.log(HOTTEST), TEMPERATURES).tolist()
        losses = [loss(logarithm) for logarithm in grid]
        best = min(range(TEMPERATURES), key=losses.__getitem__)
        around = (grid[max(best - 1, 0)], grid[min(best + 1, TEMPERATURES - 1)])
        found = minimize_scalar(loss, bounds=around, method="bounded", options={"xatol": 1e-5})
    least, logarithm = min((losses[best], grid[best]), (float(found.fun), float(found.x)))
    return LeastLoss(loss=least, temperature=scale * math.exp(logarithm))


def alone(labels: Int64[Tensor, " item"]) -> Bool[Tensor, " item"]:
    """Items whose class no other item has."""
    _, places, counts = labels.unique(return_inverse=True, return_counts=True)
    return counts[places] == 1


def squared_distances(features: Float[Tensor, "item dim"]) -> Float64[Tensor, "item item"]:
    """Squared Euclidean distance of any two items, with gradient; on the CPU where the device of the features has no float64.

    By inner products of the offsets from the mean: one product of matrices, which in float64 loses little. The dimension is taken
    piece by piece, so that no copy of all features is made.
    """
    total: Tensor | None = None
    for exact in double_pieces(features):
        offsets = exact - exact.mean(0)
        products = offsets @ offsets.mT
        total = products if total is None else total + products
    assert total is not None
    lengths = total.diagonal()
    return (lengths[:, None] + lengths - 2 * total).clamp(min=0)


class _Neighbors:
    """Squared distances of the items that have others of their class: to all others, and to those of their class alone."""

    def __init__(self, squared: Float64[Tensor, "item item"], labels: Int64[Tensor, " item"]) -> None:
        labels = labels.to(squared.device)
        counted = ~alone(labels)
        if not bool(counted.any()):
            raise ValueError("no two items have the same label, so none has a neighbor of its own class")
        itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)[counted]
        others_class = labels[counted, None] != labels
        self.to_all = squared[counted].masked_fill(itself, math.inf)
        # The nearest as many as the largest class has; of smaller ones, the last are infinitely far and count nothing.
        most = int(labels.unique(return_counts=True)[1].max()) - 1
        self.to_own = self.to_all.masked_fill(others_class, math.inf).topk(most, largest=False, sorted=False).values

    def loss(self, temperature: float) -> Float64[Tensor, ""]:
        """The loss at a temperature; sums of exponentials are taken from the largest, so that nothing overflows or vanishes."""
        losses = (-self.to_all / temperature).logsumexp(1) - (-self.to_own / temperature).logsumexp(1)
        # No loss is below 0 but by rounding, which is taken back without a change to the gradient.
        return (losses + (-losses).clamp(min=0).detach()).mean()
