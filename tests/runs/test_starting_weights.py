"""Weights that one has are fine-tuned on other classes: heads that do not fit start anew, and nothing is written before all is checked."""

import json
from pathlib import Path

import pytest
import torch

from s2m2.cli import main
from s2m2.recipe import read_recipe
from s2m2.runs.checkpoint import read_tensors
from s2m2.runs.directory import RunDirectory
from tests.integration.tiny import without_report
from tests.runs.test_importing import WIDTH, released
from tests.runs.test_trained_images import NAMES, SPLITS, dataset_of, files_of, flags


@pytest.fixture
def start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> RunDirectory:
    """An export of stage 1 on ten classes."""
    dataset_of(tmp_path / "data", NAMES, SPLITS)
    with without_report():
        assert main(["pretrain", *flags(tmp_path / "data", tmp_path / "run")]) == 0
    assert main(["export", str(tmp_path / "run"), "--output", str(tmp_path / "export")]) == 0
    capsys.readouterr()
    return RunDirectory(tmp_path / "export")


def finetune(run: RunDirectory, dataset: Path) -> int:
    with without_report():
        return main(["finetune", *flags(dataset, run.path)])


def backbone_after(run: RunDirectory, stage: str) -> dict[str, torch.Tensor]:
    return {name: value for name, value in read_tensors(run.best(stage))[0].items() if name.startswith("backbone.")}


