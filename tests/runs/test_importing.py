"""`s2m2 import`: a released file becomes a run or a feature file that `s2m2 evaluate` scores."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from s2m2.cli import main
from s2m2.evaluation.feature_files import read_feature_file
from s2m2.random import generator_for
from s2m2.recipe import read_recipe
from s2m2.runs.directory import RunDirectory
from s2m2.runs.loading import read_backbone
from tests.reference.wide_resnet import released_network

WIDTH = 4


def released(path: Path, outputs: int | None = 200, prefix: str = "module.", **more: Any) -> Path:
    state = {f"{prefix}{name}": value for name, value in released_network(WIDTH, outputs).state_dict().items()}
    torch.save({"epoch": 71, "state": state, **more}, path)
    return path


def run_of(tmp_path: Path, *flags: str, **more: Any) -> RunDirectory:
    source = released(tmp_path / "71.tar", **more)
    assert main(["import", str(source), "--output", str(tmp_path / "run"), "--image_size", "32", *flags]) == 0
    return RunDirectory(tmp_path / "run")


@pytest.mark.parametrize("stage", ["finetune", "pretrain"])
def test_the_run_of_a_checkpoint_has_the_authors_features(tmp_path: Path, stage: str) -> None:
    run = run_of(tmp_path, "--stage", stage)
    backbone = read_backbone(read_recipe(run.recipe), run, stage).eval()
    images = torch.randn(2, 3, 32, 32, generator=generator_for(0, "images"))
    torch.testing.assert_close(backbone(images), released_network(WIDTH, 200)(images), rtol=1e-5, atol=1e-5)


def test_a_run_says_where_it_came_from_and_keeps_its_heads(tmp_path: Path) -> None:
    rotate = {"0.weight": torch.zeros(4, 4 * WIDTH), "0.bias": torch.zeros(4)}
    run = run_of(tmp_path, outputs=351, rotate=rotate)
    facts = json.loads(run.imported.read_text())
    assert (facts["source"], facts["epoch"], facts["outputs"], facts["stage"]) == ("71.tar", 71, 351, "finetune")
    model = read_recipe(run.recipe).model
    assert (model.backbone, model.width, model.scale) == ("wrn28_10", WIDTH, 10.0)
    with safe_open(run.best("finetune"), framework="pt") as stored:
        heads = {name for name in stored.keys() if name.startswith("heads.")}  # noqa: SIM118 (not a mapping)
    assert heads == {"heads.classifier.direction", "heads.classifier.norm", "heads.rotation.weight", "heads.rotation.bias"}


def test_an_imported_run_is_scored_on_images_that_are_named_later(tmp_path: Path, glyph_folder: Path) -> None:
    run = run_of(tmp_path, outputs=None)
    flags = ["--evaluate.tasks", "5", "--evaluate.queries", "2", "--evaluate.shots", "1", "--runtime.accelerator", "cpu"]
    flags += ["--evaluate.classifiers", "nearest_mean", "--evaluate.details", "false"]
    assert main(["evaluate", "--run", str(run.path), "--data.path", str(glyph_folder), *flags]) == 0
    assert [path.name.split("-")[1] for path in run.results.glob("*.json")] == ["finetune"]
    assert read_recipe(run.recipe).data.path == str(glyph_folder)
    assert "imported from 71.tar" in run.report.read_text()


def test_a_scored_run_of_ones_own_still_keeps_its_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(tmp_path)
    assert main(["evaluate", "--run", str(run.path), "--model.width", "8", "--runtime.accelerator", "cpu"]) == 2
    assert "model.width" in capsys.readouterr().err


class Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("modern", [True, False])
def test_a_checkpoint_that_would_run_something_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], modern: bool) -> None:
    content = {"epoch": 1, "state": {}, "more": Hostile(tmp_path / "ran")}
    torch.save(content, tmp_path / "bad.tar", _use_new_zipfile_serialization=modern)
    assert main(["import", str(tmp_path / "bad.tar"), "--output", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert "is refused" in error
    assert "system" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "run").exists()


def test_an_old_torch_file_is_told_from_a_pickle(tmp_path: Path) -> None:
    state = released_network(WIDTH).state_dict()
    torch.save({"epoch": 1, "state": state}, tmp_path / "old.tar", _use_new_zipfile_serialization=False)
    assert main(["import", str(tmp_path / "old.tar"), "--output", str(tmp_path / "run")]) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 1}, "has epoch, but no tensors by their names, nor a dict under state or state_dict"),
        ([1], "holds a list, but must hold the tensors of a network by their names"),
        ({"epoch": "x", "state": {}}, "epoch"),
        ({"epoch": 1, "state": {}, "rotate": 3}, "rotate"),
        ({"epoch": 1, "state": {"conv1.weight": torch.zeros(1)}}, "lacks block1"),
        ({"epoch": 1, "state": {"conv1.weight": 3}}, "no tensor with a name"),
    ],
)
def test_a_checkpoint_of_another_form_is_one_line_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: object, message: str
) -> None:
    torch.save(content, tmp_path / "bad.tar")
    assert main(["import", str(tmp_path / "bad.tar"), "--output", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "bad.tar" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_weights_that_are_not_finite_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = released_network(WIDTH).state_dict()
    state["bn1.bias"][2] = float("nan")
    torch.save({"epoch": 1, "state": state}, tmp_path / "bad.tar")
    assert main(["import", str(tmp_path / "bad.tar"), "--output", str(tmp_path / "run")]) == 2
    assert "bn1.bias that are not finite" in capsys.readouterr().err


def test_a_file_cut_short_is_said_to_be_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = released(tmp_path / "71.tar")
    path.write_bytes(path.read_bytes()[:5000])
    assert main(["import", str(path), "--output", str(tmp_path / "run")]) == 2
    assert "damaged or cut short" in capsys.readouterr().err


def test_nothing_that_is_there_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").touch()
    assert main(["import", str(released(tmp_path / "71.tar")), "--output", str(tmp_path / "run")]) == 2
    (tmp_path / "f.npz").touch()
    assert main(["import", str(features(tmp_path)), "--output", str(tmp_path / "f.npz")]) == 2
    assert capsys.readouterr().err.count("is there already") == 2
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["mine"]


def features(folder: Path) -> Path:
    values = np.random.default_rng(0).normal(size=(6, 10, 4)).astype(np.float32)
    path = folder / "novel_features.plk"
    path.write_bytes(pickle.dumps({label: list(values[label - 80]) for label in range(80, 86)}))
    return path


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_imported_features_are_scored(tmp_path: Path, ending: str) -> None:
    output = tmp_path / f"novel{ending}"
    assert main(["import", str(features(tmp_path)), "--output", str(output)]) == 0
    assert read_feature_file(output).class_names == tuple(map(str, range(80, 86)))
    flags = ["--evaluate.tasks", "5", "--evaluate.queries", "2", "--evaluate.classifiers", "nearest_mean", "--runtime.accelerator", "cpu"]
    flags += ["--evaluate.details", "false"]
    assert main(["evaluate", "--features", str(output), "--output", str(tmp_path / "results"), *flags]) == 0
    assert len(list((tmp_path / "results" / "results").glob("*.json"))) == 2


def test_features_need_a_name_that_says_their_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(features(tmp_path)), "--output", str(tmp_path / "novel")]) == 2
    assert "--output" in capsys.readouterr().err
