from typing import Any

import pytest
import torch

from s2m2.classifiers.base import FewShotTasks
from s2m2.classifiers.base_statistics import BaseStatistics
from s2m2.classifiers.building import build_classifier
from s2m2.classifiers.calibrated import DistributionCalibration, shared_noise
from s2m2.errors import InputError
from s2m2.random import generator_for
from tests.reference.evaluate import changed, made_up_tasks, made_up_unequal_tasks
from tests.reference.inductive import calibrated

DIM = 6
TASKS = changed(made_up_tasks(3, ways=3, shots=2, dim=DIM, shift=3.0), torch.relu)
UNEQUAL = changed(made_up_unequal_tasks(3, dim=DIM), torch.relu)


def base(classes: int = 5, rows: int = 30) -> BaseStatistics:
    generator = generator_for(0, "base of calibration")
    labels = torch.arange(classes).repeat_interleave(rows)
    mixing = torch.randn(classes, DIM, DIM, generator=generator)
    noise = torch.einsum("nd,nde->ne", torch.randn(len(labels), DIM, generator=generator), mixing[labels])
    features = (2 + torch.randn(classes, DIM, generator=generator)[labels] + 0.4 * noise).relu()
    return BaseStatistics.from_features(features, labels)


def classifier(statistics: BaseStatistics | None = None, **settings: Any) -> DistributionCalibration:
    return DistributionCalibration(base=statistics or base(), random_state=3, **{"samples_per_class": 60} | settings)


@pytest.mark.parametrize("tasks", [TASKS, UNEQUAL], ids=["equal", "unequal"])
def test_probabilities_are_those_of_scikit_learn_on_the_same_samples(tasks: FewShotTasks) -> None:
    scores = classifier()(tasks, generator_for(5)).log_softmax(-1).double()
    expected = calibrated(tasks, classifier(), generator_for(5))
    torch.testing.assert_close(scores, expected, rtol=1e-3, atol=5e-3)


def test_in_float64_not_even_the_steps_of_the_fit_differ() -> None:
    scores = classifier()(changed(TASKS, torch.Tensor.double), generator_for(5)).log_softmax(-1)
    expected = calibrated(TASKS, classifier(), generator_for(5))
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("neighbors", [1, 2, 3])
def test_samples_have_the_calibrated_mean_and_covariance(neighbors: int) -> None:
    statistics = base()
    calibration = classifier(statistics, neighbors=neighbors, spread=0.5)
    item = TASKS.support[0, :1].double()
    samples = calibration.sample(item, torch.tensor([200_000]), generator_for(1))
    nearest = (statistics.class_means - item).norm(dim=1).argsort()[:neighbors]
    mean = (item[0] + statistics.class_means[nearest].sum(0)) / (neighbors + 1)
    assert statistics.class_factors is not None
    factors = statistics.class_factors[nearest]
    covariance = (factors.mT @ factors).mean(0) + 0.5
    torch.testing.assert_close(samples.mean(0), mean.double(), rtol=0, atol=0.02)
    torch.testing.assert_close(samples.T.cov(), covariance.double(), rtol=0, atol=0.04)


def test_no_two_samples_of_a_task_share_noise() -> None:
    calibration = classifier(base(classes=1), neighbors=1, spread=0.0)
    samples = calibration.sample(TASKS.support[0], torch.full((6,), 700), generator_for(1))
    noise = (samples.unflatten(0, (6, 700)) - (TASKS.support[0] + base(classes=1).class_means)[:, None] / 2).flatten(0, 1)
    assert len(torch.unique((noise * 1e4).round(), dim=0)) > 4150  # of 4,200, more than two pages


def test_covariances_of_fewer_rows_than_dimensions_are_kept() -> None:
    generator = generator_for(0, "few rows")
    features = torch.randn(8, DIM, generator=generator)
    labels = torch.tensor([4, 4, 4, 4, 4, 7, 7, 7])
    statistics = BaseStatistics.from_features(features.numpy(), labels.numpy())
    assert statistics.class_factors is not None
    for number, members in enumerate((features[:5], features[5:])):
        factor = statistics.class_factors[number]
        torch.testing.assert_close(factor.T @ factor, members.T.cov(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(statistics.class_means[number], members.mean(0))
    assert BaseStatistics.from_features(features, labels, covariances=False).class_factors is None


def test_little_memory_for_noise_changes_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    plenty = classifier()(TASKS, generator_for(5))
    monkeypatch.setattr("s2m2.classifiers.calibrated.MAX_STORE", 1)
    statistics = base()
    assert torch.equal(classifier(statistics)(TASKS, generator_for(5)), plenty)
    assert len(shared_noise(statistics, 3).pages) == 1


def test_negative_features_are_refused_unless_there_is_no_power() -> None:
    negative = changed(TASKS, torch.neg)
    with pytest.raises(InputError, match=r"evaluate\.transforms rectify"):
        classifier()(negative, generator_for(0))
    assert classifier(power=1.0)(negative, generator_for(0)).isfinite().all()


def test_missing_base_features_and_missing_neighbors_are_named() -> None:
    for use in (lambda: build_classifier("calibrated"), lambda: DistributionCalibration()(TASKS, generator_for(0))):
        with pytest.raises(InputError, match=r"features of the base classes.*base=\(features, labels\)"):
            use()
    with pytest.raises(InputError, match="neighbors is 2, but there are 1"):
        build_classifier("calibrated", base(classes=1))


@pytest.mark.parametrize(("rows", "rank"), [(3, 3), (20, DIM)])
def test_factors_have_no_more_rows_than_they_need(rows: int, rank: int) -> None:
    factors = base(rows=rows).class_factors
    assert factors is not None
    assert factors.shape == (5, rank, DIM)
