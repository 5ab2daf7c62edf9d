"""Datasets that are too small for a recipe: one line names all that is missing, and its flags work."""

import re
from pathlib import Path

import numpy as np
import pytest

from s2m2.cli import main
from s2m2.data.catalog import ImageDatasets
from s2m2.data.dataset import ImageDataset
from s2m2.data.writing import DatasetContents, write_dataset
from s2m2.errors import InputError
from s2m2.evaluation.enough import check_sizes
from s2m2.recipe import Recipe
from s2m2.recipe.overrides import as_recipe

PARTS = ("pretrain", "finetune", "evaluate")


def small(folder: Path, classes: int, each: int) -> ImageDataset:
    splits = {"base": tuple(range(classes)), "validation": (classes, classes + 1), "novel": tuple(range(classes + 2, classes + 5))}
    labels = np.repeat(np.arange(classes + 5), each)
    contents = DatasetContents(
        name="pics",
        size=(32, 32),
        labels=labels,
        class_names=tuple(map("c{}".format, range(classes + 5))),
        splits=splits,
        settings={},
    )
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8)
    return write_dataset(folder, contents, [images])


def check(dataset: ImageDataset, recipe: Recipe) -> None:
    check_sizes(recipe, ImageDatasets(base=dataset, validation=dataset, novel=dataset), PARTS)


@pytest.mark.parametrize(("classes", "each"), [(6, 6), (20, 16), (6, 2)])
def test_all_flags_are_named_at_once_and_they_work(tmp_path: Path, classes: int, each: int) -> None:
    dataset, recipe = small(tmp_path / "dataset", classes, each), as_recipe({"data": {"path": str(tmp_path / "dataset")}})
    with pytest.raises(InputError) as caught:
        check(dataset, recipe)
    said = str(caught.value)
    assert "\n" not in said
    assert "; this works: --" in said
    flags = said.split("; this works: ")[1]
    settings = {name: [int(one) for one in values.split()] for name, values in re.findall(r"--(\S+) ([\d ]+)", flags)}
    assert "pretrain.validation.ways" in settings
    assert ("pretrain.batch_size" in settings) == (classes * each < 64)
    many = ("evaluate.ways", "evaluate.shots")
    check(dataset, as_recipe(recipe, **{name: tuple(values) if name in many else values[0] for name, values in settings.items()}))


def test_the_command_line_names_them_before_anything_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small(tmp_path / "dataset", 6, 6)
    assert main(["run", "--data.path", str(tmp_path / "dataset"), "--run", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    for flag in ("--pretrain.batch_size 32", "--finetune.validation.ways 2", "--evaluate.ways 3", "--evaluate.queries 1"):
        assert flag in said
    assert "pics has 36 base images, fewer than the 64 of --pretrain.batch_size" in said
    assert not (tmp_path / "run").exists()


def test_what_no_flag_mends_is_said(tmp_path: Path) -> None:
    dataset = small(tmp_path / "dataset", 70, 1)
    with pytest.raises(InputError, match=r"these help in part: .*; prepare the dataset with other --splits, or leave .* by --min_images"):
        check(dataset, as_recipe({"data": {"path": str(tmp_path / "dataset")}}))
