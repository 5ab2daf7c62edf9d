import pytest
import torch

from s2m2.classifiers.base import FewShotTasks
from s2m2.classifiers.cosine_converged import ConvergedCosine
from s2m2.random import generator_for
from tests.reference.evaluate import changed, made_up_tasks, made_up_unequal_tasks
from tests.reference.inductive import cosine_converged, loop

TASKS = made_up_tasks(3, shots=2)


def scores_of(tasks: FewShotTasks, weight_decay: float = 1e-3, scale: float = 2.0) -> torch.Tensor:
    return ConvergedCosine(weight_decay=weight_decay, scale=scale)(tasks, generator_for(0))


@pytest.mark.parametrize(("weight_decay", "scale"), [(1e-3, 2.0), (0.05, 5.0)])
@pytest.mark.parametrize("tasks", [TASKS, made_up_unequal_tasks()], ids=["equal", "unequal"])
def test_logits_are_those_at_the_minimum_over_norms_and_directions(tasks: FewShotTasks, weight_decay: float, scale: float) -> None:
    expected = loop(tasks, cosine_converged(weight_decay, scale))
    torch.testing.assert_close(scores_of(tasks, weight_decay, scale).double(), expected, rtol=1e-4, atol=1e-4)


def test_lengths_of_features_change_no_prediction() -> None:
    stretched = changed(TASKS, lambda features: features * (1 + torch.arange(features.shape[1])[:, None]))
    torch.testing.assert_close(scores_of(stretched), scores_of(TASKS), rtol=1e-3, atol=1e-3)
