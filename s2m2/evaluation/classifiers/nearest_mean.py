"""The nearest class mean (the nearest-centroid rule of Snell et al., NeurIPS 2017, on fixed features)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from s2m2.evaluation.tasks import FewShotTasks


def nearest_mean(tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
    """Score by the negative squared Euclidean distance to each class mean, less that to the mean of the first class.

    With m_0 the mean of the first class and d_c the mean of class c less m_0,
    -||x - m_c||^2 + ||x - m_0||^2 = 2 x . d_c - d_c . (d_c + 2 m_0). What all classes of a query share changes no prediction and no
    probability; without it the scores keep more digits where features lie far from the origin, and a product is saved.
    """
    means = tasks.class_means()
    first, others = means[:, :1], means[:, 1:]
    offsets = others - first
    constants = (offsets * (others + first)).sum(dim=-1)
    return F.pad(torch.baddbmm(constants[:, None], tasks.query, offsets.mT, beta=-1, alpha=2), (1, 0))
