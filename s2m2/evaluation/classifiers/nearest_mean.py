"""The nearest class mean (the nearest-centroid rule of Snell et al., NeurIPS 2017, on fixed features)."""

import torch
from jaxtyping import Float
from torch import Tensor

from s2m2.evaluation.tasks import FewShotTasks


def nearest_mean(tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
    """Score by the negative squared Euclidean distance to each class mean, up to a term that all classes of a query share.

    With m the mean of the class means and d_c the mean of class c less m,
    -||x - m - d_c||^2 + ||x - m||^2 = 2 (x - m) . d_c - ||d_c||^2. The dropped term is the largest one where features lie far
    from the origin, so the scores keep more digits without it.
    """
    means = tasks.class_means()
    centre = means.mean(dim=1, keepdim=True)
    offsets = means - centre
    constants = (offsets * (offsets + 2 * centre)).sum(dim=-1)
    return torch.baddbmm(constants[:, None], tasks.query, offsets.mT, beta=-1, alpha=2)
