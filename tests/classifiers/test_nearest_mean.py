import pytest
import torch
from sklearn.neighbors import NearestCentroid

from s2m2.classifiers.base import FewShotTasks
from s2m2.classifiers.nearest_mean import NearestMean
from s2m2.random import generator_for
from tests.reference.evaluate import changed, each, made_up_tasks, made_up_unequal_tasks, relabeled
from tests.reference.nearest_mean import squared_distances

TASKS = made_up_tasks(6, shots=3, dim=10)


def scores_of(tasks: FewShotTasks) -> torch.Tensor:
    return NearestMean()(tasks, generator_for(0))


@pytest.mark.parametrize("tasks", [TASKS, made_up_unequal_tasks()])
def test_differences_of_scores_are_differences_of_squared_distances(tasks: FewShotTasks) -> None:
    scores = scores_of(tasks).double()
    distances = torch.stack([squared_distances(*task, tasks.ways) for task in each(tasks)])
    torch.testing.assert_close(scores[..., 1:] - scores[..., :1], distances[..., :1] - distances[..., 1:], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tasks", [TASKS, made_up_unequal_tasks()])
def test_predictions_are_those_of_scikit_learns_nearest_centroid(tasks: FewShotTasks) -> None:
    for predicted, (support, labels, query) in zip(scores_of(tasks).argmax(-1), each(tasks), strict=True):
        assert predicted.tolist() == NearestCentroid().fit(support.numpy(), labels.numpy()).predict(query.numpy()).tolist()


def test_moving_all_features_changes_no_score() -> None:
    offset = 100 * torch.randn(10, generator=generator_for(1))
    torch.testing.assert_close(scores_of(changed(TASKS, lambda features: features + offset)), scores_of(TASKS), rtol=1e-3, atol=1e-2)


def test_rotating_all_features_changes_no_score() -> None:
    rotation = torch.linalg.qr(torch.randn(10, 10, generator=generator_for(2))).Q
    torch.testing.assert_close(scores_of(changed(TASKS, lambda features: features @ rotation)), scores_of(TASKS), rtol=1e-4, atol=1e-4)


def test_reordering_the_classes_reorders_the_scores() -> None:
    order = [2, 0, 3, 1]
    # A term that the classes of a query share may differ; probabilities do not depend on it.
    torch.testing.assert_close(scores_of(relabeled(TASKS, order)).softmax(-1), scores_of(TASKS)[..., order].softmax(-1))


def test_no_random_number_is_used() -> None:
    generator = generator_for(3)
    before = generator.get_state()
    NearestMean()(TASKS, generator)
    assert torch.equal(before, generator.get_state())
