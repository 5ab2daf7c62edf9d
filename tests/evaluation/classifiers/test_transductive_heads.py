from typing import get_args

import pytest
import torch

from s2m2.evaluation.base_statistics import BaseStatistics
from s2m2.evaluation.classifiers import CLASSIFIERS, FewShotClassifier, balance_warning, build_classifier, nearest_mean
from s2m2.evaluation.tasks import FewShotTasks
from s2m2.recipe import EvaluateConfig
from s2m2.recipe.classifiers import ClassifierName
from s2m2.recipe.tasks import ProtocolName
from s2m2.recipe.transductive import AlphaTIMConfig, TIMConfig
from tests.evaluation.classifiers.transductive import EVEN, accuracy, clustered_tasks, scores_of
from tests.reference.evaluate import first, relabeled

NAMES: list[ClassifierName] = ["soft_kmeans", "bd_cspn", "laplacian_shot", "tim", "alpha_tim", "pt_map", "transductive_finetuning"]
BALANCED = {"bd_cspn", "laplacian_shot", "tim", "pt_map"}
UNBALANCED_QUERIES = (26, 2, 2)


def classifier(name: ClassifierName, steps: int = 100, dim: int = 40) -> FewShotClassifier:
    base = BaseStatistics(mean=torch.full((dim,), 0.2), class_means=torch.zeros(1, dim), fingerprint="")
    config = EvaluateConfig(tim=TIMConfig(steps=steps, learning_rate=1e-3), alpha_tim=AlphaTIMConfig(steps=steps, learning_rate=1e-3))
    return build_classifier(name, config, base)


@pytest.mark.parametrize("name", NAMES)
def test_reordering_the_classes_reorders_the_scores(name: ClassifierName) -> None:
    order = [2, 0, 1]
    torch.testing.assert_close(
        scores_of(classifier(name), relabeled(EVEN, order)), scores_of(classifier(name), EVEN)[..., order], rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("name", NAMES)
def test_reordering_the_queries_reorders_the_scores(name: ClassifierName) -> None:
    order = torch.randperm(18, generator=torch.Generator().manual_seed(0))
    turned = FewShotTasks(support=EVEN.support, labels=EVEN.labels, query=EVEN.query[:, order], ways=3, shots=2)
    torch.testing.assert_close(scores_of(classifier(name), turned), scores_of(classifier(name), EVEN)[:, order], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_task_is_scored_alike_however_many_follow(name: ClassifierName) -> None:
    torch.testing.assert_close(scores_of(classifier(name), first(EVEN, 2)), scores_of(classifier(name), EVEN)[:2], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_other_queries_of_a_task_matter_and_those_of_other_tasks_do_not(name: ClassifierName) -> None:
    query = EVEN.query.clone()
    query[0, -1] = EVEN.query[0, 0].flip(0)
    query[2] = EVEN.query[2].flip(-1)
    found = scores_of(classifier(name), FewShotTasks(support=EVEN.support, labels=EVEN.labels, query=query, ways=3, shots=2))
    expected = scores_of(classifier(name), EVEN)
    assert not torch.equal(found[0, :-1].log_softmax(-1), expected[0, :-1].log_softmax(-1))
    torch.testing.assert_close(found[1], expected[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "transductive_finetuning"])
def test_queries_in_clusters_help(name: ClassifierName) -> None:
    """Fine-tuning is left out: at its paper's learning rate a classifier alone hardly moves."""
    tasks = clustered_tasks()
    assert accuracy(classifier(name, steps=300, dim=24), tasks) > accuracy(nearest_mean, tasks) + 0.02


def test_pt_map_and_tim_suffer_where_queries_are_unbalanced_and_alpha_tim_does_not() -> None:
    even, uneven = clustered_tasks(), clustered_tasks(UNBALANCED_QUERIES)
    scores = {name: accuracy(classifier(name, 300, 24), uneven, UNBALANCED_QUERIES) for name in NAMES}
    losses = {name: accuracy(classifier(name, 300, 24), even) - scores[name] for name in NAMES}
    assert min(losses["pt_map"], losses["tim"]) > 0.3
    assert losses["alpha_tim"] < 0.2
    assert scores["alpha_tim"] > max(scores["pt_map"], scores["tim"]) + 0.2


def test_each_says_that_it_is_transductive_and_whether_it_assumes_balance() -> None:
    assert [name for name, known in CLASSIFIERS.items() if known.transductive] == NAMES
    assert {name for name, known in CLASSIFIERS.items() if known.assumes_balance(EvaluateConfig())} == BALANCED


@pytest.mark.parametrize("name", get_args(ClassifierName))
@pytest.mark.parametrize("protocol", get_args(ProtocolName))
def test_a_warning_comes_where_balance_is_assumed_and_is_not_given(name: ClassifierName, protocol: ProtocolName) -> None:
    warning = balance_warning(name, protocol, EvaluateConfig())
    assert (warning is not None) == (name in BALANCED and protocol != "fixed")
    assert warning is None or (name in warning and protocol in warning and "\n" not in warning)
