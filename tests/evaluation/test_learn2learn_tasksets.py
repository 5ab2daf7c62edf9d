"""Our datasets in learn2learn, and its tasksets in our evaluation; with the installed package."""

import pickle
import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from s2m2.classifiers import CosineClassifier, NearestMean
from s2m2.classifiers.base import FewShotTasks
from s2m2.data.augment import evaluation_view
from s2m2.data.dataset import ImageDataset
from s2m2.data.learn2learn_datasets import import_learn2learn
from s2m2.errors import InputError
from s2m2.evaluation.features import FeatureSet, extract_features
from s2m2.evaluation.learn2learn_tasksets import _seeded, meta_dataset, score_taskset, taskset_tasks
from s2m2.random import generator_for
from s2m2.recipe import DataConfig
from tests.models.tiny import tiny_backbone
from tests.reference.nearest_mean import squared_distances

l2l: Any = import_learn2learn()
COSINE = CosineClassifier(epochs=5, learning_rate=0.2)


@pytest.fixture(autouse=True)
def seed_of_learn2learn() -> Iterator[None]:
    """learn2learn samples from Python's global generator."""
    state = random.getstate()
    random.seed(0)
    yield
    random.setstate(state)


def features(classes: int = 6, size: int = 9, dim: int = 8, spread: float = 1.0) -> FeatureSet:
    """Classes around centers of their own, in random order, with class numbers that leave gaps."""
    generator = generator_for(0, "features")
    labels = (torch.arange(classes) * 2 + 1).repeat_interleave(size)[torch.randperm(classes * size, generator=generator)]
    centers = torch.randn(2 * classes, dim, generator=generator)
    values = centers[labels] + spread * torch.randn(len(labels), dim, generator=generator)
    names = tuple(f"class {number}" for number in range(2 * classes))
    return FeatureSet(features=values, labels=labels, indices=torch.arange(len(labels)), class_names=names, fingerprint="f")


def taskset(dataset: Any, ways: int = 3, items: int = 6, tasks: int = 20, *, remap: bool = True) -> Any:
    """Tasks as learn2learn's own examples make them."""
    transforms = l2l.data.transforms
    steps = [transforms.NWays(dataset, ways), transforms.KShots(dataset, items), transforms.LoadData(dataset)]
    if remap:
        steps += [transforms.RemapLabels(dataset), transforms.ConsecutiveLabels(dataset)]
    return l2l.data.Taskset(dataset, steps, num_tasks=tasks)


def test_the_images_of_a_split_are_a_meta_dataset(small_glyphs: ImageDataset) -> None:
    dataset, indices = meta_dataset(small_glyphs, "novel"), small_glyphs.indices("novel")
    assert isinstance(dataset, l2l.data.MetaDataset)
    assert len(dataset) == len(indices)
    assert sorted(dataset.labels) == sorted(small_glyphs.splits["novel"])
    for position, index in enumerate(indices):
        image, label = dataset[position]
        assert label == small_glyphs.labels[index] == dataset.indices_to_labels[position]
        assert position in dataset.labels_to_indices[label]
        assert np.array_equal((image * 255).round().byte().permute(1, 2, 0).numpy(), small_glyphs.images[index])
    assert len(meta_dataset(small_glyphs)) == len(small_glyphs.images)


def test_no_image_is_read_before_it_is_asked_for(small_glyphs: ImageDataset) -> None:
    sizes = []

    def transform(images: Tensor) -> Tensor:
        sizes.append(len(images))
        return images.permute(0, 3, 1, 2).float()

    dataset = meta_dataset(small_glyphs, "base", transform)
    tasks = taskset(dataset, ways=2, items=3)
    assert sizes == []
    assert tasks[0][0].shape == (6, 3, 32, 32)
    assert sizes == [1] * 6


@pytest.mark.parametrize("remap", [True, False])
def test_the_task_transforms_make_tasks_of_an_image_dataset(small_glyphs: ImageDataset, remap: bool) -> None:
    tasks = taskset(meta_dataset(small_glyphs, "base"), ways=4, items=3, tasks=5, remap=remap)
    class_of = {stored.tobytes(): int(label) for stored, label in zip(small_glyphs.images, small_glyphs.labels, strict=True)}
    for data, labels in tasks:
        classes = [class_of[(image * 255).round().byte().permute(1, 2, 0).numpy().tobytes()] for image in data]
        assert set(classes) <= set(small_glyphs.splits["base"])
        assert len({image.numpy().tobytes() for image in data}) == 12
        assert len(set(zip(classes, labels.tolist(), strict=True))) == len(set(classes)) == 4
        assert sorted(labels.tolist()) == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3] if remap else labels.tolist() == classes


