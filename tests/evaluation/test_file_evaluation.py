"""`s2m2 evaluate --features`: scores of arrays, without a run, and wrong input as one line."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2m2.cli import main
from s2m2.evaluation.feature_files import read_feature_file, write_feature_file

FLAGS = ["--evaluate.tasks", "20", "--evaluate.queries", "3", "--evaluate.shots", "1", "--evaluate.classifiers", "nearest_mean"]
FLAGS += ["--evaluate.details", "false", "--runtime.accelerator", "cpu"]


@pytest.fixture
def apart(tmp_path: Path) -> Path:
    """Six classes that nobody could confuse."""
    labels = np.repeat(np.arange(6), 8)
    np.savez(tmp_path / "apart.npz", features=np.eye(6)[labels] + np.random.default_rng(0).normal(0, 0.01, (48, 6)), labels=labels)
    return tmp_path / "apart.npz"


def test_results_go_into_a_directory_named_after_the_file(apart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(apart.parent)
    assert main(["evaluate", "--features", apart.name, *FLAGS]) == 0
    (path,) = (apart.parent / "apart-results" / "results").glob("*.json")
    results = json.loads(path.read_text())
    assert (results["mean"], results["dataset"], results["tasks"], results["ways"]) == (1.0, "apart", 20, 5)
    assert not (apart.parent / "runs").exists()
    (row,) = csv.DictReader((apart.parent / "apart-results" / "scores.csv").read_text(encoding="utf-8").splitlines())
    assert (row["dataset"], row["features"], row["classifier"], float(row["accuracy"])) == ("apart", "file", "nearest_mean", 1.0)
    assert "| 5-way 1-shot | nearest_mean | 100.00 (0.00) |" in (apart.parent / "apart-results" / "scores.md").read_text(encoding="utf-8")


def test_settings_may_come_from_a_recipe(apart: Path) -> None:
    (apart.parent / "recipe.yaml").write_text("evaluate: {ways: [3]}\n")
    arguments = ["evaluate", str(apart.parent / "recipe.yaml"), "--features", str(apart), "--output", str(apart.parent / "r"), *FLAGS]
    assert main(arguments) == 0
    (path,) = (apart.parent / "r" / "results").glob("*.json")
    assert json.loads(path.read_text())["ways"] == 3


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--run", "runs/x"], "--run or --features"),
        (["--evaluate.ways", "7"], "a 7-way task"),
        (["--evaluate.queries", "8"], "apart.npz"),
        (["--evaluate.support_crops", "2"], "--evaluate.support_crops"),
        (["--evaluate.ensemble", "runs/x"], "--evaluate.ensemble"),
        (["--evaluate.query_dataset", "datasets/x"], "--evaluate.query_dataset"),
        (["--evaluate.tasks_from", "none.npz"], "no file of tasks none.npz"),
        (["--base-features", "none.npz"], "no feature file none.npz"),
        (["--evaluate.classifiers", "nearest_mean", "laplacian_shot"], "--base_features"),
        (["--evaluate.classifiers", "nearest_mean", "calibrated"], "--base_features"),
        (["--evaluate.transforms", "center_base"], "--base_features"),
        (["--output", "apart.npz"], "--output apart.npz needs the directory"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(
    apart: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    monkeypatch.chdir(apart.parent)
    assert main(["evaluate", "--features", "apart.npz", *FLAGS, *flags]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [entry.name for entry in apart.parent.iterdir()] == ["apart.npz"]


def save(path: Path, classes: int, seed: int, dim: int = 6, first: int = 0) -> str:
    """Positive features of classes that overlap."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), 8)
    features = np.eye(dim)[labels % dim] + generator.uniform(0, 1.5, (len(labels), dim))
    np.savez(path, features=features, labels=labels + first)
    return str(path)


def evaluate(features: str, output: Path, *flags: str) -> dict[str, dict[str, Any]]:
    """Results by classifier."""
    assert main(["evaluate", "--features", features, "--output", str(output), *FLAGS, *flags]) == 0
    results = [json.loads(path.read_text()) for path in (output / "results").glob("*.json")]
    return {result["classifier"]: result for result in results}


def test_classifiers_and_transforms_use_base_features(tmp_path: Path) -> None:
    novel, base = save(tmp_path / "novel.npz", 6, 0), save(tmp_path / "base.npz", 8, 1)
    classifiers = ["--evaluate.classifiers", "nearest_mean", "calibrated", "laplacian_shot"]
    results = evaluate(novel, tmp_path / "classifiers", "--base-features", base, *classifiers)
    base_fingerprint = read_feature_file(Path(base)).fingerprint
    assert {classifier: result["base_fingerprint"] for classifier, result in results.items()} == {
        "nearest_mean": "",
        "calibrated": base_fingerprint,
        "laplacian_shot": base_fingerprint,
    }
    transformed = evaluate(novel, tmp_path / "transforms", "--base-features", base, "--evaluate.transforms", "cl2n")
    assert transformed["nearest_mean"]["base_fingerprint"] == base_fingerprint


