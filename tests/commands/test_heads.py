"""Transforms and heads that draw on base features, from the command line to the results."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from s2m2.cli import main
from s2m2.commands.heads import base_is_needed, prepare_features
from s2m2.evaluation.classifiers.distribution_calibration import DistributionCalibration
from s2m2.evaluation.features import FeatureTable
from s2m2.recipe import EvaluateConfig
from s2m2.seeding import generator_for

FLAGS = ["--evaluate.tasks", "20", "--evaluate.queries", "3", "--evaluate.shots", "1", "--evaluate.details", "false"]
FLAGS += ["--runtime.accelerator", "cpu"]


@pytest.fixture
def lengths(tmp_path: Path) -> Path:
    """Six classes that differ in direction; pictures differ far more in length. Some features are negative."""
    labels = np.repeat(np.arange(6), 8)
    generator = np.random.default_rng(0)
    features = (np.eye(6)[labels] + generator.normal(0, 0.01, (48, 6))) * generator.uniform(0.01, 100, (48, 1))
    np.savez(tmp_path / "lengths.npz", features=features, labels=labels)
    return tmp_path / "lengths.npz"


def test_transforms_are_done_in_order_and_stated(lengths: Path) -> None:
    arguments = ["evaluate", "--features", str(lengths), "--output", str(lengths.parent / "r"), *FLAGS, "--evaluate.heads", "nearest_mean"]
    assert main(arguments) == 0
    assert main([*arguments, "--evaluate.transforms", "unit"]) == 0
    results = [json.loads(path.read_text()) for path in (lengths.parent / "r").glob("*.json")]
    means = {tuple(result["transforms"]): result["mean"] for result in results}
    assert means[("unit",)] == 1.0
    assert means[()] < 1.0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--evaluate.transforms", "cl2n"], "base features, which are not at hand"),
        (["--evaluate.transforms", "power"], "some are negative"),
        (["--evaluate.transforms", "centre_support", "cl2n"], "--evaluate.transforms"),
        (["--evaluate.heads", "nearest_mean", "calibrated"], "head calibrated draws on features of the base classes"),
    ],
)
def test_what_does_not_suit_the_features_is_one_line_and_leaves_nothing(
    lengths: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    monkeypatch.chdir(lengths.parent)
    assert main(["evaluate", "--features", "lengths.npz", *FLAGS, *flags]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert [entry.name for entry in lengths.parent.iterdir()] == ["lengths.npz"]


def test_statistics_of_base_features_are_taken_after_the_transforms() -> None:
    labels = torch.arange(4).repeat_interleave(10)
    features = torch.rand(40, 8, generator=generator_for(0, "base of heads"))
    table = FeatureTable(features=features, labels=labels, rows=torch.arange(40), class_names=tuple("abcd"), fingerprint="f")
    config = EvaluateConfig(heads=("calibrated",), transforms=("power", "unit"))
    head = prepare_features(table, table, config, table).classifiers["calibrated"]
    assert isinstance(head, DistributionCalibration)
    expected = torch.nn.functional.normalize((features + 1e-6).sqrt(), dim=1)
    torch.testing.assert_close(head.class_means, torch.stack([expected[labels == number].mean(0) for number in range(4)]))


def test_base_features_are_wanted_only_where_something_draws_on_them() -> None:
    assert not base_is_needed(EvaluateConfig(transforms=("unit", "centre_support")))
    assert base_is_needed(EvaluateConfig(transforms=("peme",)))
    assert base_is_needed(EvaluateConfig(heads=("nearest_mean", "calibrated")))
