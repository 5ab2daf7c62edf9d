"""Few-shot classifiers on features, episodic evaluation, comparison and task sampling from Python."""

import numpy as np
import pytest

import s2m2

pytestmark = pytest.mark.usefixtures("one_thread")
CLASSES = np.array(["cat", "dog", "eel", "fox", "gnu", "hen"])
INDUCTIVE = ["CosineClassifier", "ConvergedCosine", "NearestMean", "CosineCentroid", "LogisticRegression", "LinearSVM", "Ridge"]


@pytest.fixture(scope="module")
def features() -> tuple[np.ndarray, np.ndarray]:
    """Six classes of 30 images with 16 features each, well separated, in random order."""
    generator = np.random.default_rng(0)
    labels = generator.permutation(np.repeat(CLASSES, 30))
    centers = generator.normal(size=(len(CLASSES), 16))
    values = centers[np.searchsorted(CLASSES, labels)] + 0.4 * generator.normal(size=(len(labels), 16))
    return values.astype(np.float32), labels


@pytest.mark.parametrize("name", INDUCTIVE)
def test_a_classifier_learns_from_unsorted_string_labels(features: tuple[np.ndarray, np.ndarray], name: str) -> None:
    images, labels = features
    classifier = getattr(s2m2, name)().fit(images[:40], labels[:40])
    assert list(classifier.classes_) == list(CLASSES)
    probabilities = classifier.predict_proba(images[40:])
    assert probabilities.shape == (140, 6)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    predicted = classifier.predict(images[40:])
    assert (predicted == labels[40:]).mean() > 0.9
    np.testing.assert_array_equal(predicted, classifier.classes_[probabilities.argmax(axis=1)])


def test_two_images_of_a_class_and_one_of_another() -> None:
    images = np.array([[1.0, 0.1], [1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    classifier = s2m2.CosineClassifier().fit(images, ["cat", "cat", "dog"])
    assert list(classifier.predict(images[1:])) == ["cat", "dog"]


def test_an_evaluation_has_mean_intervals_and_tasks(features: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = features
    result = s2m2.evaluate(images, labels, classifier="cosine", ways=5, shots=1, queries=15, tasks=60, seed=0)
    per_task = np.asarray(result.per_task)
    assert per_task.shape == (60,)
    assert result.mean == pytest.approx(per_task.mean())
    assert result.ci95 == pytest.approx(1.96 * per_task.std(ddof=1) / 60**0.5)
    assert result.ci95_classes > 0
    assert 0.5 < result.mean <= 1
    again = s2m2.evaluate(images, labels, classifier=s2m2.CosineClassifier(), ways=5, shots=1, queries=15, tasks=60, seed=0)
    np.testing.assert_array_equal(again.per_task, per_task)


def test_two_results_are_compared_in_pairs(features: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = features
    tasks = {"ways": 5, "shots": 1, "queries": 10, "tasks": 40, "seed": 0}
    one = s2m2.evaluate(images, labels, classifier="cosine", **tasks)
    two = s2m2.evaluate(images, labels, classifier=s2m2.TIM(steps=50), **tasks)
    assert s2m2.compare(one, two) is not None
    with pytest.raises(s2m2.InputError):
        s2m2.compare(one, s2m2.evaluate(images, labels, classifier="cosine", **{**tasks, "seed": 1}))


def test_sampled_tasks_are_indices_of_disjoint_images(features: tuple[np.ndarray, np.ndarray]) -> None:
    _, labels = features
    sampler = s2m2.EpisodeSampler(labels, ways=5, shots=2, queries=3, tasks=7, seed=0)
    tasks = list(sampler)
    assert len(sampler) == len(tasks) == 7
    for support, query in tasks:
        assert not set(np.ravel(support)) & set(np.ravel(query))
        assert sorted(np.unique(labels[np.ravel(support)], return_counts=True)[1]) == [2] * 5
        assert sorted(np.unique(labels[np.ravel(query)], return_counts=True)[1]) == [3] * 5


@pytest.mark.parametrize(
    ("changes", "argument"),
    [({"ways": 7}, "7-way"), ({"shots": 0}, "shots"), ({"queries": 99}, "quer"), ({"classifier": "cosin"}, "cosin")],
)
def test_wrong_arguments_are_named(features: tuple[np.ndarray, np.ndarray], changes: dict[str, object], argument: str) -> None:
    images, labels = features
    arguments = {"classifier": "cosine", "ways": 5, "shots": 1, "queries": 5, "tasks": 5, "seed": 0, **changes}
    with pytest.raises(s2m2.InputError, match=argument):
        s2m2.evaluate(images, labels, **arguments)


def test_labels_that_do_not_fit_the_features_are_named(features: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = features
    with pytest.raises(ValueError, match=r"label|y|sample"):
        s2m2.evaluate(images, labels[:-1], classifier="cosine", ways=5, shots=1, queries=5, tasks=5, seed=0)
