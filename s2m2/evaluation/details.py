"""`Details`: what results say beyond the accuracy of each task. Plain numbers and names, so that they can be kept as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from s2m2.evaluation.features import FeatureSet
from s2m2.evaluation.open_set import OpenScore
from s2m2.evaluation.outcomes import HardTask, Outcomes

MAX_SUPPORT, MAX_WRONG = 5, 8
"""Images of a class of a hard task that are kept; the rest is counted."""


@dataclass(frozen=True, kw_only=True)
class ClassDetails:
    """One class over all tasks that had it."""

    name: str
    tasks: int
    """Tasks that had it."""
    task_sum: float
    """Sum of the accuracies of these tasks."""
    queries: int
    right: int

    @property
    def accuracy(self) -> float:
        """Share of its queries that were recognized; 0 where there were none."""
        return self.right / self.queries if self.queries else 0.0


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Probabilities against accuracies, over the queries of all tasks."""

    error: float
    """Expected calibration error, a fraction."""
    nll: float
    """Mean negative log-likelihood, in nats."""
    bins: tuple[tuple[float, float, float], ...]
    """Of each bin of confidence: number of queries, sum of confidences, number of right ones."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The classifier's probabilities as they come, and after one temperature."""

    before: Reliability
    after: Reliability | None
    """None where there were no validation tasks to fit a temperature on."""
    temperature: float | None
    tasks: int
    """Validation tasks that the temperature was fitted on."""


@dataclass(frozen=True, kw_only=True)
class UnknownDetails:
    """Tasks with queries of unknown classes, the threshold chosen on validation classes."""

    classes: int
    """Unknown classes in each task, as many queries of each as of a known one."""
    tasks: int
    threshold: float
    """Least probability at which a query is accepted; it separates best on as many validation tasks."""
    score: OpenScore


@dataclass(frozen=True, kw_only=True)
class HardWay:
    """One class of a hard task, by rows of the image dataset."""

    name: str
    support: tuple[int, ...]
    """At most five."""
    wrong: tuple[tuple[int, int], ...]
    """Row and predicted way of queries that were not recognized; at most eight."""
    right: int
    queries: int


@dataclass(frozen=True, kw_only=True)
class HardTaskDetails:
    """A task of lowest accuracy."""

    number: int
    """Place among the tasks of the evaluation."""
    accuracy: float
    ways: tuple[HardWay, ...]


@dataclass(frozen=True, kw_only=True)
class Details:
    """Everything about one classifier on one kind of task but the accuracies themselves."""

    classes: tuple[ClassDetails, ...]
    confusion: tuple[tuple[int, int, int], ...]
    """True class, predicted class (places in `classes`) and the number of such queries, where there are any."""
    hardest: tuple[HardTaskDetails, ...]
    calibration: Calibration
    unknown: UnknownDetails | None = None
    left_out: tuple[str, ...] = ()
    """What could not be measured, and why; a sentence each."""

    @classmethod
    def from_stated(cls, stated: Mapping[str, Any]) -> "Details":
        """The details behind `asdict` of them, after a way through JSON.

        Raises:
            KeyError, TypeError, ValueError: they are not.
        """
        calibration, unknown = stated["calibration"], stated["unknown"]
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
            unknown=UnknownDetails(**{**unknown, "score": OpenScore(**unknown["score"])}) if unknown is not None else None,
            left_out=tuple(stated["left_out"]),
        )


def class_details(outcomes: Outcomes, names: tuple[str, ...]) -> tuple[ClassDetails, ...]:
    """Every class of an evaluation, in order of class numbers."""
    rows = zip(
        outcomes.classes.tolist(),
        outcomes.class_tasks.tolist(),
        outcomes.class_sums.tolist(),
        outcomes.confusion.sum(1).tolist(),
        outcomes.confusion.diagonal().tolist(),
        strict=True,
    )
    return tuple(
        ClassDetails(name=names[number], tasks=tasks, task_sum=total, queries=queries, right=right)
        for number, tasks, total, queries, right in rows
    )


def sparse_confusion(outcomes: Outcomes) -> tuple[tuple[int, int, int], ...]:
    """The entries of the confusion matrix that are not 0, row by row."""
    places = outcomes.confusion.nonzero()
    counts = outcomes.confusion[places[:, 0], places[:, 1]].tolist()
    return tuple((true, predicted, count) for (true, predicted), count in zip(places.tolist(), counts, strict=True))


def hard_task_details(task: HardTask, features: FeatureSet) -> HardTaskDetails:
    """A hard task by rows of the image dataset behind the features."""
    episode, ways = task.episode, []
    for way, number in enumerate(episode.classes[0].tolist()):
        support = features.rows[episode.support[0][episode.support_ways[0] == way]].tolist()
        own = episode.query_ways[0] == way
        answers = list(zip(features.rows[episode.query[0][own]].tolist(), task.predicted[own].tolist(), strict=True))
        wrong = [(row, answer) for row, answer in answers if answer != way]
        ways.append(
            HardWay(
                name=features.class_names[number],
                support=tuple(support[:MAX_SUPPORT]),
                wrong=tuple(wrong[:MAX_WRONG]),
                right=len(answers) - len(wrong),
                queries=len(answers),
            )
        )
    return HardTaskDetails(number=task.number, accuracy=task.accuracy, ways=tuple(ways))


def _reliability(stated: Mapping[str, Any]) -> Reliability:
    bins = tuple((float(count), float(confidence), float(right)) for count, confidence, right in stated["bins"])
    return Reliability(error=stated["error"], nll=stated["nll"], bins=bins)


def _hard_task(stated: Mapping[str, Any]) -> HardTaskDetails:
    ways = tuple(
        HardWay(**{**way, "support": tuple(way["support"]), "wrong": tuple((row, answer) for row, answer in way["wrong"])})
        for way in stated["ways"]
    )
    return HardTaskDetails(number=stated["number"], accuracy=stated["accuracy"], ways=ways)
