"""The nearest class mean by cosine (the cosine nearest-centroid rule that SimpleShot compares with, Wang et al., 2019, section 3)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from s2m2.classifiers.base import ONE_PRODUCT, FewShotTasks, InductiveClassifier
from s2m2.classifiers.prototypes import direction_offsets


@dataclass(kw_only=True, eq=False, repr=False)
class CosineCentroid(InductiveClassifier):
    """Scores are cosines of the angles between a query and the class means, less their average over the classes.

    The class means are those of the features as they are. A term that all classes of a query share changes no prediction and no
    probability; without it the scores keep their digits where all features have a large part in common, as then all cosines are near 1.
    """

    name = "cosine_centroid"
    title = "nearest class mean by cosine"
    job = ONE_PRODUCT

    def fit_tasks(self, tasks: FewShotTasks, generator: torch.Generator) -> "FittedCentroids":
        """The directions of the class means."""
        offsets = direction_offsets(tasks.class_means())
        return FittedCentroids(offsets=offsets.to(tasks.support.dtype).to(tasks.support.device))


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedCentroids:
    """Directions of the class means about their average."""

    offsets: Float[Tensor, "task way dim"]

    def scores(self, query: Float[Tensor, "task query dim"]) -> Float[Tensor, "task query way"]:
        """Cosines, less their average; 0 for a query of zeros."""
        lengths = torch.linalg.vector_norm(query, dim=-1, keepdim=True)
        return (query @ self.offsets.mT).div_(lengths.clamp(min=torch.finfo(lengths.dtype).tiny))
