import pytest
import torch

from s2m2.classifiers.base import FewShotTasks
from s2m2.classifiers.ridge import Ridge
from s2m2.random import generator_for
from tests.reference.evaluate import changed, made_up_tasks, made_up_unequal_tasks
from tests.reference.inductive import loop, ridge

TASKS = made_up_tasks(6, shots=3)


def scores_of(tasks: FewShotTasks, penalty: float = 1.0) -> torch.Tensor:
    return Ridge(penalty=penalty)(tasks, generator_for(0))


@pytest.mark.parametrize("penalty", [1e-2, 1.0, 50.0])
@pytest.mark.parametrize("tasks", [TASKS, made_up_tasks(shots=1, dim=60), made_up_unequal_tasks()], ids=["3", "1", "unequal"])
def test_values_are_those_of_scikit_learn(tasks: FewShotTasks, penalty: float) -> None:
    expected = loop(tasks, ridge(penalty))
    torch.testing.assert_close(scores_of(tasks, penalty).double(), expected, rtol=1e-3, atol=2e-4)
    torch.testing.assert_close(scores_of(changed(tasks, torch.Tensor.double), penalty), expected, rtol=1e-8, atol=1e-8)


def test_moving_all_features_changes_no_score() -> None:
    moved = changed(TASKS, lambda features: features + 20)
    torch.testing.assert_close(scores_of(moved), scores_of(TASKS), rtol=1e-3, atol=1e-4)
