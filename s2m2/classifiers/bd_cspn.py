"""BD-CSPN, prototype rectification (Liu et al., ECCV 2020)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from s2m2.classifiers.base import MANY_STEPS, FewShotTasks, TransductiveClassifier
from s2m2.classifiers.prototypes import cosines, rectified_means, shifted_queries
from s2m2.recipe.ranges import NonNegativeInt, PositiveFloat


@dataclass(kw_only=True, eq=False, repr=False)
class BDCSPN(TransductiveClassifier):
    """Cosines to class means that queries have rectified, after a shift of the queries onto the support (Liu et al., section 3).

    It assumes balanced queries: the shift makes the mean of the queries that of the support, in which all classes count alike, and
    equally many queries of each class join the support.
    """

    name = "bd_cspn"
    title = "BD-CSPN"
    job = MANY_STEPS

    scale: PositiveFloat = 10.0
    """Multiplier of the cosines before the softmax; epsilon of the paper."""
    pseudo_labels: NonNegativeInt = 8
    """Queries that join the support of each class, the most confident ones predicted to be of it; Z of the paper. 0: all, as in public
    re-implementations."""

    def assumes_balance(self) -> bool:
        """Always."""
        return True

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Rectify, and return the scaled cosines of the shifted queries, less their average over the classes."""
        support = F.normalize(tasks.support, dim=-1)
        query = shifted_queries(support, F.normalize(tasks.query, dim=-1))
        means = rectified_means(support, tasks.one_hot(), query, scale=self.scale, max_queries=self.pseudo_labels)
        return cosines(query, means).mul_(self.scale)
