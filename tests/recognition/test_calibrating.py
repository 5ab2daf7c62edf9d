"""Calibration: probabilities, thresholds and sets mean what they say, on tasks of classes that were never seen."""

import math

import numpy as np
import pytest
import torch

from s2m2.classifiers import build_classifier
from s2m2.classifiers.base import FewShotTasks
from s2m2.recognition import ImageClassifier
from s2m2.recognition.calibrating import Calibration, _quantile, _task_sizes, _weighted_quantiles
from s2m2.recognition.leaving_out import closeness, leave_out
from tests.recognition.made_up import DIM, features

TRIALS = 60


@pytest.mark.parametrize("shots", [1, 5])
def test_coverage_and_rejections_hold_on_average_over_new_classes(shots: int) -> None:
    turned, covered, confidence, right = [], [], [], []
    reference = features(200, 20, seed=1, noise=1.8)
    for trial in range(TRIALS):
        X, y = features(5, shots + 20, seed=100 + trial, noise=1.8)
        support = np.tile(np.arange(shots + 20) < shots, 5)
        model = ImageClassifier("features", "cosine_centroid", reference=reference, random_state=trial).fit(X[support], y[support])
        answers = model.answers(X[~support])
        turned.append(answers.unknown.mean())
        sets = model.sets(answers.probabilities, 0.9)
        covered.append(np.mean([label in said for label, said in zip(y[~support], sets, strict=True)]))
        confidence.append(answers.probabilities.max(1).mean())
        right.append((answers.probabilities.argmax(1) == y[~support]).mean())
    assert np.mean(turned) == pytest.approx(0.05, abs=0.025)
    assert np.mean(covered) == pytest.approx(0.9, abs=0.04)
    assert np.mean(confidence) == pytest.approx(np.mean(right), abs=0.05)


def test_without_a_reference_one_image_a_class_is_not_calibrated_and_says_so() -> None:
    X, y = features(3, 1)
    model = ImageClassifier("features").fit(X, y)
    assert not model.calibration_.calibrated
    assert "not calibrated" in model.calibration_.sentence(0.05)
    assert all(label is not None for label in model.predict(features(3, 4, seed=8)[0]))
    assert all(len(said) == 3 for said in model.predict_set(X))


def test_own_images_alone_calibrate_from_twenty_on() -> None:
    X, y = features(4, 6)
    model = ImageClassifier("features").fit(X, y)
    assert model.calibration_.own == 24
    assert model.calibration_.calibrated
    assert not ImageClassifier("features").fit(*features(4, 4)).calibration_.calibrated


def test_every_image_of_a_class_with_two_is_left_out_once_and_scored_without_itself() -> None:
    X, y = features(3, 5)
    labels = torch.from_numpy(np.concatenate([y, [3]]))
    values = torch.from_numpy(np.concatenate([X, X[:1] + 5]))
    left_out = leave_out(values, labels, build_classifier("nearest_mean"), 0)
    assert left_out is not None
    assert sorted(left_out.items.tolist()) == list(range(15))
    assert (labels[left_out.items] == left_out.ways).all()
    item = int(left_out.items[0])
    changed = values.clone()
    changed[item] = 1000.0
    again = leave_out(changed, labels, build_classifier("nearest_mean"), 0)
    assert again is not None
    others = left_out.items != item
    same_fold = torch.isclose(left_out.queries.scores[others], again.queries.scores[others]).all(-1)
    assert same_fold.sum() >= 2  # those left out together with it


def test_nothing_is_left_out_where_every_class_has_one_image() -> None:
    X, y = features(3, 1)
    assert leave_out(torch.from_numpy(X), torch.from_numpy(y), build_classifier("nearest_mean"), 0) is None


def test_closeness_is_one_at_a_class_mean_and_zero_as_far_as_classes_are_apart() -> None:
    support = torch.eye(4)[None, :3]
    query = torch.tensor([[[1.0, 0, 0, 0], [0, 0, 0, 1]]])
    tasks = FewShotTasks(support=support, labels=torch.arange(3)[None], query=query, ways=3, shots=1)
    torch.testing.assert_close(closeness(tasks), torch.tensor([[1.0, 0.0]], dtype=torch.float64))


def test_weighted_quantiles_are_those_of_repeated_values() -> None:
    """The value at a level is the least one with at least this fraction up to it, so that at most this fraction lies below it."""
    values, weights = torch.tensor([3.0, 1.0, 2.0]), torch.tensor([1.0, 2.0, 7.0], dtype=torch.float64)
    repeated = torch.tensor([1.0] * 2 + [2.0] * 7 + [3.0])
    quantiles = _weighted_quantiles(values, weights)
    assert _quantile(quantiles, 0.0) == 1.0
    for level in (0.1, 0.25, 0.5, 0.85, 0.95):
        assert _quantile(quantiles, level) == repeated[math.ceil(level * 10 - 1e-9) - 1]


def test_tasks_of_the_reference_are_of_the_users_sizes() -> None:
    assert _task_sizes(torch.tensor([5, 1, 9]), 40).tolist() == [1, 5, 9]
    assert _task_sizes(torch.full((1000,), 5), 40).tolist() == [5] * 40
    assert int(_task_sizes(torch.full((100,), 500), 40).sum()) <= 400


def test_calibration_goes_through_json() -> None:
    X, y = features(3, 8)
    one = ImageClassifier("features").fit(X, y).calibration_
    two = Calibration.from_dict(one.to_dict())
    assert (one.temperature, one.own) == (two.temperature, two.own)
    torch.testing.assert_close(one.familiarity, two.familiarity, rtol=0, atol=0)
    assert X.shape[1] == DIM
