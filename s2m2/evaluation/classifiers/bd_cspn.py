"""BD-CSPN, prototype rectification (Liu et al., ECCV 2020)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from s2m2.evaluation.tasks import FewShotTasks
from s2m2.functional.prototypes import cosines, rectified_means
from s2m2.recipe.transductive import BDCSPNConfig


@dataclass(frozen=True, kw_only=True)
class BDCSPN:
    """Cosines to class means that queries have rectified, after the queries were shifted onto the support (Liu et al., section 3).

    It assumes balanced queries: the shift makes the mean of the queries that of the support, in which all classes count alike, and as
    many queries of each class join the support.
    """

    config: BDCSPNConfig

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Rectify, and return the scaled cosines of the shifted queries."""
        config, support = self.config, F.normalize(tasks.support, dim=-1)
        query = shifted_queries(support, F.normalize(tasks.query, dim=-1))
        means = rectified_means(support, tasks.one_hot(), query, scale=config.scale, most=config.pseudo_labels)
        return cosines(query, means).mul_(config.scale)


def shifted_queries(support: Float[Tensor, "task shot dim"], query: Float[Tensor, "task query dim"]) -> Float[Tensor, "task query dim"]:
    """The queries moved so that their mean is that of the support (Liu et al., "feature shifting")."""
    return query + (support.mean(1, keepdim=True) - query.mean(1, keepdim=True))
