"""Unknown classes: can the classifier tell queries of its task's classes from queries of none of them?

The measure of a query is its largest probability after the temperature (Hendrycks and Gimpel, ICLR 2017). A query below a threshold is
rejected as "none of these".
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from scipy.stats import rankdata
from torch import Tensor

from s2m2.data.episodes import UNKNOWN, EpisodeIndices
from s2m2.data.sampling import EpisodeSource
from s2m2.evaluation.engine import Scorer, map_tasks
from s2m2.evaluation.intervals import mean_and_interval
from s2m2.evaluation.outcomes import confidences


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenTasks:
    """Tasks with queries of their own classes and of none, as many of each in every task."""

    confidence: Float[Tensor, "task query"]
    known: Bool[Tensor, "task query"]
    """Whether the query is of a class of its task."""
    right: Bool[Tensor, "task query"]
    """Whether it is, and was taken for it."""


@dataclass(frozen=True, kw_only=True)
class OpenScore:
    """How well unknown classes are told from known ones; all are fractions."""

    auroc: float
    """Area under the ROC curve within a task, mean over tasks: the chance that a known query is more confident than an unknown one."""
    auroc_interval: float
    """Half width of its 95% interval, 1.96 std / sqrt(tasks)."""
    auroc_pooled: float
    """The same area over the queries of all tasks together, which one threshold for all tasks has to live with."""
    accepted: float
    """Known queries above the threshold."""
    rejected: float
    """Unknown queries below it."""
    recognized: float
    """Known queries above the threshold that also were taken for their own class."""


def open_tasks(
    features: Float[Tensor, "row dim"],
    source: EpisodeSource,
    scorer: Scorer,
    *,
    temperature: float,
    device: torch.device | str = "cpu",
) -> OpenTasks:
    """The confidences of tasks whose specification has unknown classes.

    Raises:
        InputError: a task needs what there is not.
    """

    def keep(episodes: EpisodeIndices, scores: Float[Tensor, "task query way"]) -> OpenTasks:
        scores = scores.cpu()
        right = scores.argmax(-1) == episodes.query_ways
        return OpenTasks(confidence=confidences(scores, temperature)[0], known=episodes.query_ways != UNKNOWN, right=right)

    parts = list(map_tasks(features, source, scorer, keep, device=device))
    return OpenTasks(**{name: torch.cat([getattr(part, name) for part in parts]) for name in ("confidence", "known", "right")})


def choose_threshold(tasks: OpenTasks) -> float:
    """The confidence that separates best: accepted share of known queries plus rejected share of unknown ones is largest.

    That is twice the balanced accuracy (Youden's index plus one). A query is accepted at or above the threshold; of equally good
    ones the lowest is taken.
    """
    confidence, order = tasks.confidence.flatten().double().sort()
    known = tasks.known.flatten()[order].double()
    # With the threshold at place i, the i lowest queries are rejected.
    rejected_known = known.cumsum(0) - known
    rejected_unknown = (1 - known).cumsum(0) - (1 - known)
    benefit = rejected_unknown / (1 - known).sum() - rejected_known / known.sum()
    # Equal confidences cannot be separated: only the first of them is a threshold.
    first = torch.cat([torch.ones(1, dtype=torch.bool), confidence[1:] > confidence[:-1]])
    return float(confidence[benefit.masked_fill(~first, -2.0).argmax()])


def open_score(tasks: OpenTasks, threshold: float) -> OpenScore:
    """How a threshold chosen elsewhere does on tasks, and how well any threshold could do."""
    areas = auroc(tasks.confidence.double().numpy(), tasks.known.numpy())
    mean, interval = mean_and_interval(areas.tolist())
    accepted = tasks.confidence.double() >= threshold
    known = int(tasks.known.sum())
    return OpenScore(
        auroc=mean,
        auroc_interval=interval,
        auroc_pooled=float(auroc(tasks.confidence.double().numpy().reshape(1, -1), tasks.known.numpy().reshape(1, -1))[0]),
        accepted=int((accepted & tasks.known).sum()) / known,
        rejected=int((~accepted & ~tasks.known).sum()) / (tasks.known.numel() - known),
        recognized=int((accepted & tasks.right).sum()) / known,
    )


def auroc(confidence: Float64[np.ndarray, "task query"], known: Bool[np.ndarray, "task query"]) -> Float64[np.ndarray, " task"]:
    """Area under the ROC curve of each task, by ranks (Mann and Whitney); ties count half."""
    ranks = np.asarray(rankdata(confidence, axis=1), dtype=np.float64)
    positives = known.sum(axis=1).astype(np.float64)
    surplus = np.where(known, ranks, 0.0).sum(axis=1) - positives * (positives + 1) / 2
    return np.asarray(surplus / (positives * (known.shape[1] - positives)), dtype=np.float64)