def test_another_number_of_classes_gets_a_new_classifier_and_keeps_the_rest(
    start: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fewer = {"base": tuple(range(7)), "validation": tuple(range(10, 15)), "novel": tuple(range(15, 22))}
    dataset_of(tmp_path / "other", [f"x{name}" for name in NAMES], fewer)
    assert finetune(start, tmp_path / "other") == 0
    assert "finetune: the classifier head starts anew, as that of the weights has 10 outputs, not 7" in capsys.readouterr().out
    tensors, _ = read_tensors(start.best("finetune"))
    assert len(tensors["heads.classifier.norm"]) == 7
    before, _ = read_tensors(start.best("pretrain"))
    assert json.loads(start.outcome("finetune").read_text())["best_epoch"] in (0, 1)
    if json.loads(start.outcome("finetune").read_text())["best_epoch"] == 0:
        assert torch.equal(tensors["heads.rotation.weight"], before["heads.rotation.weight"])
        assert all(torch.equal(value, before[name]) for name, value in backbone_after(start, "finetune").items())


def test_settings_of_training_are_free_until_it_begins_here(
    start: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = [*flags(tmp_path / "data", start.path), "--seed", "5", "--finetune.validation.shots", "2", "--finetune.epochs"]
    with without_report():
        assert main(["finetune", *changed, "1", "--model.width", "8"]) == 2
        error = capsys.readouterr().err
        assert "does not hold weights of this network (size mismatch for " in error
        assert error.count("\n") == 1
        assert main(["finetune", *changed, "1"]) == 0
        assert (read_recipe(start.recipe).seed, read_recipe(start.recipe).finetune.validation.shots) == (5, 2)
        assert main(["finetune", *changed, "2"]) == 2
    assert "finetune.epochs 1, not 2" in capsys.readouterr().err


def test_the_same_number_of_other_classes_gets_a_new_classifier_too(
    start: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset_of(tmp_path / "other", [f"x{name}" for name in NAMES], SPLITS)
    assert finetune(start, tmp_path / "other") == 0
    assert "the classifier head starts anew, as that of the weights is of other classes" in capsys.readouterr().out


def test_the_same_classes_keep_their_classifier(start: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert finetune(start, tmp_path / "data") == 0
    assert "anew" not in capsys.readouterr().out


def test_a_run_of_ones_own_goes_on_with_other_images_once_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset_of(tmp_path / "data", NAMES, SPLITS)
    dataset_of(tmp_path / "other", [f"x{name}" for name in NAMES], SPLITS, seed=1)
    with without_report():
        assert main(["run", *flags(tmp_path / "data", tmp_path / "run")]) == 0
    before = files_of(RunDirectory(tmp_path / "run"))
    assert finetune(RunDirectory(tmp_path / "run"), tmp_path / "other") == 2
    assert "after `s2m2 import`" in capsys.readouterr().err
    assert files_of(RunDirectory(tmp_path / "run")) == before
    made = RunDirectory(tmp_path / "start")
    assert main(["import", str(tmp_path / "run"), "--stage", "pretrain", "--output", str(made.path)]) == 0
    last, of_run = read_tensors(made.best("pretrain"))[0], read_tensors(RunDirectory(tmp_path / "run").best("finetune"))[0]
    assert all(torch.equal(value, of_run[name]) for name, value in last.items())
    assert finetune(made, tmp_path / "other") == 0
    assert "starts anew, as that of the weights is of other classes" in capsys.readouterr().out


def test_weights_of_stage_2_say_how_they_become_a_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    released(tmp_path / "71.tar")
    assert main(["import", str(tmp_path / "71.tar"), "--output", str(tmp_path / "run"), "--image_size", "32"]) == 0
    dataset_of(tmp_path / "data", NAMES, SPLITS)
    assert main(["finetune", "--run", str(tmp_path / "run"), "--data.path", str(tmp_path / "data")]) == 2
    assert f"`s2m2 import {tmp_path / 'run'} --stage pretrain --output START`" in capsys.readouterr().err


def test_a_refused_start_changes_nothing(start: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset_of(tmp_path / "other", [f"x{name}" for name in NAMES], SPLITS)
    best = start.best("pretrain")
    content = bytearray(best.read_bytes())
    content[-1] ^= 1
    best.write_bytes(content)
    before = files_of(start)
    assert finetune(start, tmp_path / "other") == 2
    assert "is damaged" in capsys.readouterr().err
    assert files_of(start) == before


@pytest.mark.parametrize("wrap", [None, "state_dict", "model"])
def test_a_plain_state_dict_is_read(tmp_path: Path, wrap: str | None) -> None:
    state = torch.load(released(tmp_path / "71.tar"), weights_only=True)["state"]
    torch.save({wrap: state} if wrap else state, tmp_path / "plain.pt")
    assert main(["import", str(tmp_path / "plain.pt"), "--output", str(tmp_path / "run"), "--image_size", "32"]) == 0
    assert read_recipe(tmp_path / "run" / "recipe.yaml").model.width == WIDTH


def test_a_softmax_layer_becomes_a_linear_head(tmp_path: Path) -> None:
    state = torch.load(released(tmp_path / "71.tar", outputs=None), weights_only=True)["state"]
    layer = {"module.linear.weight": torch.randn(64, 4 * WIDTH), "module.linear.bias": torch.randn(64)}
    torch.save({"epoch": 11, "state": {**state, **layer}}, tmp_path / "cifar.tar")
    run = RunDirectory(tmp_path / "run")
    assert main(["import", str(tmp_path / "cifar.tar"), "--output", str(run.path), "--image_size", "32"]) == 0
    assert read_recipe(run.recipe).model.head == "linear"
    assert torch.equal(read_tensors(run.best("finetune"))[0]["heads.classifier.weight"], layer["module.linear.weight"])


def test_a_failed_import_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("s2m2.runs.importing.save_outcome", full)
    source = released(tmp_path / "71.tar")
    assert main(["import", str(source), "--output", str(tmp_path / "folder" / "run"), "--image_size", "32"]) == 2
    assert "cannot be written: No space left on device" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["71.tar"]


def test_a_flipped_bit_in_a_released_file_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = released(tmp_path / "71.tar")
    content = bytearray(source.read_bytes())
    weight = torch.load(source, weights_only=True)["state"]["module.conv1.weight"]
    content[content.index(weight.numpy().tobytes())] ^= 1
    source.write_bytes(content)
    assert main(["import", str(source), "--output", str(tmp_path / "run"), "--image_size", "32"]) == 2
    assert "damaged" in capsys.readouterr().err
