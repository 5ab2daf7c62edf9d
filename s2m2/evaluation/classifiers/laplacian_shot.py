"""LaplacianShot, Laplacian regularized inference (Ziko et al., ICML 2020)."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from s2m2.errors import InputError
from s2m2.evaluation.base_statistics import BaseStatistics
from s2m2.evaluation.classifiers.bd_cspn import shifted_queries
from s2m2.evaluation.tasks import FewShotTasks
from s2m2.functional.prototypes import closeness, rectified_means
from s2m2.recipe.transductive import LaplacianShotConfig

RECTIFICATION_SCALE = 10.0
"""Multiplier of the cosines in the rectification, as in BD-CSPN."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LaplacianShot:
    """Nearest class means, with nearest neighbors among the queries encouraged to agree (Ziko et al., eq. 1 to 9).

    It assumes balanced queries where it rectifies, as BD-CSPN does; without that it does not.
    """

    config: LaplacianShotConfig
    base_mean: Float[Tensor, " dim"] | None
    """Mean base feature; None where features are not centerd."""

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Descend on the energy, and return the logits of the last update."""
        config, members = self.config, tasks.one_hot()
        support, query = self._unit(tasks.support), self._unit(tasks.query)
        neighbors = nearest_neighbors(query, config.neighbors - 1)
        if config.rectify:
            query = shifted_queries(support, query)
            means = rectified_means(support, members, query, scale=RECTIFICATION_SCALE, most=0)
        else:
            means = replace(tasks, support=support).class_means()
        unary = query.square().sum(-1, keepdim=True) - closeness_from_origin(query, means)
        return bound_updates(unary.mT.contiguous(), neighbors, config).mT

    def _unit(self, features: Float[Tensor, "task item dim"]) -> Float[Tensor, "task item dim"]:
        return F.normalize(features if self.base_mean is None else features - self.base_mean.to(features), dim=-1)


def laplacian_shot(config: LaplacianShotConfig, base: BaseStatistics | None) -> LaplacianShot:
    """The classifier for features of which the base statistics are known, or not.

    Raises:
        InputError: it is to center features, but there are no base statistics.
    """
    if config.center and base is None:
        raise InputError(
            "classifier laplacian_shot subtracts the mean of the base features, which are not at hand; "
            "--base-features gives those of --features, and --evaluate.laplacian_shot.center false does without"
        )
    return LaplacianShot(config=config, base_mean=base.mean if config.center and base is not None else None)


def closeness_from_origin(query: Float[Tensor, "task query dim"], means: Float[Tensor, "task way dim"]) -> Float[Tensor, "task query way"]:
    """2 x . m - ||m||^2."""
    return torch.baddbmm(means.square().sum(-1)[:, None], query, means.mT, beta=-1, alpha=2)


def nearest_neighbors(query: Float[Tensor, "task query dim"], count: int) -> Float[Tensor, "task neighbor query"]:
    """1 where one of the `count` queries nearest to a query (last axis), itself left out, else 0; columns, not rows, add up to it."""
    nearness = closeness(query, query)
    nearness.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    best = nearness.topk(min(count, query.shape[1] - 1), dim=-1).indices
    return torch.zeros_like(nearness).scatter_(-1, best, 1.0).mT


def bound_updates(
    unary: Float[Tensor, "task way query"], neighbors: Float[Tensor, "task neighbor query"], config: LaplacianShotConfig
) -> Float[Tensor, "task way query"]:
    """Logits -a + lambda W y of the last of the updates y = softmax(-a + lambda W y) (Ziko et al., eq. 9).

    A task ends at its own third or later update that changes its energy, sum of y log y + a y - lambda y W y (eq. 6), relatively by no
    more than the tolerance; it then stays as it is while others go on.
    """
    logits = unary.neg()
    agreement = torch.softmax(logits, dim=1) @ neighbors
    energy = unary.new_full((len(unary), 1, 1), torch.inf)
    running: Bool[Tensor, "task 1 1"] = torch.ones_like(energy, dtype=torch.bool)
    for number in range(config.steps):
        logits = torch.where(running, torch.add(-unary, agreement, alpha=config.weight), logits)
        shares = torch.softmax(logits, dim=1)
        agreement = shares @ neighbors
        terms = torch.xlogy(shares, shares) + shares * (unary - config.weight * agreement)
        previous, energy = energy, terms.sum((1, 2), keepdim=True)
        if number > 1:
            running = running & ((energy - previous).abs() > config.tolerance * previous.abs())
            if not bool(running.any()):
                break
    return logits
