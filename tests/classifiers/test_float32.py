"""Answers in float32 are those in float64 where features are large, have much in common, or are hardly regularized."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression as SklearnLogistic
from sklearn.linear_model import Ridge as SklearnRidge

from s2m2.classifiers import BaseStatistics, build_classifier
from s2m2.classifiers.base import FewShotTasks
from s2m2.random import generator_for
from tests.reference.evaluate import changed

WAYS, QUERIES, DIM = 5, 15, 512
STEADY = (
    "nearest_mean",
    "cosine_centroid",
    "cosine",
    "cosine_converged",
    "logistic",
    "svm",
    "ridge",
    "soft_kmeans",
    "bd_cspn",
    "laplacian_shot",
    "alpha_tim_fast",
)
"""Classifiers of which a large common part is asked; the others answer by chance then, in float64 too, or follow Adam on its rounding."""
TRUE = torch.arange(WAYS).repeat_interleave(QUERIES)


def overlapping(shots: int, *, scale: float = 1.0, common: float = 0.0, count: int = 6) -> FewShotTasks:
    """Tasks of classes that overlap; `common` is the size of a part that all features share."""
    generator = generator_for(0, "float32", shots)
    labels = torch.arange(WAYS).repeat_interleave(shots)
    centers = torch.randn(count, WAYS, DIM, generator=generator)
    support, query = (
        (centers[:, ways] + 4 * torch.randn(count, len(ways), DIM, generator=generator)).relu() * scale
        + common * torch.rand(DIM, generator=generator_for(1))
        for ways in (labels, TRUE)
    )
    return FewShotTasks(support=support, labels=labels.expand(count, -1), query=query, ways=WAYS, shots=shots)


def accuracy(scores: torch.Tensor) -> float:
    return float((scores.argmax(-1) == TRUE).double().mean())


@pytest.mark.parametrize("shots", [1, 5])
@pytest.mark.parametrize(("scale", "strength"), [(1.0, 1.0), (3000.0, 1.0), (1.0, 1e7), (1.0, 1e-4)])
def test_logistic_gives_the_answer_of_scikit_learns_newton_for_unscaled_features_and_a_large_c(
    shots: int, scale: float, strength: float
) -> None:
    tasks = overlapping(shots, scale=scale, count=3)
    scores = build_classifier({"name": "logistic", "C": strength})(tasks, generator_for(0)).double()
    for support, labels, query, ours in zip(tasks.support.double(), tasks.labels, tasks.query.double(), scores, strict=True):
        # Coordinates in the span of the support: the same problem, which scikit-learn's solver then takes no second for.
        mean = support.mean(0)
        axes = torch.linalg.svd(support - mean, full_matrices=False).Vh.T
        model = SklearnLogistic(C=strength, solver="newton-cholesky", tol=1e-12, max_iter=1000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit((support - mean) @ axes, labels)
        theirs = torch.from_numpy(model.decision_function((query - mean) @ axes))
        difference = (ours - ours.mean(1, keepdim=True)) - (theirs - theirs.mean(1, keepdim=True))
        assert float(difference.abs().max()) < 1e-3 * float(theirs.abs().max())


@pytest.mark.parametrize("shots", [1, 5])
@pytest.mark.parametrize(("scale", "penalty"), [(1.0, 1e-12), (3000.0, 1.0), (1.0, 1e-9), (1.0, 1.0)])
def test_ridge_gives_the_answer_of_scikit_learns_svd_however_small_the_penalty(shots: int, scale: float, penalty: float) -> None:
    tasks = overlapping(shots, scale=scale, count=3)
    scores = build_classifier({"name": "ridge", "penalty": penalty})(tasks, generator_for(0)).double()
    targets = 2 * torch.nn.functional.one_hot(tasks.labels[0], WAYS).double() - 1
    for support, query, ours in zip(tasks.support.double(), tasks.query.double(), scores, strict=True):
        theirs = SklearnRidge(alpha=penalty, solver="svd").fit(support, targets).predict(query)
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-4)


def test_ridge_takes_equal_images_of_two_classes() -> None:
    tasks = overlapping(1)
    support = tasks.support.clone()
    support[:, 1] = support[:, 0]
    scores = build_classifier({"name": "ridge", "penalty": 1e-12})(replace(tasks, support=support), generator_for(0))
    torch.testing.assert_close(scores[..., 0], scores[..., 1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", STEADY)
def test_a_large_part_that_all_features_share_costs_no_predictions(name: str) -> None:
    tasks = overlapping(1, common=3000.0)
    base = torch.rand(60, DIM, generator=generator_for(2)) + 3000.0 * torch.rand(DIM, generator=generator_for(1))
    statistics = BaseStatistics.from_features(base, torch.arange(3).repeat_interleave(20))
    classifier = build_classifier({"name": name, **({"steps": 100} if "tim" in name else {})}, statistics)
    rounded, exact = classifier(tasks, generator_for(0)), classifier(changed(tasks, torch.Tensor.double), generator_for(0))
    assert float((rounded.argmax(-1) == exact.argmax(-1)).double().mean()) > 0.98
    assert accuracy(rounded) == pytest.approx(accuracy(exact), abs=0.01)
