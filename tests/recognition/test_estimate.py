"""The estimate of how good a model will be: its interval covers the truth, and class sizes stay equal when images are left out."""

from pathlib import Path

import numpy as np
import pytest

from s2m2.recognition import ImageClassifier
from s2m2.recognition.estimate import MIN_CLUSTERS, accuracy_interval, estimate, left_out
from tests.recognition.made_up_features import blobs, fitted


def flat(model: ImageClassifier) -> np.ndarray:
    images = left_out(model)
    assert images is not None
    return images.items


@pytest.mark.parametrize(
    ("right", "number", "low", "high"),
    [(8, 10, 0.490162, 0.943318), (0, 10, 0.0, 0.277533), (10, 10, 0.722467, 1.0)],  # statsmodels' proportion_confint(method="wilson")
)
def test_of_few_classes_it_is_wilsons_interval(right: int, number: int, low: float, high: float) -> None:
    one = accuracy_interval(np.arange(number) < right, np.arange(number) % 2)
    assert (one.low, one.high) == (pytest.approx(low, abs=1e-5), pytest.approx(high, abs=1e-5))
    assert one.classes == 0
    assert "Wilson" in one.sentence()


def test_of_many_classes_it_is_wider_where_images_of_a_class_go_together() -> None:
    classes = np.repeat(np.arange(20), 5)
    together = accuracy_interval(classes % 2 == 0, classes)
    apart = accuracy_interval(np.arange(100) % 2 == 0, classes)
    assert together.classes == apart.classes == 20
    assert together.high - together.low > 1.8 * (apart.high - apart.low)
    assert accuracy_interval(np.ones(100, dtype=bool), classes).low > 0.9


@pytest.mark.parametrize(("classes", "images", "spread"), [(8, 5, 1.5), (12, 5, 1.5), (30, 4, 1.0), (20, 10, 2.0), (5, 8, 0.0)])
def test_it_covers_the_mean_over_classes(classes: int, images: int, spread: float) -> None:
    """Classes with accuracies of their own, sampled again each time; the truth is the mean accuracy over all classes of the kind."""
    generator = np.random.default_rng(3)
    accuracies = 1 / (1 + np.exp(-(1.2 + spread * generator.normal(size=100_000))))
    ways = np.repeat(np.arange(classes), images)
    covered = 0
    for _ in range(400):
        right = generator.random(len(ways)) < generator.choice(accuracies, classes)[ways]
        one = accuracy_interval(right, ways)
        covered += one.low <= accuracies.mean() <= one.high
    assert covered / 400 >= 0.92
    assert (classes >= MIN_CLUSTERS) == bool(one.classes)


def test_it_covers_the_accuracy_on_new_images_of_these_classes() -> None:
    covered, differences = 0, []
    for seed in range(40):
        features, labels, centers = blobs(10, 5, width=0.9, seed=seed)
        model = fitted(features, labels)
        images = left_out(model)
        assert images is not None
        new, true, _ = blobs(10, 60, width=0.9, seed=1000 + seed, centers=centers)
        truth = float((np.array(model.classes_)[model.predict_proba(new).argmax(1)] == np.array(true)).mean())
        one = estimate(images)
        covered += one.interval.low <= truth <= one.interval.high
        differences.append(one.accuracy - truth)
    assert covered >= 36
    assert abs(float(np.mean(differences))) < 0.06  # 4 images a class in place of 5


def test_left_out_images_leave_classes_of_equal_size() -> None:
    """Classifiers prefer larger classes, and a class that is alone in losing an image would seem never to be found."""
    features, labels, _ = blobs(8, 2, width=0.3)
    model = ImageClassifier("features", "cosine").fit(features, labels)
    images = left_out(model)
    assert images is not None
    assert images.right.mean() > 0.9
    assert sorted(images.items.tolist()) == list(range(16))


def test_a_saved_model_gives_the_same_estimate(tmp_path: Path) -> None:
    features, labels, _ = blobs(6, 5, width=0.8)
    model = fitted(features, labels)
    model.save(tmp_path / "model")
    first, second = left_out(model), left_out(ImageClassifier.load(tmp_path / "model"))
    assert first is not None
    assert second is not None
    assert estimate(first) == estimate(second)
    assert np.array_equal(first.items, second.items)


def test_images_taken_out_and_single_ones_are_not_left_out() -> None:
    features, labels, _ = blobs(4, 4)
    model = fitted(features[:13], labels[:13]).remove_class("b")
    assert sorted(flat(model).tolist()) == [0, 1, 2, 3, 8, 9, 10, 11]
    assert left_out(fitted(*blobs(4, 1)[:2])) is None


@pytest.mark.parametrize("number", [3, 7, 10, 25, 49, 1000])
def test_the_interval_of_all_right_ends_at_one_exactly(number: int) -> None:
    all_right = accuracy_interval(np.ones(number, dtype=bool), np.arange(number) % 3)
    none_right = accuracy_interval(np.zeros(number, dtype=bool), np.arange(number) % 3)
    assert (all_right.high, none_right.low) == (1.0, 0.0)
    assert all_right.low < 1.0
    assert none_right.high > 0.0
