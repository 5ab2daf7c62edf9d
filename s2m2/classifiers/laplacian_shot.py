"""LaplacianShot, Laplacian regularized inference (Ziko et al., ICML 2020)."""

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from s2m2.classifiers.base import MANY_STEPS, FewShotTasks, TransductiveClassifier
from s2m2.classifiers.base_statistics import BaseStatistics, statistics_of
from s2m2.classifiers.prototypes import closeness, rectified_means, shifted_queries
from s2m2.errors import InputError
from s2m2.recipe.ranges import IntFromTwo, NonNegativeFloat, PositiveInt

ONE_SHOT, MORE_SHOTS = 0.7, 0.3
"""Weights of the agreement of neighbors; see `LaplacianShot.weight`."""
RECTIFICATION_SCALE = 10.0
"""Multiplier of the cosines in the rectification, as in BD-CSPN."""


@dataclass(kw_only=True, eq=False, repr=False)
class LaplacianShot(TransductiveClassifier):
    """Nearest class means, with nearest neighbors among the queries encouraged to agree (Ziko et al., eq. 1 to 9).

    It assumes balanced queries where it rectifies, as BD-CSPN does; otherwise it does not. Its authors tune `weight` on the validation
    classes of each benchmark.
    """

    name = "laplacian_shot"
    title = "LaplacianShot"
    needs_base = True
    job = MANY_STEPS

    weight: NonNegativeFloat | None = None
    """Weight of the agreement of neighbors; lambda of the paper. None: what validation chooses on mini-ImageNet and CUB, of 0.1 to 1.5, for
    balanced queries 0.7 at one shot and 0.3 at more (0.1 on tieredImageNet); without rectification, for unbalanced ones, 0.7."""
    neighbors: IntFromTwo = 3
    """Nearest queries that a query is tied to; it counts itself as the first of them, as the authors' code does."""
    steps: PositiveInt = 20
    """Bound updates, at most."""
    tolerance: NonNegativeFloat = 1e-6
    """Relative change of the energy at which the updates of a task end."""
    rectify: bool = True
    """Shift the queries and rectify the class means as BD-CSPN does. Off: plain class means, and no assumption of balance."""
    center: bool = True
    """Subtract the mean of the base features before scaling features to unit length (CL2N)."""
    base: BaseStatistics | tuple[Any, Any] | None = None
    """Statistics of the base classes, or a pair of their features and labels; not needed where `center` is off."""

    def assumes_balance(self) -> bool:
        """Where it rectifies."""
        return self.rectify

    def validate(self) -> None:
        """Check the settings.

        Raises:
            InputError: as for all; or it is to center features, but there are no base statistics.
        """
        super().validate()
        self.base_mean()

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Descend on the energy, and return the logits of the last update."""
        members = tasks.one_hot()
        support, query = self._unit(tasks.support), self._unit(tasks.query)
        neighbors = nearest_neighbors(query, self.neighbors - 1)
        if self.rectify:
            query = shifted_queries(support, query)
            means = rectified_means(support, members, query, scale=RECTIFICATION_SCALE, max_queries=0).to(query.dtype).to(query.device)
        else:
            means = replace(tasks, support=support).class_means()
        unary = query.square().sum(-1, keepdim=True) - closeness_from_origin(query, means)
        weight = self.weight if self.weight is not None else weight_for(tasks.shots, balanced=self.rectify)
        return bound_updates(unary.mT.contiguous(), neighbors, weight, self).mT

    def base_mean(self) -> Float[Tensor, " dim"] | None:
        """Mean to subtract; None where features are not centered.

        Raises:
            InputError: there are no base statistics.
        """
        if not self.center:
            return None
        base = statistics_of(self)
        if base is None:
            raise InputError(
                "classifier laplacian_shot subtracts the mean of the base features, which are missing; --base_features gives those of "
                "--features, base=(features, labels) in Python, and the setting center: false does without"
            )
        return base.mean

    def _unit(self, features: Float[Tensor, "task item dim"]) -> Float[Tensor, "task item dim"]:
        mean = self.base_mean()
        return F.normalize(features if mean is None else features - mean.to(features), dim=-1)


def closeness_from_origin(query: Float[Tensor, "task query dim"], means: Float[Tensor, "task way dim"]) -> Float[Tensor, "task query way"]:
    """2 x . m - ||m||^2."""
    return torch.baddbmm(means.square().sum(-1)[:, None], query, means.mT, beta=-1, alpha=2)


def nearest_neighbors(query: Float[Tensor, "task query dim"], count: int) -> Float[Tensor, "task neighbor query"]:
    """1 where one of the `count` queries nearest to a query (last axis), except itself, else 0; columns add up to `count`."""
    nearness = closeness(query, query)
    nearness.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    nearest = nearness.topk(min(count, query.shape[1] - 1), dim=-1).indices
    return torch.zeros_like(nearness).scatter_(-1, nearest, 1.0).mT


def weight_for(shots: int | None, *, balanced: bool) -> float:
    """Lambda that validation chose on mini-ImageNet for a number of shots (of alpha-TIM's authors, Veilleux et al., NeurIPS 2021, who
    tuned it for balanced and unbalanced queries).
    """
    return ONE_SHOT if shots == 1 or not balanced else MORE_SHOTS


def bound_updates(
    unary: Float[Tensor, "task way query"], neighbors: Float[Tensor, "task neighbor query"], weight: float, settings: LaplacianShot
) -> Float[Tensor, "task way query"]:
    """Logits -a + lambda W y of the last of the updates y = softmax(-a + lambda W y) (Ziko et al., eq. 9).

    A task ends at its own third or later update that changes its energy, sum of y log y + a y - lambda y W y (eq. 6), relatively by no
    more than the tolerance; it then stays as it is while others go on.
    """
    logits = unary.neg()
    agreement = torch.softmax(logits, dim=1) @ neighbors
    energy = unary.new_full((len(unary), 1, 1), torch.inf)
    running: Bool[Tensor, "task 1 1"] = torch.ones_like(energy, dtype=torch.bool)
    for number in range(settings.steps):
        logits = torch.where(running, torch.add(-unary, agreement, alpha=weight), logits)
        probabilities = torch.softmax(logits, dim=1)
        agreement = probabilities @ neighbors
        terms = torch.xlogy(probabilities, probabilities) + probabilities * (unary - weight * agreement)
        previous, energy = energy, terms.sum((1, 2), keepdim=True)
        if number > 1:
            running = running & ((energy - previous).abs() > settings.tolerance * previous.abs())
            if not bool(running.any()):
                break
    return logits
