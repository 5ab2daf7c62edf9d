"""Image size and resize by dataset, alone and in a run from the command line."""

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from s2m2.cli import main
from s2m2.data.dataset import SPLITS, ImageDataset
from s2m2.data.datasets import DATASETS
from s2m2.data.sizes import settle_size
from s2m2.data.writing import DatasetContents, write_dataset
from s2m2.errors import InputError
from s2m2.recipe import DataConfig, read_recipe
from tests.integration.tiny import tiny_flags


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
def test_a_table_of_a_data_set_is_seen_at_its_size(tmp_path: Path, name: str) -> None:
    dataset = DATASETS[name]
    settled = settle_size(DataConfig(), write(tmp_path / "dataset", name, dataset.storage_size))
    assert (settled.image_size, settled.resize) == (dataset.image_size, dataset.resize)
    assert settled.size == dataset.image_size
    assert settled.resized_size == {80: 92, 32: 36, 28: 28}[dataset.image_size]  # S2M2's 92 to 80 and 36 to 32


@pytest.mark.parametrize(("stored", "seen"), [(28, 28), (32, 32), (64, 64), (84, 80), (92, 80), (256, 80)])
def test_own_images_are_seen_at_80_pixels_or_what_is_stored(tmp_path: Path, stored: int, seen: int) -> None:
    settled = settle_size(DataConfig(), write(tmp_path / "dataset", None, stored))
    assert (settled.image_size, settled.resize) == (seen, 1.15)


def test_glyphs_are_seen_at_the_size_that_is_agreed_on(small_glyphs: ImageDataset) -> None:
    settled, glyphs = settle_size(DataConfig(), small_glyphs), DATASETS["glyphs"]
    assert (settled.image_size, settled.resize) == (glyphs.image_size, glyphs.resize)


def test_stated_numbers_are_kept_each_by_itself(tmp_path: Path) -> None:
    dataset = write(tmp_path / "dataset", "omniglot", 28)
    assert settle_size(DataConfig(image_size=64, resize_ratio=1.5), dataset) == DataConfig(image_size=64, resize_ratio=1.5)
    assert settle_size(DataConfig(image_size=64), dataset) == DataConfig(image_size=64, resize_ratio=1.0)
    assert settle_size(DataConfig(resize_ratio=1.5), dataset) == DataConfig(image_size=28, resize_ratio=1.5)


def test_sizes_that_are_not_settled_are_no_numbers() -> None:
    with pytest.raises(ValueError, match="image_size is not settled"):
        _ = DataConfig().side
    with pytest.raises(ValueError, match="resize is not settled"):
        _ = DataConfig(image_size=32).resized_size


@pytest.mark.parametrize(
    ("dataset", "side", "says"),
    [
        ("cub", 64, "stores images of 64x64 pixels, fewer than the 80 that networks see of CUB-200-2011; prepare it with --size 92, or"),
        ("omniglot", 20, "fewer than the 28 that networks see of Omniglot; prepare it with --size 28, or give --data.image_size 28"),
        (None, 16, "fewer than the 28 that a network needs at least; prepare it with --size 28, or give --data.image_size 28"),
    ],
)
def test_a_table_too_small_for_the_size_is_named(tmp_path: Path, named: str | None, size: int, says: str) -> None:
    dataset = write(tmp_path / "dataset", named, size)
    with pytest.raises(InputError, match=f"--data.path datasets/one {says}|--data.path datasets/one stores .*{says}"):
        settle_size(DataConfig(path="datasets/one"), dataset)
    assert settle_size(DataConfig(image_size=80), dataset).image_size == 80


def run(recipe: Path, folder: Path, *flags: str) -> int:
    return main(["pretrain", str(recipe), "--run", str(folder), *flags])


def test_a_run_trains_at_the_size_of_its_data_set_and_states_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset, folder = tmp_path / "cub", tmp_path / "run"
    write(dataset, "cub", 92, classes=15, each=8)
    flags = tiny_flags(dataset, folder, pretrain__epochs="1", pretrain__batch_size="16", pretrain__validation__tasks="2")
    settings = dict(zip(flags[::2], flags[1::2], strict=True))
    del settings["--data.image_size"], settings["--run-dir"]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("data:\n  dataset: " + str(settings.pop("--data.path")) + "\n")
    rest = [part for setting in settings.items() for part in setting]
    assert run(recipe, folder, *rest) == 0
    kept = read_recipe(folder / "recipe.yaml").data
    assert (kept.image_size, kept.resize) == (80, 1.15)
    assert "--data.image_size" in (folder / "report.html").read_text()
    with safe_open(folder / "checkpoints" / "pretrain" / "best.safetensors", framework="pt") as weights:
        # Four blocks of conv4 halve 80 pixels to 5; four channels are left of each.
        shapes = [weights.get_slice(name).get_shape() for name in weights.keys() if "class_head" in name]  # noqa: SIM118
    assert [5, 4 * 5 * 5] in shapes
    capsys.readouterr()
    assert run(recipe, folder, *rest) == 0, "what the dataset settles is what the run states"
    assert "finished before" in capsys.readouterr().out
    assert run(recipe, folder, *rest, "--data.image_size", "32") == 2
    assert "data.image_size 80, not 32" in capsys.readouterr().err


def test_a_table_too_small_ends_a_run_before_anything_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "cub", "cub", 32, classes=15, each=8)
    assert main(["run", "--run", str(tmp_path / "run"), "--data.path", str(tmp_path / "cub")]) == 2
    error = capsys.readouterr().err
    assert "cub stores images of 32x32 pixels, fewer than the 80" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()
