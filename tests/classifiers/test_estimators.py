"""scikit-learn's conventions: its own checks, and the same scores as the call with a batch of tasks."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from s2m2.classifiers import CLASSIFIERS, load_class
from s2m2.classifiers.base import FewShotClassifier, FewShotTasks
from s2m2.classifiers.base_statistics import BaseStatistics
from s2m2.classifiers.building import build_classifier
from s2m2.classifiers.cosine import CosineClassifier
from s2m2.classifiers.nearest_mean import NearestMean
from s2m2.classifiers.tim import TIM
from s2m2.errors import InputError
from s2m2.random import generator_for
from tests.reference.evaluate import changed, made_up_tasks, made_up_unequal_tasks

ESTIMATORS: list[FewShotClassifier] = [
    CosineClassifier(epochs=10, batch_size=32, learning_rate=0.1),  # checks have 300 items, few-shot tasks have 25
    *(load_class(name)() for name in ("nearest_mean", "cosine_centroid", "cosine_converged", "logistic", "svm", "ridge")),
    load_class("soft_kmeans")(),
]
"""All inductive classifiers but `calibrated`, which needs statistics of base classes in as many dimensions as each check happens to have;
and one transductive one, as all have their `fit` and `predict` from one class."""


def expected_failures(estimator: FewShotClassifier) -> dict[str, str]:
    """Checks that cannot hold, and why."""
    failures = {}
    if estimator.get_params():
        failures["check_do_not_raise_errors_in_init_or_set_params"] = "the tests' type checker refuses wrong types; without it this holds"
    if estimator.transductive:
        failures["check_methods_subset_invariance"] = "a transductive classifier looks at all queries together"
    return failures


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures)
def test_scikit_learns_checks(estimator: FewShotClassifier, check: Callable[[Any], None]) -> None:
    check(estimator)


def built(name: str) -> FewShotClassifier:
    features = torch.rand(30, 12, generator=generator_for(0, "base"))
    base = BaseStatistics.from_features(features, torch.arange(3).repeat_interleave(10))
    settings = {"cosine": {"epochs": 3}, "calibrated": {"samples_per_class": 20}}.get(
        name, {"steps": 5} if "tim" in name.split("_") else {}
    )
    return build_classifier({"name": name, **settings}, base, seed=4)


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "tasks", [made_up_tasks(1, shots=1), made_up_tasks(1, shots=3), made_up_unequal_tasks(1)], ids=["1", "3", "unequal"]
)
def test_fit_and_predict_equal_the_call_with_tasks_to_the_last_bit(name: str, kind: torch.dtype, tasks: FewShotTasks) -> None:
    tasks = changed(tasks, lambda features: features.relu().to(kind))
    names = np.array(["auk", "jay", "lark", "wren"][: tasks.ways])
    labels = tasks.labels[0][torch.randperm(tasks.labels.shape[1], generator=generator_for(1))]
    order = torch.empty_like(labels)
    for way in range(tasks.ways):  # classes in any order, the items of each in their own: sums have an order
        order[labels == way] = (tasks.labels[0] == way).nonzero().flatten()
    X, y = tasks.support[0][order], names[labels]
    classifier = built(name).fit(X, y)
    with torch.no_grad():
        scores = built(name)(tasks, generator_for(4, "fit", name))[0]
    assert classifier.predict(tasks.query[0]).tolist() == names[scores.argmax(-1)].tolist()
    assert np.array_equal(classifier.predict_proba(tasks.query[0].numpy()), scores.softmax(-1).numpy())
    assert classifier.classes_.tolist() == names.tolist()
    assert classifier.n_features_in_ == 12


def test_support_in_any_order_is_the_same_task() -> None:
    tasks = made_up_unequal_tasks(1)
    X, y, query = tasks.support[0].numpy(), tasks.labels[0].numpy(), tasks.query[0].numpy()
    order = np.array([3, 0, 5, 1, 4, 2])
    expected = NearestMean().fit(X, y).predict_proba(query)
    np.testing.assert_allclose(NearestMean().fit(X[order], y[order]).predict_proba(query), expected, rtol=1e-5)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_copies_have_the_same_settings_and_base_statistics(name: str) -> None:
    original = built(name)
    copy = clone(original)
    assert copy.settings() == original.settings()
    assert getattr(copy, "base", None) is getattr(original, "base", None)
    tasks = changed(made_up_tasks(1), torch.relu)
    fitted = original.fit(tasks.support[0], tasks.labels[0])
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict_proba(tasks.query[0]), fitted.predict_proba(tasks.query[0]))


def test_settings_can_be_searched() -> None:
    tasks = made_up_tasks(1, shots=6)
    search = GridSearchCV(load_class("logistic")(), {"C": np.array([0.1, 1.0])}, cv=2)
    assert search.fit(tasks.support[0].numpy(), tasks.labels[0].numpy()).best_params_["C"] in (0.1, 1.0)


def test_random_state_is_the_seed_of_a_fit() -> None:
    tasks = made_up_tasks(1)
    first, again, other = (
        CosineClassifier(epochs=2, random_state=seed).fit(tasks.support[0], tasks.labels[0]).predict_proba(tasks.query[0])
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_transductive_classifier_takes_the_queries_together() -> None:
    tasks = changed(made_up_tasks(1), torch.relu)
    classifier = TIM(steps=20).fit(tasks.support[0], tasks.labels[0])
    together, alone = classifier.predict_proba(tasks.query[0]), classifier.predict_proba(tasks.query[0, :2])
    assert not np.allclose(together[:2], alone, atol=1e-4)
    with torch.no_grad():
        fewer = TIM(steps=20)(replace(tasks, query=tasks.query[:, :2]), generator_for(0))
    assert np.array_equal(alone, fewer[0].softmax(-1).numpy())


X = np.eye(4)
REFUSED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: NearestMean().fit(X * np.nan, [0, 0, 1, 1]), InputError, "X has a value that is NaN or inf, in row 0"),
    (lambda: NearestMean().fit(X, [0, 0, 1, 1]).predict([[0, 0, 0, np.inf]]), InputError, "X has a value that is NaN or inf, in row 0"),
    (lambda: NearestMean().fit(X, [0, 0, 0, 0]), InputError, "y has one class only, 0"),
    (lambda: NearestMean().fit(X, [0, 0, 1]), ValueError, "inconsistent numbers of samples"),
    (lambda: NearestMean().fit(X, [0.5, 0.1, 1, 1]), ValueError, "Unknown label type"),
    (lambda: NearestMean().fit(X, [0, 0, 1, 1]).predict([[1.0]]), ValueError, "X has 1 features, but NearestMean is expecting 4"),
    (lambda: NearestMean().predict(X), NotFittedError, "not fitted"),
    (lambda: load_class("calibrated")().fit(X, [0, 0, 1, 1]), InputError, r"base=\(features, labels\)"),
    (lambda: load_class("pt_map")().fit(-X, [0, 0, 1, 1]).predict(-X), InputError, "pt_map takes a power of features"),
]


@pytest.mark.parametrize(("use", "error", "message"), REFUSED)
def test_wrong_use_names_the_argument(use: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        use()
