from functools import partial

import pytest
import torch

from s2m2.classifiers.base import FewShotTasks
from s2m2.classifiers.base_statistics import BaseStatistics
from s2m2.classifiers.building import build_classifier
from s2m2.classifiers.laplacian_shot import LaplacianShot
from s2m2.errors import InputError
from s2m2.random import generator_for
from tests.classifiers.transductive import EVEN, ONE_SHOT, UNEQUAL, assert_equals_twin, scores_of
from tests.reference import transductive as reference
from tests.reference.evaluate import first

CHANGES = [{}, {"rectify": False}, {"weight": 2.0, "neighbors": 5, "tolerance": 1e-3}, {"steps": 1}, {"weight": 0.0, "steps": 5}]


@pytest.mark.parametrize("tasks", [EVEN, ONE_SHOT, UNEQUAL])
@pytest.mark.parametrize("settings", CHANGES)
def test_it_equals_plain_loops(tasks: FewShotTasks, settings: dict[str, float]) -> None:
    mean = torch.rand(tasks.query.shape[2], generator=generator_for(0)).double() / 2
    base = BaseStatistics(mean=mean, class_means=mean[None])
    settings = {"weight": 0.7, **settings}
    classifier = LaplacianShot(**settings, base=base)
    assert_equals_twin(classifier, partial(reference.laplacian_shot, base_mean=mean.numpy(), **settings), tasks)


@pytest.mark.parametrize(
    ("tasks", "rectify", "weight"), [(ONE_SHOT, True, 0.7), (EVEN, True, 0.3), (EVEN, False, 0.7), (UNEQUAL, True, 0.3)]
)
def test_the_weight_is_the_authors_for_the_number_of_shots(tasks: FewShotTasks, rectify: bool, weight: float) -> None:
    default, stated = (LaplacianShot(weight=given, rectify=rectify, center=False) for given in (None, weight))
    assert torch.equal(scores_of(default, tasks), scores_of(stated, tasks))


def test_a_task_ends_by_itself_whatever_others_do() -> None:
    classifier = LaplacianShot(tolerance=0.05, weight=1.5, rectify=False, center=False)
    alone = torch.cat([scores_of(classifier, first(EVEN, 1))])
    torch.testing.assert_close(scores_of(classifier, EVEN)[:1], alone)
    assert_equals_twin(classifier, partial(reference.laplacian_shot, tolerance=0.05, weight=1.5, rectify=False), EVEN)


def test_neighbors_pull_a_query_to_their_class() -> None:
    """The last query lies nearer to the first class, but its neighbors are of the second."""
    query = torch.tensor([[1.0, 0.0], [0.98, 0.2], [0.0, 1.0], [0.55, 0.83], [0.6, 0.8], [0.75, 0.66]])
    tasks = FewShotTasks(
        support=torch.tensor([[[1.0, 0.05], [0.0, 1.0]]]), labels=torch.tensor([[0, 1]]), query=query[None], ways=2, shots=1
    )
    with_ties, without = (
        scores_of(LaplacianShot(weight=weight, rectify=False, center=False), tasks)[0, -1].argmax() for weight in (2.0, 0.0)
    )
    assert (int(without), int(with_ties)) == (0, 1)


def test_centering_needs_base_features_and_takes_their_mean() -> None:
    for use in (lambda: build_classifier("laplacian_shot"), lambda: scores_of(LaplacianShot(), EVEN)):
        with pytest.raises(InputError, match=r"base=\(features, labels\).* center: false"):
            use()
    base = BaseStatistics(mean=torch.full((40,), 0.5), class_means=torch.zeros(1, 40))
    centered = build_classifier("laplacian_shot", base)
    plain = build_classifier({"name": "laplacian_shot", "center": False})
    shifted = FewShotTasks(support=EVEN.support + 0.5, labels=EVEN.labels, query=EVEN.query + 0.5, ways=3, shots=2)
    torch.testing.assert_close(scores_of(centered, shifted), scores_of(plain, EVEN), rtol=1e-4, atol=1e-4)
