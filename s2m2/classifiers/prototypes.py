"""Class means of few-shot tasks, and closeness of features to them, for classifiers that refine the means."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64
from torch import Tensor

from s2m2.classifiers.span import where_float64_is


def closeness(items: Float[Tensor, "task item dim"], means: Float[Tensor, "task way dim"]) -> Float[Tensor, "task item way"]:
    """The negative squared distance to each mean, up to a term that all ways of an item share.

    With m the mean of the means and d_k the k-th less m, -||x - m - d_k||^2 + ||x - m||^2 = 2 (x - m) . d_k - ||d_k||^2.
    """
    center = means.mean(dim=1, keepdim=True)
    offsets = means - center
    constants = (offsets * (offsets + 2 * center)).sum(dim=-1)
    return torch.baddbmm(constants[:, None], items, offsets.mT, beta=-1, alpha=2)


def direction_offsets(means: Float[Tensor, "task way dim"]) -> Float64[Tensor, "task way dim"]:
    """Means divided by their lengths, less the mean of that over all of them.

    In float64: where all means have a large part in common, their directions differ in the last digits only.
    """
    directions = F.normalize(where_float64_is(means).double(), dim=-1)
    return directions - directions.mean(1, keepdim=True)


def cosines(items: Float[Tensor, "task item dim"], means: Float[Tensor, "task way dim"]) -> Float[Tensor, "task item way"]:
    """Cosine of the angle between each item and each mean, less the average over all means; 0 for an item of zeros.

    The term that all ways of an item share changes no probability, and takes the digits where all cosines are near 1.
    """
    # On MPS the type must change before the device does.
    offsets = direction_offsets(means).to(items.dtype).to(items.device)
    return F.normalize(items, dim=-1) @ offsets.mT


def shifted_queries(support: Float[Tensor, "task shot dim"], query: Float[Tensor, "task query dim"]) -> Float[Tensor, "task query dim"]:
    """The queries moved so that their mean is that of the support (Liu et al., ECCV 2020, "feature shifting")."""
    return query + (support.mean(1, keepdim=True) - query.mean(1, keepdim=True))


def rectified_means(
    support: Float[Tensor, "task shot dim"],
    members: Float[Tensor, "task way shot"],
    query: Float[Tensor, "task query dim"],
    *,
    scale: float,
    max_queries: int,
) -> Float64[Tensor, "task way dim"]:
    """Class means over the support and the queries predicted to be of the class (Liu et al., ECCV 2020, section 3.2).

    Each item that belongs to class n, or is predicted to, counts with the weight exp(scale * cos(x, P_n)) / sum_c exp(scale * cos(x,
    P_c)), where the P are the plain class means; the result is the mean of the weighted items, as only its direction matters there.

    Args:
        members: 1 where a support item belongs to a way, else 0.
        query: already shifted.
        max_queries: predicted queries of a class to take, the most confident ones; 0: all.
    """
    center = support.mean(1, keepdim=True)
    means = _about(center, members / members.sum(-1, keepdim=True), support)
    # Weights that differ little keep their order in float64 only.
    closest = where_float64_is(cosines(torch.cat([support, query], dim=1), means)).double()
    weights = torch.softmax(scale * closest, dim=-1).mT
    of_support, of_query = weights.split([support.shape[1], query.shape[1]], dim=2)
    members = members.to(weights)
    chosen = F.one_hot(of_query.argmax(1), weights.shape[1]).mT.to(weights)
    if 0 < max_queries < query.shape[1]:
        best = (of_query * chosen).topk(max_queries, dim=-1).indices
        chosen = chosen * torch.zeros_like(chosen).scatter_(-1, best, 1.0)
    counts = members.sum(-1, keepdim=True) + chosen.sum(-1, keepdim=True)
    weights = torch.cat([of_support * members, of_query * chosen], dim=2) / counts
    return _about(center, weights.to(support.dtype).to(support.device), torch.cat([support, query], dim=1))


def _about(
    center: Float[Tensor, "task 1 dim"], weights: Float[Tensor, "task way item"], items: Float[Tensor, "task item dim"]
) -> Float64[Tensor, "task way dim"]:
    """Weighted sums of items, in float64, of which products in the precision of the items see what differs from the center only."""
    offsets = where_float64_is(weights @ (items - center)).double()
    return offsets + where_float64_is(weights.sum(-1, keepdim=True)).double() * where_float64_is(center).double()
