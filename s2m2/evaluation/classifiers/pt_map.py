"""PT-MAP, power transform and optimal transport (Hu et al., ICANN 2021)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from s2m2.errors import InputError
from s2m2.evaluation.tasks import FewShotTasks
from s2m2.functional.sinkhorn import ROUND, sinkhorn
from s2m2.recipe.transductive import PTMapConfig

SHIFT = 1e-6
"""Added to features before the power (Hu et al., eq. 1)."""


@dataclass(frozen=True, kw_only=True)
class PTMap:
    """Class centers that a transport plan between queries and classes moves step by step (Hu et al., algorithm 1).

    It assumes balanced queries: the plan gives every class as many.
    """

    config: PTMapConfig

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Move the class centers, and return the logarithm of the last plan.

        Raises:
            InputError: a feature is negative, and the power is not 1.
        """
        config, members = self.config, tasks.one_hot()
        support, query = self.transformed(tasks.support), self.transformed(tasks.query)
        counts, sums = members.sum(-1, keepdim=True), members @ support
        centers = sums / counts
        plan = self._plan(centers, query)
        for _ in range(config.steps):
            shares = plan.exp()
            centers = torch.lerp(centers, torch.baddbmm(sums, shares, query) / (counts + shares.sum(-1, keepdim=True)), config.rate)
            plan = self._plan(centers, query)
        return plan.mT

    def transformed(self, features: Float[Tensor, "task item dim"]) -> Float[Tensor, "task item dim"]:
        """The power transform (eq. 1), then unit length; then centerd and of unit length again, as the authors' code has it.

        Raises:
            InputError: a feature is negative, and the power is not 1.
        """
        if self.config.power != 1 and bool((features < 0).any()):
            raise InputError(
                "classifier pt_map takes a power of features, of which some are negative; --evaluate.transforms rectify changes that"
            )
        raised = (features + SHIFT).log_() if self.config.power == 0 else (features + SHIFT).pow_(self.config.power)
        unit = F.normalize(raised, dim=-1)
        return F.normalize(unit - unit.mean(1, keepdim=True), dim=-1) if self.config.center else unit

    def _plan(self, centers: Float[Tensor, "task way dim"], query: Float[Tensor, "task query dim"]) -> Float[Tensor, "task way query"]:
        config, (queries, ways) = self.config, (query.shape[1], centers.shape[1])
        squares = centers.square().sum(-1, keepdim=True)
        gains = torch.baddbmm(squares, centers, query.mT, beta=-config.scale, alpha=2 * config.scale)
        return sinkhorn(gains, mass=queries / ways, tolerance=config.tolerance, rounds=-(-config.iterations // ROUND))
