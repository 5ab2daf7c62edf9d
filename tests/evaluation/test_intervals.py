import math

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from s2m2.evaluation.intervals import ClassError, class_error, mean_and_interval
from s2m2.tasks.sampler import sample_tasks
from tests.evaluation.trials import SPEC, made_up_features, outcomes_of
from tests.reference.outcomes import jackknife_error


def test_the_usual_interval_is_1_96_standard_errors_and_infinite_for_one_task() -> None:
    values = np.random.default_rng(0).random(50)
    assert mean_and_interval(values.tolist()) == pytest.approx((values.mean(), 1.96 * values.std(ddof=1) / np.sqrt(50)))
    assert mean_and_interval([0.5]) == (0.5, math.inf)


def test_the_error_over_classes_equals_a_loop_that_leaves_out_one_class_after_the_other() -> None:
    features = made_up_features()
    outcomes, members = outcomes_of(features), [set(task) for task in sample_tasks(features.labels, SPEC).classes.tolist()]
    error = class_error(outcomes.accuracies.tolist(), outcomes.class_tasks.tolist(), outcomes.class_sums.tolist())
    assert error is not None
    assert error.classes == 8
    assert error.error == pytest.approx(jackknife_error(outcomes.accuracies.tolist(), members, outcomes.classes.tolist()))


def sampled(rng: np.random.Generator, classes: int, images: int, tasks: int = 1500, ways: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Values of tasks and their classes, where the ease of a class varies by its nature, its few images and noise."""
    nature = rng.normal(0, 0.08, classes)
    easy = nature + rng.normal(0, 0.3, (classes, images)).mean(axis=1)
    members = rng.random((tasks, classes)).argsort(axis=1)[:, :ways]
    return 0.6 + easy[members].mean(axis=1) + rng.normal(0, 0.1, tasks), members


def test_the_interval_over_classes_covers_the_mean_of_other_classes_and_the_usual_one_does_not() -> None:
    rng, usual, wide = np.random.default_rng(0), 0, 0
    for _ in range(400):
        values, members = sampled(rng, classes=20, images=10)
        having = np.zeros((len(values), 20))
        np.put_along_axis(having, members, 1, axis=1)
        error = class_error(values.tolist(), having.sum(axis=0).astype(int).tolist(), (values @ having).tolist())
        mean, half = mean_and_interval(values.tolist())
        assert error is not None
        usual += abs(mean - 0.6) <= half
        wide += abs(mean - 0.6) <= error.interval
    assert usual / 400 < 0.5
    assert 0.92 <= wide / 400 <= 0.98


def test_without_differences_between_classes_only_the_tasks_are_left() -> None:
    rng = np.random.default_rng(1)
    errors = []
    for _ in range(50):
        values = rng.normal(0.5, 0.1, 2000)
        having = np.zeros((2000, 20))
        np.put_along_axis(having, rng.random((2000, 20)).argsort(axis=1)[:, :5], 1, axis=1)
        error = class_error(values.tolist(), having.sum(axis=0).astype(int).tolist(), (values @ having).tolist())
        assert error is not None
        errors.append(error.error)
    assert np.mean(errors) == pytest.approx(0.1 / np.sqrt(2000), rel=0.4)


def test_there_is_no_error_where_every_task_has_a_class() -> None:
    assert class_error([0.5, 0.6, 0.7], [3, 2, 1], [1.8, 1.1, 0.7]) is None
    assert class_error([0.5], [1, 0, 0], [0.5, 0.0, 0.0]) is None


def test_interval_and_p_value_are_those_of_students_t() -> None:
    values = np.array([0.1, 0.3, -0.05, 0.2, 0.15])
    error = ClassError(error=float(values.std(ddof=1) / np.sqrt(5)), classes=5)
    assert error.p_value(float(values.mean())) == pytest.approx(ttest_1samp(values, 0).pvalue)
    assert error.interval == pytest.approx(t.interval(0.95, 4, scale=error.error)[1])
    assert ClassError(error=0.0, classes=5).p_value(0.1) == 0
    assert ClassError(error=0.0, classes=5).p_value(0.0) == 1


def test_classes_that_no_task_has_do_not_count() -> None:
    outcomes = outcomes_of(made_up_features())
    values, having, sums = outcomes.accuracies.tolist(), outcomes.class_tasks.tolist(), outcomes.class_sums.tolist()
    assert class_error(values, [0, *having, 0, 0], [0.0, *sums, 0.0, 0.0]) == class_error(values, having, sums)
    assert class_error([0.5, 0.7, 0.6], [2, 2, 0, 0], [1.2, 1.3, 0.0, 0.0]) is None
