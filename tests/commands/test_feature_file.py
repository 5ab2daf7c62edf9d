"""`s2m2 evaluate --features`: scores of arrays, without a run, and one line for whatever is wrong."""

import json
from pathlib import Path

import numpy as np
import pytest

from s2m2.cli import main

FLAGS = ["--evaluate.tasks", "20", "--evaluate.queries", "3", "--evaluate.shots", "1", "--evaluate.heads", "nearest_mean"]
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
    (path,) = (apart.parent / "apart-results").glob("*.json")
    results = json.loads(path.read_text())
    assert (results["mean"], results["dataset"], results["tasks"], results["ways"]) == (1.0, "apart", 20, 5)
    assert not (apart.parent / "runs").exists()


def test_settings_may_come_from_a_recipe(apart: Path) -> None:
    (apart.parent / "recipe.yaml").write_text("evaluate: {ways: [3]}\n")
    arguments = ["evaluate", str(apart.parent / "recipe.yaml"), "--features", str(apart), "--output", str(apart.parent / "r"), *FLAGS]
    assert main(arguments) == 0
    (path,) = (apart.parent / "r").glob("*.json")
    assert json.loads(path.read_text())["ways"] == 3


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--run", "runs/x"], "--run or --features"),
        (["--evaluate.ways", "7"], "a 7-way task"),
        (["--evaluate.queries", "8"], "apart.npz"),
        (["--evaluate.support_crops", "2"], "--evaluate.support_crops"),
        (["--evaluate.ensemble", "runs/x"], "--evaluate.ensemble"),
        (["--output", "apart.npz"], "--output apart.npz is a file"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(
    apart: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    monkeypatch.chdir(apart.parent)
    assert main(["evaluate", "--features", "apart.npz", *FLAGS, *flags]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert [entry.name for entry in apart.parent.iterdir()] == ["apart.npz"]


@pytest.mark.parametrize("arguments", [["evaluate", "--features"], ["evaluate", "--output", "x"], ["run", "--features", "x.npz"]])
def test_the_flags_need_each_other_and_the_command(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1
