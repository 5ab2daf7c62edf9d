"""`Details`: what results state besides the accuracy of each task. Plain numbers and names, stored as JSON."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OLD_KEYS = {
    "TaskResults": {"head": "classifier"},
    "Details": {"unknown": "open_set"},
    "Reliability": {"surprise": "nll"},
    "OpenScore": {"recognised": "recognized"},
}
"""Keys of s2m2 0.1.0 in the JSON of each value, and today's."""


@dataclass(frozen=True, kw_only=True)
class ClassDetails:
    """One class over all tasks that contain it."""

    name: str
    tasks: int
    """Tasks that contain it."""
    task_sum: float
    """Sum of the accuracies of these tasks."""
    queries: int
    right: int
    """Queries of the class that were recognized."""

    @property
    def accuracy(self) -> float:
        """Fraction of its queries that were recognized; 0 where there are none."""
        return self.right / self.queries if self.queries else 0.0


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Probabilities against accuracies, over the queries of all tasks."""

    error: float
    """Expected calibration error, a fraction."""
    nll: float
    """Mean negative log-likelihood, in nats."""
    bins: tuple[tuple[float, float, float], ...]
    """Of each bin of confidence: number of queries, sum of confidences, number of right predictions."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The classifier's probabilities before and after temperature scaling."""

    before: Reliability
    after: Reliability | None
    """None without validation tasks to fit a temperature on."""
    temperature: float | None
    tasks: int
    """Validation tasks that the temperature was fitted on."""


@dataclass(frozen=True, kw_only=True)
class OpenScore:
    """How well open-set queries are told from queries of the task's classes; all are fractions."""

    auroc: float
    """Area under the ROC curve within a task, mean over tasks: the probability that a closed-set query is the more confident one."""
    auroc_interval: float
    """Half width of its 95% interval, 1.96 std / sqrt(tasks)."""
    auroc_pooled: float
    """The same area over the queries of all tasks together, as one threshold for all tasks sees them."""
    accepted: float
    """Closed-set queries above the threshold."""
    rejected: float
    """Open-set queries below it."""
    recognized: float
    """Closed-set queries above the threshold with the right prediction."""


@dataclass(frozen=True, kw_only=True)
class OpenSetDetails:
    """Tasks with open-set queries, the threshold chosen on validation classes."""

    classes: int
    """Open-set classes of each task, with as many queries each as a class of the task."""
    tasks: int
    threshold: float
    """Smallest probability of an accepted query; it separates best on as many validation tasks."""
    score: OpenScore


@dataclass(frozen=True, kw_only=True)
class HardWay:
    """One class of a hard task, as indices of the image dataset."""

    name: str
    support: tuple[int, ...]
    """At most five."""
    wrong: tuple[tuple[int, int], ...]
    """Index and predicted way of misclassified queries; at most eight."""
    right: int
    queries: int


@dataclass(frozen=True, kw_only=True)
class HardTaskDetails:
    """A task of lowest accuracy."""

    number: int
    """Position among the tasks of the evaluation."""
    accuracy: float
    ways: tuple[HardWay, ...]


@dataclass(frozen=True, kw_only=True)
class Details:
    """Everything about one classifier on one kind of task except the accuracies."""

    classes: tuple[ClassDetails, ...]
    confusion: tuple[tuple[int, int, int], ...]
    """True class, predicted class (positions in `classes`) and the number of such queries, where there are any."""
    hardest: tuple[HardTaskDetails, ...]
    calibration: Calibration
    open_set: OpenSetDetails | None = None
    left_out: tuple[str, ...] = ()
    """What could not be measured, and why; a sentence each."""

    @classmethod
    def from_stated(cls, stated: Mapping[str, Any]) -> "Details":
        """The details from their JSON object.

        Raises:
            KeyError, TypeError, ValueError: it is of another form.
        """
        stated = current_keys(cls, stated)
        calibration, open_set = stated["calibration"], stated["open_set"]
        return cls(
            classes=tuple(ClassDetails(**entry) for entry in stated["classes"]),
            confusion=tuple((true, predicted, count) for true, predicted, count in stated["confusion"]),
            hardest=tuple(_hard_task(entry) for entry in stated["hardest"]),
            calibration=Calibration(
                before=_reliability(calibration["before"]),
                after=_reliability(calibration["after"]) if calibration["after"] is not None else None,
                temperature=calibration["temperature"],
                tasks=calibration["tasks"],
            ),
            open_set=_open_set(open_set) if open_set is not None else None,
            left_out=tuple(stated["left_out"]),
        )


def current_keys(cls: type, stated: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object of a value with today's keys."""
    names = OLD_KEYS[cls.__name__]
    return {names.get(key, key): value for key, value in stated.items()}


def _reliability(stated: Mapping[str, Any]) -> Reliability:
    stated = current_keys(Reliability, stated)
    bins = tuple((float(count), float(confidence), float(right)) for count, confidence, right in stated["bins"])
    return Reliability(error=stated["error"], nll=_or_infinite(stated["nll"]), bins=bins)


def _open_set(stated: Mapping[str, Any]) -> OpenSetDetails:
    score = current_keys(OpenScore, stated["score"])
    score["auroc_interval"] = _or_infinite(score["auroc_interval"])
    return OpenSetDetails(**{**stated, "score": OpenScore(**score)})


def _or_infinite(value: float | None) -> float:
    """A number that JSON has as null where it is infinite."""
    return math.inf if value is None else value


def _hard_task(stated: Mapping[str, Any]) -> HardTaskDetails:
    ways = tuple(
        HardWay(**{**way, "support": tuple(way["support"]), "wrong": tuple((index, answer) for index, answer in way["wrong"])})
        for way in stated["ways"]
    )
    return HardTaskDetails(number=stated["number"], accuracy=stated["accuracy"], ways=ways)
