"""Linear classifiers as combinations of the support features, of which a task has few, instead of as weights over many dimensions."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

MAX_STEP = 2**21
"""Values in one array of a solver, 16 MB: tasks are solved in parts, so that memory does not grow with their number."""

WITHOUT_FLOAT64 = ("mps",)
"""Types of devices that have no float64."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SupportSpan:
    """The support of a batch of tasks about some origin, and its inner products, which are all that fitting a linear classifier needs."""

    offsets: Float[Tensor, "task item dim"]
    """Support features less the origin."""
    origin: Float[Tensor, "task 1 dim"] | None
    """None: zero."""
    gram: Float64[Tensor, "task item item"]
    """Inner products of the offsets, in float64, where solving costs next to nothing at this size; on the CPU where the device has none."""

    def fitted(self, coefficients: Float64[Tensor, "task item way"], intercepts: Float64[Tensor, "task way"]) -> "FittedSpan":
        """The classifiers whose weights w_c combine the offsets by the coefficients of class c."""
        # On MPS the type must change before the device does.
        weights = coefficients.mT.to(self.offsets.dtype).to(self.offsets.device) @ self.offsets
        if self.origin is not None:
            constants = intercepts.to(self.offsets.dtype).to(self.offsets.device)
            return FittedSpan(weights=weights, constants=constants - (weights * self.origin).sum(-1))
        # The scores of the mean follow from the inner products, which have all digits. Whatever rounding left in the weights along
        # what all features share is taken off again with the constant.
        mean, of_mean = self.offsets.mean(1, keepdim=True), (coefficients * self.gram.mean(2, keepdim=True)).sum(1)
        there = (where_float64_is(weights).double() @ where_float64_is(mean).double().mT).squeeze(2)
        constants = (intercepts + of_mean - there.to(intercepts.device)).to(self.offsets.dtype).to(self.offsets.device)
        return FittedSpan(weights=weights, constants=constants)


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedSpan:
    """Linear classifiers of a batch of tasks."""

    weights: Float[Tensor, "task way dim"]
    constants: Float[Tensor, "task way"]

    def scores(self, query: Float[Tensor, "task query dim"]) -> Float[Tensor, "task query way"]:
        """<x, w_c> + constant_c of every query x."""
        return torch.baddbmm(self.constants[:, None], query, self.weights.mT)


def support_span(support: Float[Tensor, "task item dim"], *, centered: bool) -> SupportSpan:
    """The span of the support about its mean, or about zero.

    Where an intercept is fitted without penalty, the origin makes no difference to the classifier; the mean keeps most digits.
    """
    # In float32 the rounding of a product of large features exceeds the penalty, and a matrix with negative eigenvalues has no factors.
    # The mean too: about a rounded one the items do not quite add up to 0.
    exact = where_float64_is(support).double()
    origin, offsets = None, support
    if centered:
        mean = exact.mean(1, keepdim=True)
        exact = exact - mean
        origin, offsets = (values.to(support.dtype).to(support.device) for values in (mean, exact))
    gram = exact @ exact.mT
    # Rounding leaves the product a little asymmetric, and solvers that read one half of it would end beside the minimum.
    return SupportSpan(offsets=offsets, origin=origin, gram=(gram + gram.mT) / 2)


def where_float64_is(values: Tensor) -> Tensor:
    """Values on their device, or on the CPU where that has no float64, as MPS."""
    return values.cpu() if values.device.type in WITHOUT_FLOAT64 else values


def part_length(gram: Float64[Tensor, "task item item"], ways: int) -> int:
    """Tasks that a solver with one matrix for each class takes at once."""
    return max(MAX_STEP // (ways * gram.shape[1] ** 2), 1)
