"""PT-MAP, power transform and optimal transport (Hu et al., ICANN 2021)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from s2m2.classifiers.base import MANY_STEPS, FewShotTasks, TransductiveClassifier
from s2m2.errors import InputError
from s2m2.recipe.ranges import AboveZeroToOne, ClosedUnitInterval, NonNegativeInt, PositiveFloat, PositiveInt

SHIFT = 1e-6
"""Added to features before the power (Hu et al., eq. 1)."""
ROUND = 10
"""Sinkhorn iterations between two looks at the tolerance."""


@dataclass(kw_only=True, eq=False, repr=False)
class PTMap(TransductiveClassifier):
    """Class centers that a transport plan between queries and classes moves step by step (Hu et al., algorithm 1).

    It assumes balanced queries: the plan gives every class equally many.
    """

    name = "pt_map"
    title = "PT-MAP"
    job = MANY_STEPS

    power: ClosedUnitInterval = 0.5
    """Exponent of the features, which must not be negative unless it is 1; beta of the paper. 0 takes the logarithm."""
    center: bool = True
    """Subtract from support and queries their own means, as the authors' code does after the power transform."""
    scale: PositiveFloat = 10.0
    """Multiplier of the squared distances in the transport plan; lambda of the paper."""
    rate: AboveZeroToOne = 0.2
    """Fraction of the way that class centers go to their estimates in a step; alpha of the paper."""
    steps: NonNegativeInt = 20
    """Updates of the class centers."""
    tolerance: PositiveFloat = 1e-6
    """Largest change of a query's total in the last Sinkhorn iteration; checked every tenth time."""
    iterations: PositiveInt = 1000
    """Sinkhorn iterations, at most; rounded up to tens."""

    def assumes_balance(self) -> bool:
        """Always."""
        return True

    def needs_positive(self) -> bool:
        """Unless the power is 1."""
        return self.power != 1

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Move the class centers, and return the logarithm of the last plan.

        Raises:
            InputError: a feature is negative, and the power is not 1.
        """
        members = tasks.one_hot()
        support, query = self.transformed(tasks.support), self.transformed(tasks.query)
        counts, sums = members.sum(-1, keepdim=True), members @ support
        centers = sums / counts
        plan = self._plan(centers, query)
        for _ in range(self.steps):
            weights = plan.exp()
            estimates = torch.baddbmm(sums, weights, query) / (counts + weights.sum(-1, keepdim=True))
            centers = torch.lerp(centers, estimates, self.rate)
            plan = self._plan(centers, query)
        return plan.mT

    def transformed(self, features: Float[Tensor, "task item dim"]) -> Float[Tensor, "task item dim"]:
        """The power transform (eq. 1), then unit length; then centered and of unit length again, as the authors' code has it.

        Raises:
            InputError: a feature is negative, and the power is not 1.
        """
        if self.power != 1 and bool((features < 0).any()):
            raise InputError(
                "classifier pt_map takes a power of features, of which some are negative; --evaluate.transforms rectify changes that"
            )
        raised = (features + SHIFT).log_() if self.power == 0 else (features + SHIFT).pow_(self.power)
        unit = F.normalize(raised, dim=-1)
        return F.normalize(unit - unit.mean(1, keepdim=True), dim=-1) if self.center else unit

    def _plan(self, centers: Float[Tensor, "task way dim"], query: Float[Tensor, "task query dim"]) -> Float[Tensor, "task way query"]:
        queries, ways = query.shape[1], centers.shape[1]
        squares = centers.square().sum(-1, keepdim=True)
        gains = torch.baddbmm(squares, centers, query.mT, beta=-self.scale, alpha=2 * self.scale)
        return sinkhorn(gains, mass=queries / ways, tolerance=self.tolerance, rounds=-(-self.iterations // ROUND))


def sinkhorn(gains: Float[Tensor, "task way query"], *, mass: float, tolerance: float, rounds: int) -> Float[Tensor, "task way query"]:
    """The logarithm of the plan that gives each query 1 and each way `mass` (Cuturi, NeurIPS 2013, algorithm 1).

    The plan is diag(b) exp(gains) diag(a); a and b are rescaled in turn, b last. A task ends after the first round of ten iterations
    whose last one changed no query's total by more than `tolerance`, whatever other tasks of the batch do.

    Args:
        gains: negative costs, times the multiplier of the regularization; a term that all ways of a query share changes nothing.
        mass: queries divided by ways.
        rounds: rounds of iterations, at most.
    """
    gains = gains - gains.amax(1, keepdim=True)
    kernel, running = gains.exp(), torch.arange(len(gains), device=gains.device)
    ways, queries, plans = torch.ones_like(kernel[..., :1]), torch.ones_like(kernel[:, :1]), gains.clone()
    for number in range(rounds):
        for _ in range(ROUND):
            previous = queries
            queries = (kernel * ways).sum(1, keepdim=True).reciprocal_()
            ways = mass / (kernel * queries).sum(2, keepdim=True)
        totals = queries * (kernel * ways).sum(1, keepdim=True)
        active = (totals - previous / queries).abs_().amax((1, 2)) > tolerance
        if number == rounds - 1:
            active = torch.zeros_like(active)
        if not bool(active.all()):
            ended = running[~active]
            plans[ended] = gains[ended] + ways[~active].log() + queries[~active].log()
            running, kernel, ways, queries = running[active], kernel[active], ways[active], queries[active]
        if not len(running):
            break
    return plans
