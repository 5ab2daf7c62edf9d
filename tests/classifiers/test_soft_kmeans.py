from functools import partial

import pytest
import torch

from s2m2.classifiers.base import FewShotTasks
from s2m2.classifiers.nearest_mean import NearestMean
from s2m2.classifiers.soft_kmeans import SoftKMeans
from tests.classifiers.transductive import EVEN, ONE_SHOT, UNEQUAL, assert_equals_twin, scores_of
from tests.reference import transductive as reference


@pytest.mark.parametrize("tasks", [EVEN, ONE_SHOT, UNEQUAL])
@pytest.mark.parametrize("settings", [{}, {"steps": 4, "scale": 0.1}])
def test_it_equals_plain_loops(tasks: FewShotTasks, settings: dict[str, float]) -> None:
    classifier = SoftKMeans(**settings)
    assert_equals_twin(classifier, partial(reference.soft_kmeans, **settings), tasks)


def test_without_a_step_it_is_the_nearest_class_mean() -> None:
    # The nearest mean leaves out a term that the classes of a query share.
    kmeans, means = scores_of(SoftKMeans(steps=0), EVEN), scores_of(NearestMean(), EVEN)
    torch.testing.assert_close(kmeans - kmeans[..., :1], means - means[..., :1], rtol=1e-4, atol=1e-4)
