"""The nearest class mean (the nearest-centroid rule of Snell et al., NeurIPS 2017, on fixed features)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from s2m2.classifiers.base import ONE_PRODUCT, FewShotTasks, InductiveClassifier


@dataclass(kw_only=True, eq=False, repr=False)
class NearestMean(InductiveClassifier):
    """Scores are negative squared Euclidean distances to the class means, less that to the mean of the first class.

    With m_0 the mean of the first class and d_c the mean of class c less m_0,
    -||x - m_c||^2 + ||x - m_0||^2 = 2 x . d_c - d_c . (d_c + 2 m_0). A term that all classes of a query share changes no prediction and
    no probability; without it the scores keep more digits where features lie far from the origin, and a product is saved.
    """

    name = "nearest_mean"
    title = "nearest class mean"
    job = ONE_PRODUCT

    def fit_tasks(self, tasks: FewShotTasks, generator: torch.Generator) -> "FittedMeans":
        """The class means."""
        means = tasks.class_means()
        first, others = means[:, :1], means[:, 1:]
        offsets = others - first
        return FittedMeans(offsets=offsets, constants=(offsets * (others + first)).sum(dim=-1))


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedMeans:
    """Class means about that of the first class."""

    offsets: Float[Tensor, "task other dim"]
    """d_c of every class but the first."""
    constants: Float[Tensor, "task other"]
    """d_c . (d_c + 2 m_0)."""

    def scores(self, query: Float[Tensor, "task query dim"]) -> Float[Tensor, "task query way"]:
        """Negative squared distances, less that to the first class."""
        return F.pad(torch.baddbmm(self.constants[:, None], query, self.offsets.mT, beta=-1, alpha=2), (1, 0))
