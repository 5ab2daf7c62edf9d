"""Multinomial logistic regression, one for every few-shot task of a batch, by Newton's method in the span of the support.

With inner products K of the support items, times C, the weights of class c at the minimum of
    C * sum_i CE(f_i, y_i) + 1/2 sum_c ||w_c||^2,   f_ic = <x_i, w_c> + b_c,
are w_c = C sum_i a_ic x_i with a = Y - P: one-hot labels less probabilities. A Newton step solves, with W the Hessian of the cross
entropy over the logits,
    a = Y - P + W f - W (K a + 1 b),   1' a = 0 where there is an intercept,
which takes one Cholesky factorisation of item x item numbers for each class and one for all (Rasmussen and Williams, Gaussian Processes
for Machine Learning, 2006, section 3.5 and algorithm 3.3, with K as their prior covariance). They have no intercept; here b follows
from the constraint.
"""
# ruff: noqa: N803 (scikit-learn's names)

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from s2m2.classifiers.span import part_length

TOLERANCE = 1e-8
"""A task has converged when no entry of Y - P - a is larger, or than this fraction of the largest of a: with a large C or large features P
nearly is Y, and a is small. P and a are probabilities. Every step keeps 1' a = 0."""
STRONG, STRONGER = 1e4, 1e3
"""C times the largest squared feature from which a task is fitted to a smaller C first, and by how much C then grows at once: W K stays
where a Newton step keeps its digits."""
MAX_STEPS = 100
"""Newton steps; six to ten are usual."""
MAX_HALVINGS = 40


@dataclass(frozen=True, kw_only=True, eq=False)
class LogisticFit:
    """The classifiers of a batch of tasks."""

    coefficients: Float64[Tensor, "task item way"]
    """Of the weights of each class over the support items."""
    intercepts: Float64[Tensor, "task way"]


