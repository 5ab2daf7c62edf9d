"""Calibration: confidence against accuracy in bins, and temperature scaling (Guo et al., ICML 2017, arXiv 1706.04599, sections 2 and 4)."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from scipy.optimize import minimize_scalar
from torch import Tensor

from s2m2.evaluation.map_tasks import Scorer, map_tasks
from s2m2.tasks.episodes import OPEN_SET, EpisodeIndices, TaskSource

BINS = 15
"""Bins of confidence, of equal width (Guo et al., section 4)."""
SEARCH_RANGE = 8.0
"""The temperature is searched within a factor of exp(SEARCH_RANGE) around the scale of the scores."""
CACHED_VALUES = 2**17
"""Scores that are computed with at once, 1 MB."""


def reliability_bins(confidence: Float[Tensor, " query"], right: Tensor, number: int = BINS) -> Float64[Tensor, "bin 3"]:
    """Number of queries, sum of their confidences and number of right predictions in bins (m - 1, m] / number.

    Counts, so that those of all parts can be summed; torchmetrics and scikit-learn keep every query.
    """
    bins = (confidence * number).ceil_().sub_(1).clamp_(0, number - 1).long()
    count = torch.bincount(bins, minlength=number).double()
    sums = torch.bincount(bins, weights=confidence.double(), minlength=number)
    return torch.stack([count, sums, torch.bincount(bins, weights=right.double(), minlength=number)], dim=1)


def calibration_error(bins: Float64[Tensor, "bin 3"]) -> float:
    """Expected calibration error, a fraction: the mean over queries of |accuracy - confidence| of their bin (Guo et al., equation 3).

    Args:
        bins: number of queries, sum of confidences, number of right predictions, as `reliability_bins` counts them.
    """
    return float((bins[:, 2] - bins[:, 1]).abs().sum() / bins[:, 0].sum())


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredQueries:
    """Scores of the queries of tasks with equal ways."""

    scores: Float[Tensor, "query way"]
    ways: Int64[Tensor, " query"]
    """True way of each query, or `OPEN_SET`."""
    weight: float = 1.0
    """Of each query, for `fit_temperature`."""


def score_queries(
    features: Float[Tensor, "image dim"],
    source: TaskSource,
    scorer: Scorer,
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> list[ScoredQueries]:
    """The scores of all queries of a source of tasks, part by part.

    Args:
        progress: called with the number of tasks of each finished part.
    """

    def keep(episodes: EpisodeIndices, scores: Float[Tensor, "task query way"]) -> tuple[int, ScoredQueries]:
        return len(episodes), ScoredQueries(scores=scores.flatten(0, 1).cpu(), ways=episodes.query_ways.flatten())

    parts = []
    for tasks, queries in map_tasks(features, source, scorer, keep, device=device):
        parts.append(queries)
        if progress is not None:
            progress(tasks)
    return parts


def fit_temperature(parts: list[ScoredQueries]) -> float:
    """The temperature at which the softmax of the scores has the least mean negative log-likelihood (Guo et al., ICML 2017, section 4.2).

    Queries count by the weights of their parts.

    Scores are divided by it, which changes no prediction. The loss is convex in 1 / temperature, so it has one minimum in the
    logarithm as well. Where every prediction is right, smaller temperatures are always better; the search ends at exp(-8) times the
    mean distance of a score from the largest one.
    """
    total, count, queries = 0.0, 0.0, 0.0
    for weight, below, true in _closed(parts):
        total -= weight * float(below.sum())
        count, queries = count + weight * below.numel(), queries + weight * len(true)
    scale = total / count if count else 0.0
    if scale == 0 or not math.isfinite(scale):
        return 1.0

    def loss(logarithm: float) -> float:
        sharpness = math.exp(-logarithm)
        losses = 0.0
        for weight, below, true in _closed(parts):  # the largest score is 0, so the sum of exponentials is at least 1
            losses += weight * float((below.mul_(sharpness).exp_().sum(-1).log_() - true * sharpness).sum())
        return losses / queries

    center = math.log(scale)
    best = minimize_scalar(loss, bounds=(center - SEARCH_RANGE, center + SEARCH_RANGE), method="bounded", options={"xatol": 1e-4})
    return math.exp(float(best.x))


def _closed(parts: Iterable[ScoredQueries]) -> Iterator[tuple[float, Float64[Tensor, "closed way"], Float64[Tensor, " closed"]]]:
    """Weight, scores of closed-set queries minus their largest, and of these the score of the true way.

    A few queries at a time, which stay in the processor's cache, and computed again at each use: the scores of all tasks are in memory
    once, in their own precision.
    """
    for part in parts:
        size = max(CACHED_VALUES // max(part.scores.shape[-1], 1), 1)
        for scores, ways in zip(part.scores.split(size), part.ways.split(size), strict=True):
            closed = ways != OPEN_SET
            below = scores[closed].double()
            below -= below.amax(-1, keepdim=True)
            yield part.weight, below, below.gather(-1, ways[closed][:, None])[:, 0]
