"""Soft k-means on support and queries (Ren et al., ICLR 2018)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from s2m2.classifiers.base import MANY_STEPS, FewShotTasks, TransductiveClassifier
from s2m2.classifiers.prototypes import closeness
from s2m2.recipe.ranges import NonNegativeInt, PositiveFloat


@dataclass(kw_only=True, eq=False, repr=False)
class SoftKMeans(TransductiveClassifier):
    """Class means refined by queries that count for each class with their probability of it (Ren et al., eq. 2 and 3).

    It does not assume balanced queries, only that all classes are equally likely beforehand.
    """

    name = "soft_kmeans"
    title = "soft k-means"
    job = MANY_STEPS

    steps: NonNegativeInt = 1
    """Refinements of the class means; the paper found one to be enough."""
    scale: PositiveFloat = 1.0
    """Multiplier of the negative squared distances before the softmax. The paper has none (1) and learns its features' scale; on features
    of unit length 1 is soft, on raw ones it may be nearly hard."""

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Refine the class means, and return the negative squared distances to them up to a term that all ways share."""
        members = tasks.one_hot()
        means, counts, sums = tasks.class_means(), members.sum(-1, keepdim=True), members @ tasks.support
        for _ in range(self.steps):
            weights = torch.softmax(closeness(tasks.query, means).mul_(self.scale), dim=-1).mT
            means = torch.baddbmm(sums, weights, tasks.query) / (counts + weights.sum(-1, keepdim=True))
        return closeness(tasks.query, means).mul_(self.scale)
