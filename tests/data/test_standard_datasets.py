"""Published counts and sizes of the standard datasets, and the image size of a run."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from s2m2.cli import main
from s2m2.data.dataset import SPLITS, ImageDataset
from s2m2.data.glyphs import choose_characters
from s2m2.data.sources import READERS
from s2m2.data.splits import packaged_lists, read_packaged_list
from s2m2.data.standard_datasets import DATASETS, resolve_size
from s2m2.data.writing import DatasetContents, write_dataset
from s2m2.errors import InputError
from s2m2.recipe import DataConfig, read_recipe
from tests.integration.tiny import tiny_flags


def test_the_datasets_are_those_that_can_be_read_or_rendered() -> None:
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
def test_balanced_datasets_have_so_many_images_a_class(name: str, each: int) -> None:
    assert {split: each * count for split, count in DATASETS[name].classes.items()} == DATASETS[name].images


def test_the_totals_are_those_that_are_published() -> None:
    totals = {name: (sum(dataset.classes.values()), sum(dataset.images.values())) for name, dataset in DATASETS.items()}
    assert totals["mini_imagenet"] == (100, 60_000)
    assert totals["tiered_imagenet"] == (608, 779_165)
    assert totals["cub"] == (200, 11_788)
    assert totals["cifar_fs"] == totals["fc100"] == (100, 60_000)
    assert totals["omniglot"] == (1_623, 32_460)


def test_glyphs_are_what_is_rendered(small_glyphs: ImageDataset) -> None:
    assert len(choose_characters(sum(DATASETS["glyphs"].classes.values()))) == 100
    assert small_glyphs.images.shape[1] == DATASETS["glyphs"].original_size
    assert Counter(map(len, small_glyphs.splits.values())) == Counter({32: 1, 8: 1, 10: 1})


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_datasets_keep_the_pixels_that_evaluation_needs(name: str) -> None:
    dataset = DATASETS[name]
    needed = dataset.image_size * dataset.resize
    assert dataset.storage_size == min(math.ceil(round(needed, 6)), dataset.original_size or 10**6)
    assert dataset.image_size >= 28


def test_s2m2s_sizes() -> None:
    sizes = {name: (dataset.image_size, dataset.storage_size) for name, dataset in DATASETS.items()}
    assert sizes["mini_imagenet"] == sizes["tiered_imagenet"] == sizes["cub"] == (80, 92)
    assert sizes["cifar_fs"] == sizes["fc100"] == (32, 32)
    assert sizes["omniglot"] == (28, 28)


def write(folder: Path, dataset: str | None, size: int, classes: int = 3, each: int = 1) -> ImageDataset:
    """A dataset of noise as `s2m2 prepare` writes one of a dataset; a third of the classes in each split."""
    numbers = range(classes)
    contents = DatasetContents(
        name=dataset or "mine",
        size=(size, size),
        labels=np.repeat(np.arange(classes, dtype=np.int64), each),
        class_names=tuple(f"class {number}" for number in numbers),
        splits={split: tuple(numbers[place::3]) for place, split in enumerate(SPLITS)},
        settings={"dataset": dataset, "side": size},
    )
    pixels = np.random.default_rng(0).integers(0, 256, (classes * each, size, size, 3), dtype=np.uint8)
    return write_dataset(folder, contents, [pixels])


@pytest.mark.parametrize("name", sorted(set(DATASETS) - {"glyphs"}))
def test_a_dataset_of_a_dataset_is_seen_at_its_size(tmp_path: Path, name: str) -> None:
    dataset = DATASETS[name]
    resolved = resolve_size(DataConfig(), write(tmp_path / "dataset", name, dataset.storage_size))
    assert (resolved.image_size, resolved.resize_ratio) == (dataset.image_size, dataset.resize)
    assert resolved.size == dataset.image_size
    assert resolved.resized_size == {80: 92, 32: 36, 28: 28}[dataset.image_size]  # S2M2's 92 to 80 and 36 to 32


@pytest.mark.parametrize(("stored", "seen"), [(28, 28), (32, 32), (64, 64), (84, 80), (92, 80), (256, 80)])
def test_own_images_are_seen_at_80_pixels_or_what_is_stored(tmp_path: Path, stored: int, seen: int) -> None:
    resolved = resolve_size(DataConfig(), write(tmp_path / "dataset", None, stored))
    assert (resolved.image_size, resolved.resize_ratio) == (seen, 1.15)


def test_glyphs_are_seen_at_the_size_that_is_agreed_on(small_glyphs: ImageDataset) -> None:
    resolved, glyphs = resolve_size(DataConfig(), small_glyphs), DATASETS["glyphs"]
    assert (resolved.image_size, resolved.resize_ratio) == (glyphs.image_size, glyphs.resize)


def test_stated_numbers_are_kept_each_by_itself(tmp_path: Path) -> None:
    dataset = write(tmp_path / "dataset", "omniglot", 28)
    assert resolve_size(DataConfig(image_size=64, resize_ratio=1.5), dataset) == DataConfig(image_size=64, resize_ratio=1.5)
    assert resolve_size(DataConfig(image_size=64), dataset) == DataConfig(image_size=64, resize_ratio=1.0)
    assert resolve_size(DataConfig(resize_ratio=1.5), dataset) == DataConfig(image_size=28, resize_ratio=1.5)


def test_sizes_that_are_not_resolved_are_no_numbers() -> None:
    with pytest.raises(ValueError, match="image_size is not resolved"):
        _ = DataConfig().size
    with pytest.raises(ValueError, match="resize_ratio is not resolved"):
        _ = DataConfig(image_size=32).resized_size


@pytest.mark.parametrize(
    ("named", "size", "says"),
    [
        ("cub", 64, "stores images of 64x64 pixels, fewer than the 80 that networks see of CUB-200-2011; prepare it with --size 92, or"),
        ("omniglot", 20, "fewer than the 28 that networks see of Omniglot; prepare it with --size 28, or give --data.image_size 28"),
        (None, 16, "fewer than the 28 that a network needs at least; prepare it with --size 28, or give --data.image_size 28"),
    ],
)
def test_a_dataset_too_small_for_the_size_is_named(tmp_path: Path, named: str | None, size: int, says: str) -> None:
    dataset = write(tmp_path / "dataset", named, size)
    with pytest.raises(InputError, match=f"--data.path datasets/one {says}|--data.path datasets/one stores .*{says}"):
        resolve_size(DataConfig(path="datasets/one"), dataset)
    assert resolve_size(DataConfig(image_size=80), dataset).image_size == 80


def run(recipe: Path, folder: Path, *flags: str) -> int:
    return main(["pretrain", str(recipe), "--run", str(folder), *flags])


def test_a_run_trains_at_the_size_of_its_dataset_and_states_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset, folder = tmp_path / "cub", tmp_path / "run"
    write(dataset, "cub", 92, classes=15, each=8)
    flags = tiny_flags(dataset, folder, pretrain__epochs="1", pretrain__batch_size="16", pretrain__validation__tasks="2")
    settings = dict(zip(flags[::2], flags[1::2], strict=True))
    del settings["--data.image_size"], settings["--run-dir"]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("data:\n  path: " + str(settings.pop("--data.path")) + "\n")
    rest = [part for setting in settings.items() for part in setting]
    assert run(recipe, folder, *rest) == 0
    data = read_recipe(folder / "recipe.yaml").data
    assert (data.image_size, data.resize_ratio) == (80, 1.15)
    assert "--data.image_size" in (folder / "report.html").read_text()
    with safe_open(folder / "checkpoints" / "pretrain" / "best.safetensors", framework="pt") as weights:
        # Four blocks of conv4 halve 80 pixels to 5; four channels are left of each.
        shapes = [weights.get_slice(name).get_shape() for name in weights.keys() if name.startswith("heads.classifier.")]  # noqa: SIM118
    assert [5, 4 * 5 * 5] in shapes
    capsys.readouterr()
    assert run(recipe, folder, *rest) == 0, "what the dataset settles is what the run states"
    assert "finished before" in capsys.readouterr().out
    assert run(recipe, folder, *rest, "--data.image_size", "32") == 2
    assert "data.image_size 80, not 32" in capsys.readouterr().err


def test_a_dataset_too_small_ends_a_run_before_anything_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "cub", "cub", 32, classes=15, each=8)
    assert main(["run", "--run", str(tmp_path / "run"), "--data.path", str(tmp_path / "cub")]) == 2
    error = capsys.readouterr().err
    assert "cub stores images of 32x32 pixels, fewer than the 80" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()
