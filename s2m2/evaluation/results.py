"""`TaskResults`: the accuracy of a classifier on every task of one kind, and its JSON file."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from s2m2.errors import InputError
from s2m2.evaluation.details import Details, current_keys
from s2m2.evaluation.intervals import ClassError, class_error, mean_and_interval
from s2m2.evaluation.stated_types import check_types
from s2m2.io import json_text, parse_json, reading, seal, unseal, write_text
from s2m2.runs.directory import RunDirectory

NOT_IN_NAME = ("per_task", "created", "hardware", "details")
"""Fields that follow from the others, or do not shape the accuracies."""


@dataclass(frozen=True, kw_only=True)
class TaskResults:
    """Accuracy of one classifier on one kind of task. Mean and intervals are derived from the tasks."""

    dataset: str
    split: str
    features: str
    """Input of the classifier: `pixels`, or the training stage whose best weights made the features."""
    classifier: str
    ways: int
    shots: int
    queries: int
    """Query images per class."""
    tasks: int
    seed: int
    per_task: tuple[float, ...]
    """Accuracy of each task, a fraction of its queries."""
    fingerprint: str
    """SHA-256 over the weights and everything else that shaped the features."""
    data_digest: str
    """Digest of the image dataset."""
    base_fingerprint: str = ""
    """As `fingerprint`, of the base features that the classifier or a transform used; empty where none were."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the classifier."""
    protocol: str = "fixed"
    """Sampling protocol of the tasks; ways, shots or queries that it does not use, or in which the tasks of a file differ, are 0."""
    transforms: tuple[str, ...] = ()
    """Feature transforms before the classifier, in order."""
    concentration: float = 0.0
    """Of the Dirichlet distribution of protocol `dirichlet`; 0 for others."""
    tasks_digest: str = ""
    """SHA-256 over tasks from a file; empty for sampled tasks, which the other fields determine."""
    created: str = ""
    """ISO 8601 time."""
    hardware: str = ""
    """Hardware of the classifier; cached features may be of other hardware."""
    details: Details | None = None
    """Classes, confusions, calibration, open-set queries and the hardest tasks; None where only accuracies were measured."""

    def __post_init__(self) -> None:
        if len(self.per_task) != self.tasks or self.tasks < 1:
            raise ValueError(f"{len(self.per_task)} accuracies of {self.tasks} tasks")
        if not all(0 <= accuracy <= 1 for accuracy in self.per_task):
            raise ValueError("an accuracy is not a fraction from 0 to 1")

    @property
    def mean(self) -> float:
        """Mean accuracy, a fraction."""
        return mean_and_interval(self.per_task)[0]

    @property
    def interval(self) -> float:
        """Half width of its 95% interval over tasks, for these classes again, a fraction; infinite for a single task."""
        return mean_and_interval(self.per_task)[1]

    @property
    def class_error(self) -> ClassError | None:
        """Standard error over classes and images; None where it cannot be estimated."""
        return class_error(self.per_task, *self.class_tallies) if self.class_tallies is not None else None

    @property
    def class_interval(self) -> float | None:
        """Half width of the 95% interval over classes and images, a fraction; None where it cannot be estimated."""
        error = self.class_error
        return error.interval if error is not None else None

    @property
    def class_tallies(self) -> tuple[list[int], list[float]] | None:
        """Number of tasks with each class, and the sum of their accuracies; None where tasks differ in their number of classes.

        Of those with many classes few would be left without a given one, and not ones like the others.
        """
        if self.details is None or self.protocol == "variable" or self.ways == 0:
            return None
        return [entry.tasks for entry in self.details.classes], [entry.task_sum for entry in self.details.classes]

    @property
    def file_name(self) -> str:
        """Such as `novel-finetune-cosine-5way-1shot-3f2a9c1b.json`; the end is a digest of everything that shaped the accuracies."""
        stated = asdict(self)
        shaped = json.dumps({name: stated[name] for name in sorted(stated) if name not in NOT_IN_NAME}, default=str)
        task = self.protocol if self.protocol == "variable" or self.ways == 0 else f"{self.ways}way-{self.shots}shot"
        return f"{self.split}-{self.features}-{self.classifier}-{task}-{hashlib.sha256(shaped.encode()).hexdigest()[:8]}.json"

    def to_json(self) -> str:
        """All fields and derived values, null where one is not finite, and their checksum; the accuracies of the tasks come last."""
        stated = asdict(self)
        per_task = stated.pop("per_task")
        derived = {"mean": self.mean, "class_interval": self.class_interval, "interval": self.interval}
        return json_text(seal({**stated, **derived, "per_task": per_task})) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "TaskResults":
        """The results that `to_json`, of this version or of 0.1.0, wrote.

        Raises:
            ValueError: the text is no JSON, is not what its checksum says, lacks a field, or the number of its accuracies is wrong.
        """
        try:
            stated = unseal(parse_json(text))
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
        try:
            stated = current_keys(cls, stated)
            values = {item.name: stated[item.name] for item in fields(cls) if item.name in stated}
            details = Details.from_stated(values["details"]) if values.get("details") is not None else None
            tuples = {"per_task": tuple(values["per_task"]), "transforms": tuple(values.get("transforms", ()))}
            results = cls(**{**values, **tuples, "details": details})
            check_types(results)
            return results
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not the results of an evaluation: {error}") from error


def save_results(folder: Path, results: TaskResults) -> Path:
    """Write results under the name that follows from their contents, whole or not at all."""
    path = folder / results.file_name
    write_text(path, results.to_json())
    return path


def load_results(path: Path) -> TaskResults:
    """Read results.

    Raises:
        InputError: the file is missing or damaged.
    """
    if path.is_dir():
        raise InputError(f"{path} holds no results: it is a folder")
    try:
        with reading(path):
            text = path.read_text(encoding="utf-8")
        return TaskResults.from_json(text)
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{path} holds no results: {' '.join(str(error).split())}") from error


def read_results(run: RunDirectory) -> list[TaskResults]:
    """All few-shot results of a run, in order of their file names.

    Raises:
        InputError: a file is damaged.
    """
    # Names with a dot are of others: macOS writes `._x.json` beside `x.json` on some disks.
    return [load_results(path) for path in sorted(run.results.glob("*.json")) if not path.name.startswith(".")]


def newest_results(results: Iterable[TaskResults]) -> tuple[list[TaskResults], int]:
    """The results of the newest weights, the newest of each kind; and the number of older ones.

    Of results with the same data, features and transforms, those with the fingerprint of the newest one are of the newest weights.
    """
    every = list(results)
    of_features: dict[tuple[Any, ...], TaskResults] = {}
    of_kind: dict[tuple[Any, ...], TaskResults] = {}
    for result in sorted(every, key=lambda one: one.created):  # stable: of equal times the later in the list counts
        of_features[_features_key(result)] = result
        of_kind[_kind_key(result)] = result
    newest = [result for result in of_kind.values() if result.fingerprint == of_features[_features_key(result)].fingerprint]
    order = {id(result): position for position, result in enumerate(every)}
    return sorted(newest, key=lambda result: order[id(result)]), len(every) - len(newest)


def _features_key(result: TaskResults) -> tuple[Any, ...]:
    return result.dataset, result.data_digest, result.split, result.features, result.transforms


def _kind_key(result: TaskResults) -> tuple[Any, ...]:
    tasks = (
        result.protocol,
        result.concentration,
        result.queries,
        result.tasks,
        result.seed,
        result.tasks_digest,
        result.ways,
        result.shots,
    )
    return (*_features_key(result), *tasks, result.classifier, json.dumps(result.settings, sort_keys=True, default=str))
