import math
from collections import Counter

import pytest

from s2m2.data.dataset import SPLITS, ImageDataset
from s2m2.data.datasets import DATASETS
from s2m2.data.glyphs import choose_characters
from s2m2.data.sources import READERS
from s2m2.data.splitting import packaged_lists, read_packaged_list


def test_the_data_sets_are_those_that_can_be_read_or_drawn() -> None:
    assert set(DATASETS) == {"mini_imagenet", "tiered_imagenet", "cub", "cifar_fs", "fc100", "omniglot", "glyphs"}
    assert set(DATASETS) - {"glyphs"} == set(READERS) - {"own"}


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_classes_and_images_are_those_of_the_class_list(name: str) -> None:
    dataset = DATASETS[name]
    assert set(dataset.classes) == set(dataset.images) == set(SPLITS)
    if dataset.class_list is not None:
        assert dataset.class_list in packaged_lists()
        lists = read_packaged_list(dataset.class_list)
        assert {split: len(lists[split]) for split in SPLITS} == dataset.classes


@pytest.mark.parametrize(("name", "each"), [("mini_imagenet", 600), ("cifar_fs", 600), ("fc100", 600), ("omniglot", 20), ("glyphs", 120)])
def test_balanced_data_sets_have_so_many_images_a_class(name: str, each: int) -> None:
    assert {split: each * count for split, count in DATASETS[name].classes.items()} == DATASETS[name].images


def test_the_totals_are_those_that_are_published() -> None:
    totals = {name: (sum(dataset.classes.values()), sum(dataset.images.values())) for name, dataset in DATASETS.items()}
    assert totals["mini_imagenet"] == (100, 60_000)
    assert totals["tiered_imagenet"] == (608, 779_165)
    assert totals["cub"] == (200, 11_788)
    assert totals["cifar_fs"] == totals["fc100"] == (100, 60_000)
    assert totals["omniglot"] == (1_623, 32_460)


def test_glyphs_are_what_is_drawn(small_glyphs: ImageDataset) -> None:
    assert len(choose_characters(sum(DATASETS["glyphs"].classes.values()))) == 100
    assert small_glyphs.images.shape[1] == DATASETS["glyphs"].original_size
    assert Counter(map(len, small_glyphs.splits.values())) == Counter({32: 1, 8: 1, 10: 1})


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_tables_keep_the_pixels_that_evaluation_needs(name: str) -> None:
    dataset = DATASETS[name]
    needed = dataset.image_size * dataset.resize
    assert dataset.storage_size == min(math.ceil(round(needed, 6)), dataset.original_size or 10**6)
    assert dataset.image_size >= 28


def test_s2m2s_sizes() -> None:
    sizes = {name: (dataset.image_size, dataset.storage_size) for name, dataset in DATASETS.items()}
    assert sizes["mini_imagenet"] == sizes["tiered_imagenet"] == sizes["cub"] == (80, 92)
    assert sizes["cifar_fs"] == sizes["fc100"] == (32, 32)
    assert sizes["omniglot"] == (28, 28)
