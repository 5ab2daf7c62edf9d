"""Two classifiers, or two backbones, on the same tasks."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import ttest_rel

from s2m2.errors import InputError
from s2m2.evaluation.intervals import ClassError, class_error, mean_and_interval
from s2m2.evaluation.results import TaskResults

TASK_FIELDS = ("dataset", "data_digest", "split", "protocol", "ways", "shots", "queries", "concentration", "tasks", "seed", "tasks_digest")
"""Fields of results that say which tasks they are of."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The second less the first, task by task; fractions."""

    first: TaskResults
    second: TaskResults
    difference: float
    """Mean over tasks."""
    interval: float
    """Half width of its 95% interval over tasks, 1.96 std / sqrt(tasks): is one better on these classes?"""
    p_value: float
    """Of the paired t-test over tasks, two-sided."""
    over_classes: ClassError | None
    """The same question about classes like these, other images included; None where the results do not tell their classes."""

    @property
    def class_interval(self) -> float | None:
        """Half width of the 95% interval over classes and images."""
        return self.over_classes.interval if self.over_classes is not None else None

    @property
    def class_p_value(self) -> float | None:
        """Two-sided, by Student's t over classes."""
        return self.over_classes.p_value(self.difference) if self.over_classes is not None else None


def task_key(results: TaskResults) -> tuple[object, ...]:
    """What two results share if and only if they are of the same tasks."""
    # The name that a dataset goes by says nothing beside the digest of what its tasks are drawn from.
    unstated = {"dataset": ""} if results.data_digest else {}
    return tuple(unstated.get(name, getattr(results, name)) for name in TASK_FIELDS)


def different_field(first: TaskResults, second: TaskResults) -> str | None:
    """The first field in which the tasks of two results differ, in words; None if they are the same tasks."""
    for name in TASK_FIELDS:
        if name == "dataset" and first.data_digest and first.data_digest == second.data_digest:
            continue
        ours, theirs = getattr(first, name), getattr(second, name)
        if ours != theirs:
            shown = [str(value)[:16] or "none" for value in (ours, theirs)]
            return f"{name.replace('_', ' ')} {shown[0]} and {shown[1]}"
    return None


def compare_results(first: TaskResults, second: TaskResults) -> Comparison:
    """The paired comparison of two results of the same tasks.

    Raises:
        InputError: they are of different tasks; the first field that differs is named.
    """
    differs = different_field(first, second)
    if differs is not None:
        raise InputError(f"the results are of different tasks, {differs}: only results of the same tasks can be compared in pairs")
    differences = (np.asarray(second.per_task) - np.asarray(first.per_task)).tolist()
    mean, interval = mean_and_interval(differences)
    return Comparison(
        first=first,
        second=second,
        difference=mean,
        interval=interval,
        p_value=_paired_p_value(first, second, differences),
        over_classes=_over_classes(first, second, differences),
    )


def _paired_p_value(first: TaskResults, second: TaskResults, differences: list[float]) -> float:
    if len(set(differences)) == 1:  # no spread, of which the test would make 0 / 0
        return 1.0 if differences[0] == 0 else 0.0
    return float(ttest_rel(second.per_task, first.per_task).pvalue)


def _over_classes(first: TaskResults, second: TaskResults, differences: list[float]) -> ClassError | None:
    ours, theirs = first.class_tallies, second.class_tallies
    if ours is None or theirs is None or ours[0] != theirs[0]:
        return None
    return class_error(differences, ours[0], [late - early for early, late in zip(ours[1], theirs[1], strict=True)])