def test_other_transforms_filter_and_unite_datasets(small_glyphs: ImageDataset) -> None:
    base, novel = meta_dataset(small_glyphs, "base"), meta_dataset(small_glyphs, "novel")
    assert len(l2l.data.UnionMetaDataset([base, novel]).labels) == 42
    only = list(small_glyphs.splits["novel"][:3])
    sample = l2l.data.transforms.FusedNWaysKShots(novel, n=3, k=2, filter_labels=only)
    _, labels = l2l.data.Taskset(novel, [sample, l2l.data.transforms.LoadData(novel)])[0]
    assert sorted(labels.tolist()) == sorted(only * 2)


def test_a_dataset_goes_to_the_workers_of_a_loader(small_glyphs: ImageDataset) -> None:
    for dataset in (meta_dataset(features()), meta_dataset(small_glyphs, "validation")):
        again = pickle.loads(pickle.dumps(dataset))
        assert torch.equal(again[5][0], dataset[5][0])
        data, labels = next(iter(DataLoader(dataset, batch_size=4)))
        assert (len(data), labels.tolist()) == (4, [dataset[position][1] for position in range(4)])


def test_features_are_a_meta_dataset() -> None:
    stored = features()
    dataset = meta_dataset(stored)
    assert sorted(dataset.labels) == [1, 3, 5, 7, 9, 11]
    for item in range(len(stored.labels)):
        assert torch.equal(dataset[item][0], stored.features[item])
        assert dataset[item][1] == stored.labels[item]


@pytest.mark.parametrize("remap", [True, False])
def test_accuracies_equal_a_plain_loop_over_learn2learns_own_partition(remap: bool) -> None:
    tasks = taskset(meta_dataset(features()), remap=remap)
    expected = []
    for data, labels in list(tasks):  # which the taskset caches
        (support, support_labels), (query, true) = l2l.data.partition_task(data, labels, shots=2)
        classes = labels.unique()
        nearest = squared_distances(support, torch.searchsorted(classes, support_labels), query, 3).argmin(-1)
        expected.append((classes[nearest] == true).double().mean().item())
    assert 0.4 < sum(expected) / len(expected) < 1
    assert score_taskset(tasks, NearestMean(), shots=2).tolist() == pytest.approx(expected)


def test_tasks_of_several_sizes_are_scored_in_order() -> None:
    dataset, transforms = meta_dataset(features()), l2l.data.transforms

    def any_size(_: None) -> Any:
        ways = random.randint(2, 5)
        load = transforms.LoadData(dataset)
        return load(transforms.FusedNWaysKShots(dataset, n=ways, k=random.randint(3, 5))(None))

    tasks = l2l.data.Taskset(dataset, any_size, num_tasks=30)
    split = list(taskset_tasks(tasks, shots=2))
    assert len({task.tasks.ways for task in split}) > 2
    expected = []
    for (data, labels), task in zip(tasks, split, strict=True):
        (support, support_labels), (query, query_labels) = l2l.data.partition_task(data, labels, shots=2)
        assert torch.equal(task.tasks.support[0], support)
        assert torch.equal(task.labels[task.tasks.labels[0]], support_labels)
        assert torch.equal(task.tasks.query[0], query)
        assert torch.equal(task.labels[task.query_ways[0]], query_labels)
        scores = NearestMean()(task.tasks, generator_for(0))
        expected.append((scores.argmax(-1) == task.query_ways).double().mean().item())
    assert score_taskset(tasks, NearestMean(), shots=2).tolist() == expected


def test_classes_may_have_different_numbers_of_queries() -> None:
    labels = torch.tensor([7, 4, 7, 7, 4, 7])
    task = next(taskset_tasks([(torch.arange(12.0).reshape(6, 2), labels)], shots=1, tasks=1))
    assert task.labels.tolist() == [4, 7]
    assert task.tasks.support[0, :, 0].tolist() == [2, 0]
    assert task.tasks.query[0, :, 0].tolist() == [8, 4, 6, 10]
    assert task.query_ways.tolist() == [[0, 1, 1, 1]]


