"""What holds for every inductive classifier."""

import pytest
import torch

from s2m2.classifiers.base import FewShotClassifier, FewShotTasks
from s2m2.classifiers.base_statistics import BaseStatistics
from s2m2.classifiers.building import build_classifier
from s2m2.random import generator_for
from tests.reference.evaluate import changed, first, made_up_tasks, made_up_unequal_tasks, relabeled

EXACT = ("cosine_centroid", "cosine_converged", "logistic", "svm", "ridge")
INDUCTIVE = (*EXACT, "calibrated")
TASKS = changed(made_up_tasks(6, shots=3, shift=3.0), torch.relu)


def classifier_of(name: str) -> FewShotClassifier:
    generator = generator_for(0, "base")
    factors = 0.3 * torch.randn(4, 12, 12, generator=generator)
    means = 3 + torch.randn(4, 12, generator=generator)
    base = BaseStatistics(mean=means.mean(0), class_means=means, class_factors=factors)
    return build_classifier({"name": name, "samples_per_class": 40} if name == "calibrated" else name, base)


@pytest.mark.parametrize("name", EXACT)
def test_reordering_the_classes_reorders_the_scores(name: str) -> None:
    order = [2, 0, 3, 1]
    scores = classifier_of(name)(relabeled(TASKS, order), generator_for(0))
    torch.testing.assert_close(scores, classifier_of(name)(TASKS, generator_for(0))[..., order], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", EXACT)
def test_rotating_all_features_changes_no_score(name: str) -> None:
    rotation = torch.linalg.qr(torch.randn(12, 12, generator=generator_for(2))).Q
    rotated = changed(TASKS, lambda features: features @ rotation)
    scores = classifier_of(name)(TASKS, generator_for(0))
    torch.testing.assert_close(classifier_of(name)(rotated, generator_for(0)), scores, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", INDUCTIVE)
@pytest.mark.parametrize("tasks", [TASKS, changed(made_up_unequal_tasks(6), torch.relu)], ids=["equal", "unequal"])
def test_the_first_tasks_of_a_batch_score_alike_however_many_follow(name: str, tasks: FewShotTasks) -> None:
    whole = classifier_of(name)(tasks, generator_for(7))
    torch.testing.assert_close(classifier_of(name)(first(tasks, 2), generator_for(7)), whole[:2], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", INDUCTIVE)
def test_a_query_scores_alike_whatever_other_queries_there_are(name: str) -> None:
    fewer = FewShotTasks(support=TASKS.support, labels=TASKS.labels, query=TASKS.query[:, :3], ways=4, shots=3)
    whole = classifier_of(name)(TASKS, generator_for(7))
    torch.testing.assert_close(classifier_of(name)(fewer, generator_for(7)), whole[:, :3], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", INDUCTIVE)
def test_features_of_float64_give_scores_of_float64(name: str) -> None:
    scores = classifier_of(name)(changed(TASKS, torch.Tensor.double), generator_for(7))
    assert scores.dtype == torch.float64
    torch.testing.assert_close(scores.float(), classifier_of(name)(TASKS, generator_for(7)), rtol=1e-2, atol=1e-2)
