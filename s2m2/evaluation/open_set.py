"""Open-set recognition: telling queries of the task's classes from queries of other classes.

The score of a query is its largest probability after temperature scaling (Hendrycks and Gimpel, ICLR 2017). A query below a threshold
is rejected.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from scipy.stats import rankdata
from torch import Tensor

from s2m2.evaluation.details import OpenScore as OpenScore
from s2m2.evaluation.intervals import mean_and_interval
from s2m2.evaluation.map_tasks import Scorer, map_tasks
from s2m2.evaluation.outcomes import confidences
from s2m2.tasks.episodes import OPEN_SET, EpisodeIndices, TaskSource


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenTasks:
    """Tasks with closed-set and open-set queries, equally many of each in every task."""

    confidence: Float[Tensor, "task query"]
    closed: Bool[Tensor, "task query"]
    """Whether the query is of a class of its task."""
    right: Bool[Tensor, "task query"]
    """Whether it is, and the prediction is right."""


def open_tasks(
    features: Float[Tensor, "image dim"],
    source: TaskSource,
    scorer: Scorer,
    *,
    temperature: float,
    device: torch.device | str = "cpu",
) -> OpenTasks:
    """The confidences of tasks whose specification has open-set classes.

    Raises:
        InputError: a task needs more than there is.
    """

    def keep(episodes: EpisodeIndices, scores: Float[Tensor, "task query way"]) -> OpenTasks:
        scores = scores.cpu()
        right = scores.argmax(-1) == episodes.query_ways
        return OpenTasks(confidence=confidences(scores, temperature)[0], closed=episodes.query_ways != OPEN_SET, right=right)

    parts = list(map_tasks(features, source, scorer, keep, device=device))
    return OpenTasks(**{name: torch.cat([getattr(part, name) for part in parts]) for name in ("confidence", "closed", "right")})


def choose_threshold(tasks: OpenTasks) -> float:
    """The confidence of largest balanced accuracy: accepted fraction of closed-set plus rejected fraction of open-set queries.

    Youden's index. A query is accepted at or above the threshold; of equally good thresholds it is the lowest.
    """
    confidence, order = tasks.confidence.flatten().double().sort()
    closed = tasks.closed.flatten()[order].double()
    # With the threshold at position i, the i lowest queries are rejected.
    rejected_closed = closed.cumsum(0) - closed
    rejected_open = (1 - closed).cumsum(0) - (1 - closed)
    benefit = rejected_open / (1 - closed).sum() - rejected_closed / closed.sum()
    # Equal confidences cannot be separated: only the first of them is a threshold.
    first = torch.cat([torch.ones(1, dtype=torch.bool), confidence[1:] > confidence[:-1]])
    return float(confidence[benefit.masked_fill(~first, -2.0).argmax()])


def open_score(tasks: OpenTasks, threshold: float) -> OpenScore:
    """Scores of a threshold, chosen elsewhere, on tasks, and the areas that no threshold enters."""
    areas = auroc(tasks.confidence.double().numpy(), tasks.closed.numpy())
    mean, interval = mean_and_interval(areas.tolist())
    accepted = tasks.confidence.double() >= threshold
    closed = int(tasks.closed.sum())
    return OpenScore(
        auroc=mean,
        auroc_interval=interval,
        auroc_pooled=float(auroc(tasks.confidence.double().numpy().reshape(1, -1), tasks.closed.numpy().reshape(1, -1))[0]),
        accepted=int((accepted & tasks.closed).sum()) / closed,
        rejected=int((~accepted & ~tasks.closed).sum()) / (tasks.closed.numel() - closed),
        recognized=int((accepted & tasks.right).sum()) / closed,
    )


def auroc(confidence: Float64[np.ndarray, "task query"], closed: Bool[np.ndarray, "task query"]) -> Float64[np.ndarray, " task"]:
    """Area under the ROC curve of each task, by ranks (Mann and Whitney); ties count half.

    All tasks at once: scikit-learn's `roc_auc_score` takes one task a call.
    """
    ranks = np.asarray(rankdata(confidence, axis=1), dtype=np.float64)
    positives = closed.sum(axis=1).astype(np.float64)
    surplus = np.where(closed, ranks, 0.0).sum(axis=1) - positives * (positives + 1) / 2
    return np.asarray(surplus / (positives * (closed.shape[1] - positives)), dtype=np.float64)
