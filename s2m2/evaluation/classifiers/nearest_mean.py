"""The nearest class mean (the nearest-centroid rule of Snell et al., NeurIPS 2017, on fixed features)."""

import torch
from jaxtyping import Float
from torch import Tensor


def nearest_mean(
    support: Float[Tensor, "task way shot dim"],
    query: Float[Tensor, "task way query dim"],
    generator: torch.Generator,
) -> Float[Tensor, "task way query way"]:
    """Score by the negative squared Euclidean distance to each class mean, up to a term that all classes of a query share.

    With m the mean of the whole support and d_c the mean of class c less m,
    -||x - m - d_c||^2 + ||x - m||^2 = 2 (x - m) . d_c - ||d_c||^2. The dropped term is the largest one where features lie far
    from the origin, so the scores keep more digits without it.
    """
    means = support.mean(dim=2)
    centre = means.mean(dim=1, keepdim=True)
    offsets = means - centre
    projections = query.flatten(1, 2) @ offsets.mT
    constants = (offsets * (offsets + 2 * centre)).sum(dim=-1)
    return (2 * projections - constants[:, None]).unflatten(1, query.shape[1:3])
