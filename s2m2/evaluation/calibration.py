"""How far a classifier's probabilities can be believed, and the one temperature that mends them."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from scipy.optimize import minimize_scalar
from torch import Tensor

from s2m2.data.episodes import UNKNOWN, EpisodeIndices
from s2m2.data.sampling import EpisodeSource
from s2m2.evaluation.engine import Scorer, map_tasks

SEARCHED = 8.0
"""The temperature lies within a factor of e to this power of the scores' own scale."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredQueries:
    """Queries of tasks of as many ways, each with its scores."""

    scores: Float[Tensor, "query way"]
    ways: Int64[Tensor, " query"]
    """Own way of each query, or `UNKNOWN`."""


def score_queries(
    features: Float[Tensor, "row dim"],
    source: EpisodeSource,
    scorer: Scorer,
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> list[ScoredQueries]:
    """The scores of all queries of a few tasks, one part after the other.

    Args:
        progress: told the number of tasks of each part when it is done.
    """

    def keep(episodes: EpisodeIndices, scores: Float[Tensor, "task query way"]) -> tuple[int, ScoredQueries]:
        return len(episodes), ScoredQueries(scores=scores.flatten(0, 1).cpu(), ways=episodes.query_ways.flatten())

    found = []
    for tasks, queries in map_tasks(features, source, scorer, keep, device=device):
        found.append(queries)
        if progress is not None:
            progress(tasks)
    return found


def fit_temperature(parts: list[ScoredQueries]) -> float:
    """The temperature at which the softmax of the scores has the least mean negative log-likelihood (Guo et al., ICML 2017, section 4.2).

    Scores are divided by it, so that no prediction changes. The loss is convex in 1 / temperature, hence has one minimum in its
    logarithm too. Where every query is right, ever smaller temperatures would be better; the search ends at exp(-8) times the mean
    distance of a score from the largest one.
    """
    total, count, queries = 0.0, 0, 0
    for below, own in map(_known, parts):
        total, count, queries = total - float(below.sum()), count + below.numel(), queries + len(own)
    scale = total / max(count, 1)
    if scale == 0 or not math.isfinite(scale):
        return 1.0

    def loss(logarithm: float) -> float:
        sharpness = math.exp(-logarithm)
        losses = ((below * sharpness).logsumexp(-1) - own * sharpness for below, own in map(_known, parts))
        return sum(float(part.sum()) for part in losses) / queries

    center = math.log(scale)
    found = minimize_scalar(loss, bounds=(center - SEARCHED, center + SEARCHED), method="bounded", options={"xatol": 1e-4})
    return math.exp(float(found.x))


def _known(part: ScoredQueries) -> tuple[Float64[Tensor, "known way"], Float64[Tensor, " known"]]:
    """Scores of the queries of known classes less their largest one, and of these those of the own way.

    Made anew for each look at them, so that the scores of all tasks are in memory once, in the precision that they came in.
    """
    known = part.ways != UNKNOWN
    scores = part.scores[known].double()
    below = scores - scores.amax(-1, keepdim=True)
    return below, below.gather(-1, part.ways[known][:, None])[:, 0]
