"""Transforms and classifiers that draw on base features, from the command line to the results."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from s2m2.cli import main
from s2m2.errors import InputError
from s2m2.evaluation.features import FeatureSet
from s2m2.evaluation.results import newest_results
from s2m2.evaluation.scoring import EvaluatedFeatures, base_is_needed, prepare_features, score_all
from s2m2.random import generator_for
from s2m2.recipe import EvaluateConfig
from s2m2.recipe.classifiers import ClassifierName
from s2m2.recipe.inductive import CalibratedConfig
from s2m2.recipe.transductive import PTMapConfig
from s2m2.recipe.transforms import TransformName

FLAGS = ["--evaluate.tasks", "20", "--evaluate.queries", "3", "--evaluate.shots", "1", "--evaluate.details", "false"]
FLAGS += ["--runtime.accelerator", "cpu"]


@pytest.fixture
def lengths(tmp_path: Path) -> Path:
    """Six classes that differ in direction; images differ far more in length. Some features are negative."""
    labels = np.repeat(np.arange(6), 8)
    generator = np.random.default_rng(0)
    features = (np.eye(6)[labels] + generator.normal(0, 0.01, (48, 6))) * generator.uniform(0.01, 100, (48, 1))
    np.savez(tmp_path / "lengths.npz", features=features, labels=labels)
    return tmp_path / "lengths.npz"


def test_transforms_are_done_in_order_and_stated(lengths: Path) -> None:
    arguments = [
        "evaluate",
        "--features",
        str(lengths),
        "--output",
        str(lengths.parent / "r"),
        *FLAGS,
        "--evaluate.classifiers",
        "nearest_mean",
    ]
    assert main(arguments) == 0
    assert main([*arguments, "--evaluate.transforms", "unit"]) == 0
    results = [json.loads(path.read_text()) for path in (lengths.parent / "r" / "results").glob("*.json")]
    means = {tuple(result["transforms"]): result["mean"] for result in results}
    assert means[("unit",)] == 1.0
    assert means[()] < 1.0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--evaluate.transforms", "cl2n"], "base features, which are not at hand; --base-features"),
        (["--evaluate.transforms", "power"], "some are negative"),
        (["--evaluate.transforms", "center_support", "cl2n"], "--evaluate.transforms"),
        (["--evaluate.classifiers", "nearest_mean", "calibrated"], "classifier calibrated draws on features of the base classes"),
        (["--evaluate.classifiers", "nearest_mean", "pt_map"], "classifier pt_map takes a power of the features, but some are negative; "),
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


def positive_table(fingerprint: str = "f") -> FeatureSet:
    labels = torch.arange(4).repeat_interleave(10)
    features = torch.rand(40, 8, generator=generator_for(0, "base of classifiers"))
    return FeatureSet(features=features, labels=labels, indices=torch.arange(40), class_names=tuple("abcd"), fingerprint=fingerprint)


def test_statistics_of_base_features_are_taken_after_the_transforms() -> None:
    dataset = positive_table()
    config = EvaluateConfig(classifiers=("calibrated",), transforms=("power", "unit"))
    classifier = prepare_features(dataset, dataset, config, dataset).classifiers["calibrated"]
    expected = torch.nn.functional.normalize((dataset.features + 1e-6).sqrt(), dim=1)
    torch.testing.assert_close(
        classifier.base.class_means, torch.stack([expected[dataset.labels == number].mean(0) for number in range(4)])
    )


def test_base_features_are_wanted_only_where_something_draws_on_them() -> None:
    assert not base_is_needed(EvaluateConfig(transforms=("unit", "center_support")))
    assert base_is_needed(EvaluateConfig(transforms=("peme",)))
    assert base_is_needed(EvaluateConfig(classifiers=("nearest_mean", "calibrated")))


@pytest.mark.parametrize("classifier", ["pt_map", "calibrated"])
@pytest.mark.parametrize("transforms", [("center_base",), ("center_support",)])
def test_no_head_takes_a_power_of_what_transforms_leave_negative(classifier: ClassifierName, transforms: tuple[TransformName, ...]) -> None:
    dataset = positive_table()
    known = {"calibrated": CalibratedConfig(neighbors=1), "pt_map": PTMapConfig()}
    prepare_features(dataset, None, EvaluateConfig(classifiers=("nearest_mean", classifier), **known), dataset)
    with pytest.raises(
        InputError, match=rf"classifier {classifier} .* negative after --evaluate\.transforms; --evaluate\.{classifier}\.power 1"
    ):
        prepare_features(dataset, None, EvaluateConfig(classifiers=("nearest_mean", classifier), transforms=transforms, **known), dataset)
    plain = {"calibrated": CalibratedConfig(neighbors=1, power=1.0), "pt_map": PTMapConfig(power=1.0)}
    prepare_features(dataset, None, EvaluateConfig(classifiers=("nearest_mean", classifier), transforms=transforms, **plain), dataset)
    prepare_features(
        dataset, None, EvaluateConfig(classifiers=("nearest_mean", classifier), transforms=(*transforms, "rectify"), **known), dataset
    )


@pytest.mark.parametrize("where", ["support", "validation"])
def test_negative_features_are_found_wherever_a_head_would_meet_them(where: str) -> None:
    dataset, config = positive_table(), EvaluateConfig(classifiers=("pt_map",))
    negative = dataset.features - 1
    datasets = {
        "support": (replace(dataset, support_features=negative), None),
        "validation": (dataset, replace(dataset, features=negative)),
    }
    with pytest.raises(InputError, match=r"classifier pt_map .* negative; "):
        prepare_features(*datasets[where], config, None)


def test_results_state_the_base_features_that_they_rest_on(tmp_path: Path) -> None:
    dataset, flags = positive_table("evaluated"), {"tasks": 4, "queries": 2, "ways": (3,), "shots": (1,), "details": False}
    scored = EvaluatedFeatures(
        features=dataset, name="file", dataset="d", split="novel", data_digest="", base=positive_table("of the base")
    )
    cpu = torch.device("cpu")
    some = score_all(scored, EvaluateConfig(classifiers=("nearest_mean", "laplacian_shot"), **flags), cpu, tmp_path)
    centerd = score_all(scored, EvaluateConfig(classifiers=("nearest_mean",), transforms=("center_base",), **flags), cpu, tmp_path)
    assert [result.base_fingerprint for result in some + centerd] == ["", "of the base", "of the base"]
    assert newest_results(some + centerd) == (some + centerd, 0)  # they count as results of the same weights
    again = score_all(
        replace(scored, base=positive_table("another")), EvaluateConfig(classifiers=("laplacian_shot",), **flags), cpu, tmp_path
    )
    assert newest_results(some + again) == ([some[0], again[0]], 1)
    assert len(list(tmp_path.glob("*.json"))) == 4
