import pytest
import torch

from s2m2.classifiers import CLASSIFIERS, load_class
from s2m2.classifiers.base import FewShotClassifier, FewShotTasks
from s2m2.classifiers.base_statistics import BaseStatistics
from s2m2.classifiers.building import balance_warning, build_classifier
from s2m2.classifiers.nearest_mean import NearestMean
from tests.classifiers.transductive import EVEN, accuracy, clustered_tasks, scores_of
from tests.reference.evaluate import first, relabeled

NAMES = [name for name in CLASSIFIERS if load_class(name).transductive]
BALANCED = {"bd_cspn", "laplacian_shot", "tim", "tim_fast", "pt_map"}
UNBALANCED_QUERIES = (26, 2, 2)


def classifier(name: str, steps: int = 100, dim: int = 40) -> FewShotClassifier:
    base = BaseStatistics(mean=torch.full((dim,), 0.2), class_means=torch.zeros(1, dim))
    settings = {"steps": steps, "learning_rate": 1e-3} if "tim" in name.split("_") else {}
    return build_classifier({"name": name, **settings}, base)


@pytest.mark.parametrize("name", NAMES)
def test_reordering_the_classes_reorders_the_scores(name: str) -> None:
    order = [2, 0, 1]
    torch.testing.assert_close(
        scores_of(classifier(name), relabeled(EVEN, order)), scores_of(classifier(name), EVEN)[..., order], rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("name", NAMES)
def test_reordering_the_queries_reorders_the_scores(name: str) -> None:
    order = torch.randperm(18, generator=torch.Generator().manual_seed(0))
    shuffled = FewShotTasks(support=EVEN.support, labels=EVEN.labels, query=EVEN.query[:, order], ways=3, shots=2)
    torch.testing.assert_close(scores_of(classifier(name), shuffled), scores_of(classifier(name), EVEN)[:, order], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_task_is_scored_alike_however_many_follow(name: str) -> None:
    torch.testing.assert_close(scores_of(classifier(name), first(EVEN, 2)), scores_of(classifier(name), EVEN)[:2], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_other_queries_of_a_task_matter_and_those_of_other_tasks_do_not(name: str) -> None:
    query = EVEN.query.clone()
    query[0, -1] = EVEN.query[0, 0].flip(0)
    query[2] = EVEN.query[2].flip(-1)
    scores = scores_of(classifier(name), FewShotTasks(support=EVEN.support, labels=EVEN.labels, query=query, ways=3, shots=2))
    expected = scores_of(classifier(name), EVEN)
    assert not torch.equal(scores[0, :-1].log_softmax(-1), expected[0, :-1].log_softmax(-1))
    torch.testing.assert_close(scores[1], expected[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "transductive_finetuning"])
def test_queries_in_clusters_help(name: str) -> None:
    """Fine-tuning is left out: at its paper's learning rate the classifier alone hardly moves."""
    tasks = clustered_tasks()
    assert accuracy(classifier(name, steps=300, dim=24), tasks) > accuracy(NearestMean(), tasks) + 0.02


def test_pt_map_and_tim_suffer_where_queries_are_unbalanced_and_alpha_tim_does_not() -> None:
    even, uneven = clustered_tasks(), clustered_tasks(UNBALANCED_QUERIES)
    names = ("pt_map", "tim_fast", "alpha_tim_fast")
    scores = {name: accuracy(classifier(name, 300, 24), uneven, UNBALANCED_QUERIES) for name in names}
    losses = {name: accuracy(classifier(name, 300, 24), even) - scores[name] for name in names}
    assert min(losses["pt_map"], losses["tim_fast"]) > 0.3
    assert losses["alpha_tim_fast"] < 0.2
    assert scores["alpha_tim_fast"] > max(scores["pt_map"], scores["tim_fast"]) + 0.2


def test_classes_state_that_they_are_transductive_and_whether_they_assume_balance() -> None:
    assert NAMES == [
        "soft_kmeans",
        "bd_cspn",
        "laplacian_shot",
        "tim",
        "tim_fast",
        "alpha_tim",
        "alpha_tim_fast",
        "pt_map",
        "transductive_finetuning",
    ]
    assert {name for name in CLASSIFIERS if load_class(name)().assumes_balance()} == BALANCED
    assert not load_class("laplacian_shot")(rectify=False).assumes_balance()


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("protocol", ["fixed", "s2m2", "dirichlet", "variable", None])
def test_a_warning_comes_where_balance_is_assumed_but_not_certain(name: str, protocol: str | None) -> None:
    warning = balance_warning(load_class(name)(), protocol)
    assert (warning is not None) == (name in BALANCED and protocol != "fixed")
    assert warning is None or (name in warning and (protocol or "tasks_from") in warning and "\n" not in warning)
