from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ttest_rel

from s2m2.errors import InputError
from s2m2.evaluation.compare import TASK_FIELDS, compare_results, different_field, task_key
from s2m2.evaluation.intervals import class_error
from tests.reports.made_up import made_up_results

FIRST, SECOND = made_up_results("finetune", "cosine", 1, 0.60), made_up_results("finetune", "nearest_mean", 1, 0.62)


def test_difference_interval_and_p_value_are_those_of_the_pairs() -> None:
    comparison, gains = compare_results(FIRST, SECOND), np.subtract(SECOND.per_task, FIRST.per_task)
    assert comparison.difference == pytest.approx(gains.mean())
    assert comparison.interval == pytest.approx(1.96 * gains.std(ddof=1) / np.sqrt(gains.size))
    assert comparison.p_value == pytest.approx(ttest_rel(SECOND.per_task, FIRST.per_task).pvalue)
    back = compare_results(SECOND, FIRST)
    assert (back.difference, back.p_value) == pytest.approx((-comparison.difference, comparison.p_value))


def test_the_interval_over_classes_is_that_of_the_differences() -> None:
    comparison = compare_results(FIRST, SECOND)
    assert FIRST.details is not None
    assert SECOND.details is not None
    tasks = [entry.tasks for entry in FIRST.details.classes]
    sums = [second.task_sum - first.task_sum for second, first in zip(SECOND.details.classes, FIRST.details.classes, strict=True)]
    expected = class_error(np.subtract(SECOND.per_task, FIRST.per_task).tolist(), tasks, sums)
    assert expected is not None
    assert comparison.class_interval == pytest.approx(expected.interval)
    assert comparison.class_p_value == pytest.approx(expected.p_value(comparison.difference))
    assert compare_results(replace(FIRST, details=None), SECOND).class_interval is None


def test_equal_results_differ_by_nothing() -> None:
    comparison = compare_results(FIRST, replace(FIRST, classifier="another"))
    assert (comparison.difference, comparison.interval, comparison.p_value) == (0, 0, 1)


def test_a_constant_gain_is_certain() -> None:
    better = replace(FIRST, per_task=tuple(0.25 for _ in FIRST.per_task), details=None)
    worse = replace(better, per_task=tuple(0.125 for _ in FIRST.per_task))
    assert compare_results(worse, better).p_value == 0


@pytest.mark.parametrize("name", TASK_FIELDS)
def test_results_of_different_tasks_are_refused_with_the_field_that_differs(name: str) -> None:
    value = {"tasks": 399, "concentration": 1.5}.get(name, "other" if isinstance(getattr(FIRST, name), str) else 7)
    digest = "" if name == "dataset" else FIRST.data_digest
    first = replace(FIRST, data_digest=digest)
    changes = {"data_digest": digest, name: value}
    other = replace(SECOND, **changes, per_task=SECOND.per_task[: 399 if name == "tasks" else None])
    assert str(different_field(first, other)).startswith(name.replace("_", " "))
    assert task_key(first) != task_key(other)
    with pytest.raises(InputError, match=f"different tasks, {name.replace('_', ' ')}"):
        compare_results(first, other)


def test_the_name_of_the_data_does_not_matter_where_its_digest_is_known() -> None:
    other = replace(SECOND, dataset="another name")
    assert different_field(FIRST, other) is None
    assert task_key(FIRST) == task_key(other)
    unlike = replace(other, data_digest="e2" * 32)
    assert task_key(FIRST) != task_key(unlike)
    assert different_field(FIRST, unlike) == "dataset made up and another name"


def test_tasks_of_a_file_and_sampled_ones_are_different_tasks() -> None:
    assert different_field(FIRST, replace(SECOND, tasks_digest="a" * 64)) == f"tasks digest none and {'a' * 16}"
