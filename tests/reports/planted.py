"""Results whose truth is known: tasks of twenty classes that differ in ease, and methods that gain something on all of them."""

from dataclasses import replace
from typing import Any

import numpy as np

from s2m2.evaluation.details import ClassDetails
from s2m2.evaluation.results import TaskResults
from tests.reports.made_up import made_up_results

CLASSES = 20


def planted(
    classifier: str, gain: float, *, shots: int = 1, ways: int = 5, tasks: int = 300, noise: int = 0, **changes: Any
) -> TaskResults:
    """A result on tasks that are the same for every classifier; `noise` is the seed of what is the classifier's own."""
    rng = np.random.default_rng(5)
    ease = rng.normal(0, 0.1, CLASSES)
    members = rng.random((tasks, CLASSES)).argsort(axis=1)[:, :ways]
    own = np.random.default_rng([noise, shots, len(classifier)])
    accuracies = np.clip(0.4 + 0.1 * np.log(shots) + gain + ease[members].mean(axis=1) + own.normal(0, 0.03, tasks), 0, 1)
    having = np.zeros((tasks, CLASSES))
    np.put_along_axis(having, members, 1, axis=1)
    one = made_up_results("finetune", classifier, shots, 0.5, tasks)
    assert one.details is not None
    classes = tuple(
        ClassDetails(
            name=f"class {number}", tasks=int(having[:, number].sum()), task_sum=float(accuracies @ having[:, number]), queries=0, right=0
        )
        for number in range(CLASSES)
    )
    details = replace(one.details, classes=classes, confusion=(), hardest=())
    return replace(one, ways=ways, per_task=tuple(accuracies.tolist()), **({"details": details} | changes))
