from functools import partial

import pytest
import torch

from s2m2.evaluation.classifiers.nearest_mean import nearest_mean
from s2m2.evaluation.classifiers.soft_kmeans import SoftKMeans
from s2m2.evaluation.tasks import FewShotTasks
from s2m2.recipe.transductive import SoftKMeansConfig
from tests.evaluation.classifiers.transductive import EVEN, ONE_SHOT, UNEQUAL, assert_equals_twin, scores_of
from tests.reference import transductive as reference


@pytest.mark.parametrize("tasks", [EVEN, ONE_SHOT, UNEQUAL])
@pytest.mark.parametrize("settings", [{}, {"steps": 4, "scale": 0.1}])
def test_it_equals_plain_loops(tasks: FewShotTasks, settings: dict[str, float]) -> None:
    classifier = SoftKMeans(config=SoftKMeansConfig(**settings))
    assert_equals_twin(classifier, partial(reference.soft_kmeans, **settings), tasks)


def test_without_a_step_it_is_the_nearest_class_mean() -> None:
    # The nearest mean leaves out what the classes of a query share.
    ours, theirs = scores_of(SoftKMeans(config=SoftKMeansConfig(steps=0)), EVEN), scores_of(nearest_mean, EVEN)
    torch.testing.assert_close(ours - ours[..., :1], theirs - theirs[..., :1], rtol=1e-4, atol=1e-4)