def fit_logistic(
    gram: Float64[Tensor, "task item item"],
    labels: Int64[Tensor, "task item"],
    ways: int,
    *,
    C: float,
    intercept: bool,
) -> LogisticFit:
    """Fit a classifier to every task.

    Args:
        gram: inner products of the support items.
        labels: way of each; on any device.
        C: multiplier of the cross entropy.
        intercept: fit one, without penalty.
    """
    targets = F.one_hot(labels.to(gram.device), ways).to(gram.dtype)
    length = part_length(gram, ways)
    parts = zip(gram.split(length), targets.split(length), strict=True)
    fits = [_fit(C * one_gram, one_targets, intercept) for one_gram, one_targets in parts]
    return LogisticFit(
        coefficients=C * torch.cat([fit.residuals for fit in fits]),
        intercepts=torch.cat([fit.intercepts for fit in fits]),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Point:
    """A point of the search: a, b, and the logits K a + 1 b."""

    residuals: Float64[Tensor, "task item way"]
    intercepts: Float64[Tensor, "task way"]
    logits: Float64[Tensor, "task item way"]

    def towards(self, other: "_Point", fraction: Float64[Tensor, " task"]) -> "_Point":
        """Part of the way to another point; logits are linear in the rest."""
        return replace(
            self,
            residuals=self.residuals.lerp(other.residuals, fraction[:, None, None]),
            intercepts=self.intercepts.lerp(other.intercepts, fraction[:, None]),
            logits=self.logits.lerp(other.logits, fraction[:, None, None]),
        )

    def margins(self, targets: Float64[Tensor, "task item way"]) -> Float64[Tensor, "task item way"]:
        """Logits less that of the true way, so that what is small keeps its digits."""
        return self.logits - (self.logits * targets).sum(-1, keepdim=True)

    def loss(self, targets: Float64[Tensor, "task item way"]) -> Float64[Tensor, " task"]:
        """The loss, divided by C."""
        penalty = (self.residuals * (self.logits - self.intercepts[:, None])).sum((1, 2)) / 2
        others = self.margins(targets).masked_fill(targets > 0, -torch.inf).logsumexp(-1)
        return penalty + F.softplus(others, threshold=700).sum(-1)

    def errors(self, targets: Float64[Tensor, "task item way"]) -> Float64[Tensor, "task item way"]:
        """Y - P, at the true way as the sum of the other probabilities."""
        others = self.logits.softmax(-1) * (1 - targets)
        return targets * others.sum(-1, keepdim=True) - others

    def converged(self, targets: Float64[Tensor, "task item way"]) -> Bool[Tensor, " task"]:
        """Which tasks are at the minimum."""
        largest = self.residuals.abs().amax((1, 2)).clamp(max=1)
        return (self.errors(targets) - self.residuals).abs().amax((1, 2)) <= TOLERANCE * largest


def _fit(gram: Float64[Tensor, "task item item"], targets: Float64[Tensor, "task item way"], intercept: bool) -> _Point:
    """The minimum of every task. `gram` is multiplied by C; a task that has converged stays as it is."""
    zeros = torch.zeros_like(targets)
    point = _Point(residuals=zeros, intercepts=zeros[:, 0], logits=zeros)
    strength = gram.diagonal(dim1=1, dim2=2).amax(1) / STRONG
    while bool((strength > 1).any()):
        weaker = strength.clamp(min=1)[:, None, None]
        point = _descend(replace(point, residuals=point.residuals * weaker), gram / weaker, targets, intercept)
        point = replace(point, residuals=point.residuals / weaker)
        strength = strength / STRONGER
    return _descend(point, gram, targets, intercept)


def _descend(point: _Point, gram: Float64[Tensor, "task item item"], targets: Float64[Tensor, "task item way"], intercept: bool) -> _Point:
    """The minimum of every task, from a point on."""
    converged = point.converged(targets)
    for _ in range(MAX_STEPS):
        aim = _newton_point(point, gram, targets, intercept)
        point = point.towards(aim, _step_fraction(point, aim, targets) * ~converged)
        converged = converged | point.converged(targets)
        if bool(converged.all()):
            break
    return point


def _step_fraction(point: _Point, aim: _Point, targets: Float64[Tensor, "task item way"]) -> Float64[Tensor, " task"]:
    """The largest of 1, 1/2, 1/4, ... of the way that does not raise the loss of a task."""
    before = point.loss(targets)
    limit = before + 1e-12 * before.abs()
    fraction = torch.ones_like(before)
    for _ in range(MAX_HALVINGS):
        worse = ~(point.towards(aim, fraction).loss(targets) <= limit)
        if not bool(worse.any()):
            break
        fraction = torch.where(worse, fraction / 2, fraction)
    return fraction


def _newton_point(
    point: _Point, gram: Float64[Tensor, "task item item"], targets: Float64[Tensor, "task item way"], intercept: bool
) -> _Point:
    """The minimum of the loss's second-order approximation at a point."""
    probabilities = point.logits.softmax(-1)
    weighted = probabilities * point.margins(targets)
    slopes = point.errors(targets) + weighted - probabilities * weighted.sum(-1, keepdim=True)
    hessian = _DampedHessian(gram, probabilities)
    logits = gram @ slopes
    residuals = slopes - hessian(logits)
    intercepts = torch.zeros_like(point.intercepts)
    if intercept:
        intercepts = hessian.intercepts(residuals.sum(1))
        shift = intercepts[:, None].expand_as(residuals)
        residuals = residuals - hessian(shift)
    return _Point(residuals=residuals, intercepts=intercepts, logits=gram @ residuals + intercepts[:, None])


class _DampedHessian:
    """S = (W^-1 + K)^-1, as a map of item x way numbers, without ever inverting W, which is singular.

    With D_c the diagonal of the probabilities of class c, E_c = D_c^1/2 (1 + D_c^1/2 K D_c^1/2)^-1 D_c^1/2 and G = sum_c E_c,
    (S v)_c = E_c (v_c - G^-1 sum_d E_d v_d).
    """

    def __init__(self, gram: Float64[Tensor, "task item item"], probabilities: Float64[Tensor, "task item way"]) -> None:
        roots = probabilities.mT.sqrt()
        scales = roots[..., None] * roots[:, :, None]
        damped = scales * gram[:, None]
        damped.diagonal(dim1=-2, dim2=-1).add_(1)
        self.blocks = torch.cholesky_inverse(torch.linalg.cholesky(damped)).mul_(scales)
        self.whole = torch.linalg.cholesky(self.blocks.sum(1))

    def __call__(self, values: Float64[Tensor, "task item way"]) -> Float64[Tensor, "task item way"]:
        """S v."""
        damped = self._blocks_times(values)
        common = torch.cholesky_solve(damped.sum(-1, keepdim=True), self.whole)
        return damped - self._blocks_times(common.expand_as(values))

    def intercepts(self, sums: Float64[Tensor, "task way"]) -> Float64[Tensor, "task way"]:
        """The b that add up to 0 with 1' S (1 b) = sums; adding a number to all of them changes no probability."""
        edges = self.blocks.sum(-1).mT
        total = torch.diag_embed(edges.sum(1)) - edges.mT @ torch.cholesky_solve(edges, self.whole)
        ways = sums.shape[-1]
        level = total.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None] / ways
        return torch.linalg.solve(total + level, sums)

    def _blocks_times(self, values: Float64[Tensor, "task item way"]) -> Float64[Tensor, "task item way"]:
        """E_c v_c of each class."""
        return (self.blocks @ values.mT[..., None]).squeeze(-1).mT
