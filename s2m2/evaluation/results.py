"""`TaskResults`: the accuracy of a head on every task of one kind, on disk as JSON."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from s2m2.errors import InputError
from s2m2.files import write_text

Z_95 = 1.96
"""Half width of a 95% interval of a normal mean, in standard errors."""


@dataclass(frozen=True, kw_only=True)
class TaskResults:
    """How well one head did on one kind of task. Mean and interval are derived, so that they cannot differ from the tasks."""

    dataset: str
    split: str
    features: str
    """What the head saw: `pixels`, or the training stage whose best weights made the features."""
    head: str
    ways: int
    shots: int
    queries: int
    """Pictures a class to recognise."""
    tasks: int
    seed: int
    per_task: tuple[float, ...]
    """Accuracy of each task, a fraction of its queries."""
    fingerprint: str
    """SHA-256 over the weights and whatever else shaped the features."""
    data_digest: str
    """Digest of the image table."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the head."""

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
        """Half width of its 95% interval over tasks, a fraction; infinite for a single task."""
        return mean_and_interval(self.per_task)[1]

    @property
    def file_name(self) -> str:
        """Such as `novel-finetune-cosine-5way-1shot.json`."""
        return f"{self.split}-{self.features}-{self.head}-{self.ways}way-{self.shots}shot.json"

    def to_json(self) -> str:
        """All fields and what is derived from them; the accuracies of the tasks come last."""
        stated = asdict(self)
        per_task = stated.pop("per_task")
        return json.dumps({**stated, "mean": self.mean, "interval": self.interval, "per_task": per_task}) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "TaskResults":
        """The results that `to_json` wrote.

        Raises:
            ValueError: the text is no JSON, lacks a field, or its accuracies are not those of its tasks.
        """
        stated = json.loads(text)
        try:
            given = {item.name: stated[item.name] for item in fields(cls)}
            return cls(**{**given, "per_task": tuple(given["per_task"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"not the results of an evaluation: {error}") from error


def mean_and_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half width of its 95% interval: 1.96 sample standard deviations over the square root of the number of values."""
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return mean, math.inf
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    return mean, Z_95 * math.sqrt(variance / count)


def save_results(folder: Path, results: TaskResults) -> Path:
    """Write results under the name that their contents give, whole or not at all."""
    path = folder / results.file_name
    write_text(path, results.to_json())
    return path


def load_results(path: Path) -> TaskResults:
    """Read results.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        return TaskResults.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} holds no results: {' '.join(str(error).split())}") from error
