import pytest
import torch
from sklearn.linear_model import LogisticRegression as ScikitLearn

from s2m2.classifiers.base import FewShotTasks
from s2m2.classifiers.logistic import LogisticRegression
from s2m2.classifiers.logistic_newton import TOLERANCE, fit_logistic
from s2m2.classifiers.span import support_span
from s2m2.random import generator_for
from tests.reference.evaluate import changed, each, made_up_tasks, made_up_unequal_tasks
from tests.reference.inductive import logistic, loop

TASKS = made_up_tasks(6, shots=3, dim=20)


def log_probabilities(tasks: FewShotTasks, C: float = 1.0) -> torch.Tensor:
    return LogisticRegression(C=C)(tasks, generator_for(0)).log_softmax(-1)


@pytest.mark.parametrize("C", [1e-2, 1.0, 30.0])
@pytest.mark.parametrize("tasks", [TASKS, made_up_tasks(shots=1, dim=60), made_up_unequal_tasks()], ids=["3", "1", "unequal"])
def test_probabilities_are_those_of_scikit_learn(tasks: FewShotTasks, C: float) -> None:
    expected = loop(tasks, logistic(C))
    torch.testing.assert_close(log_probabilities(tasks, C).double(), expected, rtol=1e-4, atol=1e-4)
    exact = log_probabilities(changed(tasks, torch.Tensor.double), C)
    torch.testing.assert_close(exact, expected, rtol=1e-4, atol=1e-4)


def test_features_far_from_the_origin_lose_no_accuracy() -> None:
    moved = changed(TASKS, lambda features: features + 50)
    torch.testing.assert_close(log_probabilities(moved), log_probabilities(TASKS), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_classes_that_fall_together_or_lie_far_apart_are_fitted_to_the_minimum(scale: float) -> None:
    support = scale * TASKS.support.double()
    fit = fit_logistic(support @ support.mT, TASKS.labels, 4, C=1.0, intercept=True)
    probabilities = (support @ support.mT @ fit.coefficients + fit.intercepts[:, None]).softmax(-1)
    targets = torch.nn.functional.one_hot(TASKS.labels, 4)
    assert float((targets - probabilities - fit.coefficients).abs().max()) <= 2 * TOLERANCE
    assert float(fit.coefficients.sum(1).abs().max()) <= 1e-6


@pytest.mark.parametrize("shots", [1, 5])
def test_the_minimum_is_reached_in_few_steps_on_features_of_float32(shots: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s2m2.classifiers.logistic_newton.MAX_STEPS", 15)
    tasks = made_up_tasks(20, ways=5, shots=shots, dim=640, spread=2.0, shift=1.0)
    span = support_span(tasks.support, centered=True)
    fit = fit_logistic(span.gram, tasks.labels, 5, C=1.0, intercept=True)
    probabilities = (span.gram @ fit.coefficients + fit.intercepts[:, None]).softmax(-1)
    missing = torch.nn.functional.one_hot(tasks.labels, 5) - probabilities - fit.coefficients
    assert float(missing.abs().max()) <= 2 * TOLERANCE


def test_two_classes_are_those_of_scikit_learn_at_twice_the_C() -> None:
    tasks = made_up_tasks(3, ways=2, shots=3)
    for scores, (support, labels, query) in zip(log_probabilities(tasks, 0.5), each(tasks), strict=True):
        model = ScikitLearn(C=1.0, tol=1e-10, solver="newton-cholesky").fit(support.numpy(), labels.numpy())
        torch.testing.assert_close(scores.exp().double(), torch.from_numpy(model.predict_proba(query.numpy())), rtol=1e-4, atol=1e-5)


def test_equal_support_of_all_classes_gives_equal_probabilities() -> None:
    tasks = changed(TASKS, torch.zeros_like)
    torch.testing.assert_close(log_probabilities(tasks).exp(), torch.full((6, 20, 4), 0.25))


def test_parts_of_a_large_block_are_fitted_like_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = log_probabilities(TASKS)
    monkeypatch.setattr("s2m2.classifiers.span.MAX_STEP", 2 * 4 * 12**2)
    torch.testing.assert_close(log_probabilities(TASKS), whole)
