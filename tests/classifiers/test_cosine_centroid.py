import pytest
import torch

from s2m2.classifiers.base import FewShotTasks
from s2m2.classifiers.cosine_centroid import CosineCentroid
from s2m2.random import generator_for
from tests.reference.evaluate import changed, made_up_tasks, made_up_unequal_tasks
from tests.reference.inductive import cosine_centroid as reference_centroid
from tests.reference.inductive import loop

TASKS = made_up_tasks(6, shots=3)


@pytest.mark.parametrize("tasks", [TASKS, made_up_unequal_tasks()], ids=["equal", "unequal"])
def test_scores_are_cosines_with_the_class_means_less_their_average(tasks: FewShotTasks) -> None:
    expected = loop(tasks, reference_centroid)
    expected = expected - expected.mean(-1, keepdim=True)
    torch.testing.assert_close(CosineCentroid()(tasks, generator_for(0)).double(), expected, rtol=1e-5, atol=1e-6)


def test_the_scale_of_all_features_changes_no_score() -> None:
    scaled = changed(TASKS, lambda features: 7 * features)
    torch.testing.assert_close(CosineCentroid()(scaled, generator_for(0)), CosineCentroid()(TASKS, generator_for(0)))


def test_features_of_zero_have_a_score_of_zero() -> None:
    scores = CosineCentroid()(changed(TASKS, torch.zeros_like), generator_for(0))
    assert torch.equal(scores, torch.zeros_like(scores))