@pytest.mark.parametrize("classifier", [NearestMean(), COSINE])
def test_tasks_and_scores_follow_from_the_seed_alone(classifier: Any) -> None:
    dataset = meta_dataset(features(spread=3.0))

    def scores(tasks: int, seed: int) -> Tensor:
        return score_taskset(taskset(dataset, tasks=-1), classifier, shots=1, tasks=tasks, seed=seed)

    random.seed(1)
    first = scores(260, 4)
    random.seed(2)
    assert torch.equal(scores(257, 4), first[:257])
    assert not torch.equal(scores(257, 5), first[:257])


def test_the_state_of_pythons_generator_is_restored() -> None:
    random.seed(1)
    with _seeded(2):
        value = random.random()
    assert [random.random()] == [random.Random(1).random()] != [value]
    assert value == random.Random(2).random()


def test_images_go_through_a_backbone(small_glyphs: ImageDataset) -> None:
    backbone, config = tiny_backbone("conv4"), DataConfig(image_size=28, resize_ratio=1.15)
    view, indices = partial(evaluation_view, config=config), torch.from_numpy(small_glyphs.indices("novel"))
    extracted = FeatureSet(
        features=extract_features(backbone, small_glyphs.image_tensor(), indices, view, batch_size=16),
        labels=torch.from_numpy(small_glyphs.labels)[indices],
        indices=indices,
        class_names=small_glyphs.class_names,
        fingerprint="",
    )
    backbone.train()
    counts: list[int] = []
    images = taskset(meta_dataset(small_glyphs, "novel", view))
    accuracies = score_taskset(images, NearestMean(), shots=1, backbone=backbone, seed=3, progress=counts.append)
    assert accuracies.tolist() == score_taskset(taskset(meta_dataset(extracted)), NearestMean(), shots=1, seed=3).tolist()
    assert accuracies.std() > 0
    assert sum(counts) == 20
    assert backbone.training


def test_a_transform_comes_before_the_classifier() -> None:
    def blind(tasks: FewShotTasks) -> FewShotTasks:
        return replace(tasks, query=torch.zeros_like(tasks.query))

    tasks = taskset(meta_dataset(features(spread=0.01)))
    assert score_taskset(tasks, NearestMean(), shots=2).min() == 1
    assert score_taskset(tasks, NearestMean(), shots=2, transform=blind).unique().tolist() == pytest.approx([1 / 3])


def test_an_unusable_taskset_is_named_in_one_line(small_glyphs: ImageDataset) -> None:
    dataset = meta_dataset(features())
    for tasks, settings, message in (
        (taskset(dataset, tasks=-1), {"shots": 1}, "has tasks without end; give their number"),
        (taskset(dataset, tasks=3), {"shots": 1, "tasks": 4}, "has 3 tasks, not 4"),
        (taskset(dataset, items=3), {"shots": 3}, "task 0 .* has 3, 3, 3 items of its labels, too few for 3 shots and a query"),
        (taskset(dataset, items=3), {"shots": 4}, "too few for 4 shots"),
        (taskset(meta_dataset(small_glyphs)), {"shots": 1}, r"shape \(18, 3, 32, 32\) .* images need a backbone"),
        (l2l.data.Taskset(dataset, [l2l.data.transforms.NWays(dataset, 2)]), {"shots": 1, "tasks": 1}, "lack learn2learn's LoadData"),
        ([(torch.full((4, 2), torch.nan), torch.arange(4) % 2)], {"shots": 1, "tasks": 1}, "not finite"),
    ):
        with pytest.raises(InputError, match=message):
            score_taskset(tasks, NearestMean(), **settings)
    with pytest.raises(InputError, match="no split and no transform"):
        meta_dataset(features(), "novel")
    with pytest.raises(InputError, match="has no novel classes"):
        meta_dataset(replace(small_glyphs, splits={"base": (0,)}), "novel")


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "learn2learn", None)
    with pytest.raises(InputError, match="learn2learn is not installed; ") as caught:
        meta_dataset(features())
    assert "\n" not in str(caught.value)