def test_temperature_and_open_set_classes_are_chosen_on_validation_features(tmp_path: Path) -> None:
    novel, validation = save(tmp_path / "novel.npz", 8, 0), save(tmp_path / "validation.npz", 8, 1)
    flags = ["--evaluate.details", "true", "--evaluate.open_set_classes", "2", "--evaluate.selection_tasks", "10"]
    without = evaluate(novel, tmp_path / "without", *flags)["nearest_mean"]
    assert (without["details"]["calibration"]["temperature"], without["details"]["open_set"]) == (None, None)
    with_validation = evaluate(novel, tmp_path / "with", "--validation-features", validation, *flags)["nearest_mean"]
    assert with_validation["details"]["calibration"]["temperature"] > 0
    assert with_validation["details"]["open_set"] is not None
    assert with_validation["per_task"] == without["per_task"]


@pytest.mark.parametrize("flag", ["--base-features", "--validation-features"])
def test_features_of_another_length_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str) -> None:
    novel, other = save(tmp_path / "novel.npz", 6, 0), save(tmp_path / "other.npz", 6, 0, dim=5)
    assert main(["evaluate", "--features", novel, "--output", str(tmp_path / "r"), flag, other, *FLAGS]) == 2
    error = capsys.readouterr().err
    assert f"{flag} {other} has 5 numbers a row, but --features {novel} has 6" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("flag", ["--base-features", "--validation-features"])
@pytest.mark.parametrize("other", ["apart.npz", "copy.npz", "copy.safetensors"])
def test_features_of_the_tasks_own_classes_are_no_others(
    apart: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flag: str, other: str
) -> None:
    monkeypatch.chdir(apart.parent)
    if other != apart.name:
        write_feature_file(apart.parent / other, read_feature_file(apart))
    assert main(["evaluate", "--features", apart.name, flag, other, *FLAGS]) == 2
    error = capsys.readouterr().err
    assert f"{flag} {other} and --features {apart.name} hold the same features" in error
    assert error.count("\n") == 1
    assert not (apart.parent / "apart-results").exists()


def test_features_of_two_networks_are_compared_on_the_same_tasks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names of files have no say; labels and class names do."""
    one, two = save(tmp_path / "one.npz", 6, 0), save(tmp_path / "two.npz", 6, 1, dim=7)
    (tmp_path / "other").mkdir()
    other = save(tmp_path / "other" / "one.npz", 6, 0, first=10)
    classifiers = ["--evaluate.classifiers", "nearest_mean", "cosine_centroid"]
    outputs = [tmp_path / name for name in ("a", "b", "c")]
    results = [
        evaluate(features, output, *classifiers)["nearest_mean"] for features, output in zip((one, two, other), outputs, strict=True)
    ]
    first, second, third = (str(output) for output in outputs)
    assert main(["compare", first, second, "--output", str(tmp_path / "dataset.csv")]) == 0
    rows = {row["a_classifier"]: row for row in csv.DictReader((tmp_path / "dataset.csv").read_text(encoding="utf-8").splitlines())}
    gain = np.mean(results[1]["per_task"]) - np.mean(results[0]["per_task"])
    assert float(rows["nearest_mean"]["difference"]) == pytest.approx(gain)
    assert main(["compare", first, "--classifiers", "nearest_mean", "cosine_centroid"]) == 0
    capsys.readouterr()
    assert main(["compare", first, third]) == 2
    assert "the closest differ in data digest" in capsys.readouterr().err


def test_saved_tasks_replace_sampled_ones(tmp_path: Path) -> None:
    """Sampled tasks of these settings would need more classes than there are."""
    novel = save(tmp_path / "novel.npz", 6, 0)
    sampled = evaluate(novel, tmp_path / "sampled", "--evaluate.save_tasks", str(tmp_path / "tasks"))["nearest_mean"]
    (file,) = (tmp_path / "tasks").iterdir()
    saved = evaluate(novel, tmp_path / "saved", "--evaluate.tasks_from", str(file), "--evaluate.ways", "20")["nearest_mean"]
    assert saved["per_task"] == sampled["per_task"]
    assert (saved["ways"], len(saved["tasks_digest"])) == (5, 64)


@pytest.mark.parametrize(
    "arguments",
    [["evaluate", "--features"], ["evaluate", "--output", "x"], ["evaluate", "--base-features", "x.npz"], ["run", "--features", "x.npz"]],
)
def test_the_flags_need_each_other_and_the_command(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1
