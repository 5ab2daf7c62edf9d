from dataclasses import replace

import pytest
import torch

from s2m2.analysis.network import choose_images, sample_by_class, sample_positions
from s2m2.data.batches import split_base
from s2m2.data.dataset import ImageDataset
from s2m2.errors import InputError
from s2m2.random import generator_for
from s2m2.recipe import AnalyzeConfig, DataConfig, Recipe
from tests.data.one_dataset import one_dataset


def recipe(**data: float) -> Recipe:
    return Recipe(data=DataConfig(**data), analyze=AnalyzeConfig(classes=5, images=3, predictions=40))


def test_sample_has_the_given_images_and_classes_and_no_singletons() -> None:
    labels = torch.tensor([0, 1, 1, 1, 2, 2, 3, 4, 4, 4, 4])
    for seed in range(10):
        places = sample_by_class(labels, 2, 3, generator_for(seed))
        counts = torch.bincount(labels[places], minlength=5)
        assert len(places.unique()) == len(places)
        assert int((counts > 0).sum()) == 2
        assert counts[0] == counts[3] == 0
        assert all(count in (0, min(3, int((labels == label).sum()))) for label, count in enumerate(counts.tolist()))
    assert len(sample_by_class(labels, 99, 99, generator_for(0))) == 9
    assert len(sample_by_class(torch.arange(5), 99, 99, generator_for(0))) == 0
    assert len({tuple(sample_by_class(labels, 2, 3, generator_for(seed)).tolist()) for seed in range(10)}) > 3


def test_sampled_positions_are_ascending_and_bounded() -> None:
    assert sample_positions(4, 9, generator_for(0)).tolist() == [0, 1, 2, 3]
    drawn = sample_positions(1000, 10, generator_for(0)).tolist()
    assert drawn == sorted(set(drawn))
    assert len(drawn) == 10


def test_without_held_out_images_those_of_training_are_measured(small_glyphs: ImageDataset) -> None:
    found = choose_images(recipe(), one_dataset(small_glyphs))
    assert (found.base_from, found.head_from, found.trained, found.true_labels) == ("trained", "trained", None, None)
    assert len(found.base.indices) == 15
    assert len(found.head.indices) == 40
    numbers = torch.tensor(small_glyphs.splits["base"]).sort().values
    assert torch.equal(numbers[found.base.labels], torch.from_numpy(small_glyphs.labels)[found.base.indices])
    assert found.novel is not None
    assert set(small_glyphs.labels[found.novel.indices.numpy()]) <= set(small_glyphs.splits["novel"])
    again = choose_images(recipe(), one_dataset(small_glyphs))
    assert torch.equal(again.base.indices, found.base.indices)


def test_held_out_images_are_measured_where_there_are_any(small_glyphs: ImageDataset) -> None:
    asked = recipe(holdout_fraction=0.25)
    held = set(split_base(small_glyphs, asked.data, 0).holdout_indices.tolist())
    found = choose_images(asked, one_dataset(small_glyphs))
    assert (found.base_from, found.head_from) == ("held out", "held out")
    assert set(found.base.indices.tolist()) | set(found.head.indices.tolist()) <= held


def test_one_held_out_image_a_class_leaves_the_representation_to_those_of_training(small_glyphs: ImageDataset) -> None:
    found = choose_images(recipe(holdout_fraction=0.125), one_dataset(small_glyphs))
    assert (found.base_from, found.head_from) == ("trained", "held out")
    assert len(found.base.indices) == 15


def test_corrupted_labels_are_given_beside_the_true_ones(small_glyphs: ImageDataset) -> None:
    found = choose_images(recipe(label_noise=0.5), one_dataset(small_glyphs))
    assert found.trained is not None
    assert found.true_labels is not None
    wrong = found.trained.labels != found.true_labels
    assert 5 < int(wrong.sum()) < 35
    numbers = torch.tensor(small_glyphs.splits["base"]).sort().values
    assert torch.equal(numbers[found.true_labels], torch.from_numpy(small_glyphs.labels)[found.trained.indices])
    assert torch.equal(numbers[found.base.labels], torch.from_numpy(small_glyphs.labels)[found.base.indices])  # not the wrong ones


def test_classes_of_one_image_each_cannot_be_compared(small_glyphs: ImageDataset) -> None:
    first = [int((small_glyphs.labels == label).argmax()) for label in range(len(small_glyphs.class_names))]
    single = replace(small_glyphs, images=small_glyphs.images[first], labels=small_glyphs.labels[first])
    with pytest.raises(InputError, match="no base class of glyphs has two images"):
        choose_images(recipe(), one_dataset(single))


def test_a_dataset_without_novel_classes_has_no_novel_images(small_glyphs: ImageDataset) -> None:
    dataset = replace(small_glyphs, splits={**small_glyphs.splits, "novel": ()})
    assert choose_images(recipe(), one_dataset(dataset)).novel is None
