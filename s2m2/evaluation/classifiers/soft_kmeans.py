"""Soft k-means on support and queries (Ren et al., ICLR 2018)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from s2m2.evaluation.tasks import FewShotTasks
from s2m2.functional.prototypes import closeness
from s2m2.recipe.transductive import SoftKMeansConfig


@dataclass(frozen=True, kw_only=True)
class SoftKMeans:
    """Class means refined by queries that count for each class with their probability of it (Ren et al., eq. 2 and 3).

    It does not assume balanced queries; that all classes are equally likely beforehand is the only thing it says about them.
    """

    config: SoftKMeansConfig

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Refine the class means, and return the negative squared distances to them up to a term that all ways share."""
        scale, members = self.config.scale, tasks.one_hot()
        means, counts, sums = tasks.class_means(), members.sum(-1, keepdim=True), members @ tasks.support
        for _ in range(self.config.steps):
            shares = torch.softmax(closeness(tasks.query, means).mul_(scale), dim=-1).mT
            means = torch.baddbmm(sums, shares, tasks.query) / (counts + shares.sum(-1, keepdim=True))
        return closeness(tasks.query, means).mul_(scale)
