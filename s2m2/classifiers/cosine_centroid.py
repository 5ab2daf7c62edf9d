"""The nearest class mean by cosine (the cosine nearest-centroid rule that SimpleShot compares with, Wang et al., 2019, section 3)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from s2m2.classifiers.base import ONE_PRODUCT, FewShotTasks, InductiveClassifier


@dataclass(kw_only=True, eq=False, repr=False)
class CosineCentroid(InductiveClassifier):
    """Scores are cosines of the angles between a query and the class means, which are those of the features as they are."""

    name = "cosine_centroid"
    title = "nearest class mean by cosine"
    job = ONE_PRODUCT

    def fit_tasks(self, tasks: FewShotTasks, generator: torch.Generator) -> "FittedCentroids":
        """The directions of the class means."""
        return FittedCentroids(directions=F.normalize(tasks.class_means(), dim=-1))


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedCentroids:
    """Class means of length 1."""

    directions: Float[Tensor, "task way dim"]

    def scores(self, query: Float[Tensor, "task query dim"]) -> Float[Tensor, "task query way"]:
        """Cosines; 0 for a query of zeros."""
        lengths = torch.linalg.vector_norm(query, dim=-1, keepdim=True)
        return (query @ self.directions.mT).div_(lengths.clamp(min=torch.finfo(lengths.dtype).tiny))
