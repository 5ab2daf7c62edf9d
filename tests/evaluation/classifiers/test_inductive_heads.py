"""What holds for every inductive classifier."""

import pytest
import torch

from s2m2.evaluation.base_statistics import BaseStatistics
from s2m2.evaluation.classifiers import FewShotClassifier, build_classifier
from s2m2.evaluation.tasks import FewShotTasks
from s2m2.recipe import EvaluateConfig
from s2m2.recipe.classifiers import ClassifierName
from s2m2.recipe.inductive import CalibratedConfig
from s2m2.seeding import generator_for
from tests.reference.evaluate import changed, first, made_up_tasks, made_up_unequal_tasks, relabeled

EXACT: tuple[ClassifierName, ...] = ("cosine_centroid", "cosine_converged", "logistic", "svm", "ridge")
INDUCTIVE: tuple[ClassifierName, ...] = (*EXACT, "calibrated")
TASKS = changed(made_up_tasks(6, shots=3, shift=3.0), torch.relu)


def head_of(name: ClassifierName) -> FewShotClassifier:
    generator = generator_for(0, "base")
    factors = 0.3 * torch.randn(4, 12, 12, generator=generator)
    means = 3 + torch.randn(4, 12, generator=generator)
    base = BaseStatistics(mean=means.mean(0), class_means=means, class_factors=factors, fingerprint="")
    return build_classifier(name, EvaluateConfig(calibrated=CalibratedConfig(samples=40)), base)


@pytest.mark.parametrize("name", EXACT)
def test_reordering_the_classes_reorders_the_scores(name: ClassifierName) -> None:
    order = [2, 0, 3, 1]
    scores = head_of(name)(relabeled(TASKS, order), generator_for(0))
    torch.testing.assert_close(scores, head_of(name)(TASKS, generator_for(0))[..., order], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", EXACT)
def test_turning_all_features_changes_no_score(name: ClassifierName) -> None:
    turn = torch.linalg.qr(torch.randn(12, 12, generator=generator_for(2))).Q
    turned = changed(TASKS, lambda features: features @ turn)
    torch.testing.assert_close(head_of(name)(turned, generator_for(0)), head_of(name)(TASKS, generator_for(0)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", INDUCTIVE)
@pytest.mark.parametrize("tasks", [TASKS, changed(made_up_unequal_tasks(6), torch.relu)], ids=["equal", "unequal"])
def test_the_first_tasks_of_a_block_score_alike_however_many_follow(name: ClassifierName, tasks: FewShotTasks) -> None:
    whole = head_of(name)(tasks, generator_for(7))
    torch.testing.assert_close(head_of(name)(first(tasks, 2), generator_for(7)), whole[:2], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", INDUCTIVE)
def test_a_query_scores_alike_whatever_other_queries_there_are(name: ClassifierName) -> None:
    fewer = FewShotTasks(support=TASKS.support, labels=TASKS.labels, query=TASKS.query[:, :3], ways=4, shots=3)
    whole = head_of(name)(TASKS, generator_for(7))
    torch.testing.assert_close(head_of(name)(fewer, generator_for(7)), whole[:, :3], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", INDUCTIVE)
def test_features_of_float64_give_scores_of_float64(name: ClassifierName) -> None:
    scores = head_of(name)(changed(TASKS, torch.Tensor.double), generator_for(7))
    assert scores.dtype == torch.float64
    torch.testing.assert_close(scores.float(), head_of(name)(TASKS, generator_for(7)), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("name", EXACT)
def test_nothing_is_drawn(name: ClassifierName) -> None:
    generator = generator_for(3)
    before = generator.get_state()
    head_of(name)(TASKS, generator)
    assert torch.equal(before, generator.get_state())
