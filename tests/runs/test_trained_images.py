"""A run keeps to the images that it is trained on, by their content: others are refused, and the same ones may move."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from s2m2.cli import main
from s2m2.data.catalog import ImageDatasets
from s2m2.data.dataset import ImageDataset, open_dataset
from s2m2.data.writing import DatasetContents, write_dataset, writing_dataset
from s2m2.errors import InputError
from s2m2.evaluation.seen_images import seen_images, warning_of_seen
from s2m2.recipe import DataConfig, read_recipe
from s2m2.runs.directory import RunDirectory
from s2m2.runs.trained_images import changes, check_images, describe, trained_digest
from tests.integration.tiny import SCORED_BRIEFLY, tiny_flags, without_report


def dataset_of(folder: Path, names: list[str], splits: dict[str, tuple[int, ...]], seed: int = 0, each: int = 20) -> ImageDataset:
    """A dataset of noise; images of a class are a function of its name and the seed."""
    labels = np.repeat(np.arange(len(names), dtype=np.int64), each)
    images = [np.random.default_rng([seed, *name.encode()]).integers(0, 256, (each, 28, 28, 3), dtype=np.uint8) for name in names]
    contents = DatasetContents(name="noise", size=(28, 28), labels=labels, class_names=tuple(names), splits=splits, settings={})  # type: ignore[arg-type]
    return write_dataset(folder, contents, images, overwrite=True)


NAMES = [f"k{number:02d}" for number in range(22)]
SPLITS = {"base": tuple(range(10)), "validation": tuple(range(10, 15)), "novel": tuple(range(15, 22))}


def flags(dataset: Path, run: Path) -> list[str]:
    changed = {"pretrain__epochs": "1", "finetune__epochs": "1", "pretrain__validation__ways": "2", "finetune__validation__ways": "2"}
    return tiny_flags(dataset, run, **changed, **SCORED_BRIEFLY, evaluate__ways="2", evaluate__open_set_classes="0")


@pytest.fixture
def trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> RunDirectory:
    dataset_of(tmp_path / "data", NAMES, SPLITS)
    with without_report():
        assert main(["pretrain", *flags(tmp_path / "data", tmp_path / "run")]) == 0
    capsys.readouterr()
    return RunDirectory(tmp_path / "run")


def files_of(run: RunDirectory) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


def test_another_dataset_under_the_same_path_is_refused_with_both_digests_and_what_changed(
    trained: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, old = files_of(trained), open_dataset(tmp_path / "data").digest
    names = ["apple", *NAMES]
    new = dataset_of(tmp_path / "data", names, SPLITS)
    for command in ("pretrain", "finetune", "evaluate", "run", "analyze"):
        assert main([command, *flags(tmp_path / "data", trained.path)]) == 2
        message = capsys.readouterr().err
        assert f"digest {new.digest[:16]}, not {old[:16]}" in message
        assert "new classes: apple" in message
        assert "from base to validation: k09" in message
        assert message.count("\n") == 1
    assert files_of(trained) == before


def squeezed(folder: Path) -> ImageDataset:
    """The images of the tests, which were not squares before."""
    plain = dataset_of(folder, NAMES, SPLITS)
    contents = DatasetContents(
        name="noise", size=(28, 28), labels=plain.labels, class_names=plain.class_names, splits=plain.splits, settings={}
    )
    with writing_dataset(folder, contents, overwrite=True) as writer:
        writer.append(plain.images.copy(), np.linspace(0.5, 2, len(plain.labels), dtype=np.float32))
        return writer.finish()


def test_what_squares_were_squeezed_from_matters_in_the_middle_of_a_stage_and_nowhere_else(
    trained: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = squeezed(tmp_path / "again")
    assert dataset.digest == open_dataset(tmp_path / "data").digest
    with without_report():
        assert main(["pretrain", *flags(tmp_path / "again", trained.path)]) == 0
    outcome = trained.outcome("pretrain")
    outcome.rename(tmp_path / "outcome")
    before = files_of(trained)
    capsys.readouterr()
    assert main(["pretrain", *flags(tmp_path / "again", trained.path)]) == 2
    assert "again, of equal images, has some of what its squares were squeezed from" in capsys.readouterr().err
    assert files_of(trained) == before
    assert main(["pretrain", *flags(tmp_path / "data", trained.path)]) == 0


def test_the_same_dataset_under_another_path_is_taken_and_found_there_from_then_on(trained: RunDirectory, tmp_path: Path) -> None:
    shutil.move(tmp_path / "data", tmp_path / "moved")
    with without_report():
        assert main(["run", *flags(tmp_path / "moved", trained.path)]) == 0
    assert read_recipe(trained.recipe).data.path == str(tmp_path / "moved")
    with without_report():
        assert main(["evaluate", "--run", str(trained.path)]) == 0


def test_an_ensemble_takes_members_of_the_same_images_only(
    trained: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained.path, tmp_path / "member")
    both = ["--evaluate.features", "pretrain", "--evaluate.ensemble", str(tmp_path / "member")]
    with without_report():
        assert main(["evaluate", *flags(tmp_path / "data", trained.path), *both]) == 0
    member = RunDirectory(tmp_path / "member")
    content = json.loads(member.trained_images.read_text())
    content["base"]["digest"] = "0" * 64
    del content["checksum"]
    member.trained_images.write_text(json.dumps(content))
    capsys.readouterr()
    assert main(["evaluate", *flags(tmp_path / "data", trained.path), *both]) == 2
    assert f"digest {'0' * 16}, not {trained_digest(trained) or '':.16}" in capsys.readouterr().err


def test_a_run_that_does_not_know_its_images_learns_them_and_says_so(
    trained: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained.trained_images.unlink()
    with without_report():
        assert main(["run", *flags(tmp_path / "data", trained.path)]) == 0
    assert "does not say what it is trained on" in capsys.readouterr().out
    assert trained_digest(trained) == open_dataset(tmp_path / "data").digest


def test_a_damaged_record_of_the_images_is_refused(trained: RunDirectory, tmp_path: Path) -> None:
    dataset = open_dataset(tmp_path / "data")
    datasets = ImageDatasets(base=dataset, validation=dataset, novel=dataset)
    content = trained.trained_images.read_text()
    trained.trained_images.write_text(content.replace(dataset.digest[:8], "00000000", 1))
    with pytest.raises(InputError, match=r"trained_images\.json.* is damaged"):
        check_images(DataConfig(path="data"), datasets, trained)


def test_other_pixels_and_other_numbers_of_images_are_told_apart(tmp_path: Path) -> None:
    one = dataset_of(tmp_path / "one", NAMES, SPLITS)
    assert list(changes(describe(one), dataset_of(tmp_path / "two", NAMES, SPLITS, seed=1))) == [
        "equal classes and numbers of images, but other pixels or another preparation"
    ]
    fewer = list(changes(describe(one), dataset_of(tmp_path / "three", NAMES, SPLITS, each=19)))
    assert len(fewer) == 1
    assert fewer[0].startswith("other numbers of images: k00 (20 to 19 images), k01")


def test_novel_images_that_were_trained_on_are_named(trained: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["a", "b", "k03", "k07"]
    everything = dataset_of(tmp_path / "all", names, {"base": (), "validation": (), "novel": (0, 1, 2, 3)})
    base = open_dataset(tmp_path / "data")
    assert seen_images(base, everything, "novel").tolist() == list(range(40, 80))
    flagged = [*flags(tmp_path / "data", trained.path), "--evaluate.features", "pretrain", "--evaluate.novel_dataset"]
    assert main(["evaluate", *flagged, str(tmp_path / "all")]) == 0
    warning = "40 of 80 images of noise were trained on, so scores on them are not of new classes: classes k03, k07; images 40, 41"
    assert warning in capsys.readouterr().out
    page = trained.report.read_text()
    assert warning in page
    assert "used neither for training" not in page
    assert main(["export", str(trained.path), "--output", str(tmp_path / "export")]) == 0
    card = (tmp_path / "export" / "README.md").read_text()
    assert "40 of 80 images of noise were trained on" in card
    assert "used neither for training" not in card


def test_other_images_of_equal_classes_are_no_cause_for_a_warning(tmp_path: Path) -> None:
    base = dataset_of(tmp_path / "one", NAMES, SPLITS)
    other = dataset_of(tmp_path / "two", NAMES, SPLITS, seed=1)
    assert warning_of_seen(ImageDatasets(base=base, validation=base, novel=other), "novel") == ""
    assert warning_of_seen(ImageDatasets(base=base, validation=base, novel=base), "novel") == ""
    smaller = replace(base, images=np.ascontiguousarray(base.images[:, :27]), digest="other")
    assert len(seen_images(base, smaller, "novel")) == 0
    queries = ImageDatasets(base=base, validation=base, novel=other, queries=replace(base, digest="copy"))
    assert warning_of_seen(queries, "novel").startswith("200 of 440 query images of noise were trained on")
    assert torch.is_tensor(base.image_tensor())
