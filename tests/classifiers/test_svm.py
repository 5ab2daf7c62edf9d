import pytest
import torch

from s2m2.classifiers.base import FewShotTasks
from s2m2.classifiers.svm import LinearSVM, fit_squared_hinge
from s2m2.random import generator_for
from tests.reference.evaluate import changed, made_up_tasks, made_up_unequal_tasks
from tests.reference.inductive import loop, svm

TASKS = made_up_tasks(5, shots=3, spread=2.0)


def scores_of(tasks: FewShotTasks, C: float = 1.0) -> torch.Tensor:
    return LinearSVM(C=C)(tasks, generator_for(0))


@pytest.mark.parametrize("C", [0.01, 1.0])
@pytest.mark.parametrize("tasks", [TASKS, made_up_tasks(shots=1, dim=640), made_up_unequal_tasks()], ids=["3", "1", "unequal"])
def test_values_are_those_of_scikit_learn(tasks: FewShotTasks, C: float) -> None:
    expected = loop(tasks, svm(C))
    torch.testing.assert_close(scores_of(tasks, C).double(), expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(scores_of(changed(tasks, torch.Tensor.double), C), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-2, 1e2])
def test_the_margins_condition_holds_at_the_minimum(scale: float) -> None:
    support = scale * TASKS.support.double()
    gram = support @ support.mT + 1
    coefficients = fit_squared_hinge(gram, TASKS.labels, 4, C=3.0)
    signs = 2 * torch.nn.functional.one_hot(TASKS.labels, 4) - 1
    missing = (1 - signs * (gram @ coefficients)).clamp(min=0)
    torch.testing.assert_close(coefficients, 6.0 * signs * missing, rtol=0, atol=1e-6)


def test_parts_of_a_large_block_are_fitted_like_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = scores_of(TASKS)
    monkeypatch.setattr("s2m2.classifiers.span.MAX_STEP", 2 * 4 * 12**2)
    torch.testing.assert_close(scores_of(TASKS), whole)
