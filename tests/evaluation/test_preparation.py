"""Transforms and classifiers that need base features, from the command line to the results."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from s2m2.cli import main
from s2m2.errors import InputError
from s2m2.evaluation.features import FeatureSet
from s2m2.evaluation.preparation import base_is_needed, prepare_features
from s2m2.evaluation.results import newest_results
from s2m2.evaluation.score_all import EvaluatedFeatures, score_all
from s2m2.random import generator_for
from s2m2.recipe import EvaluateConfig
from s2m2.recipe.evaluation import TransformName

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
    ("flags", "message"),
    [
        (["--evaluate.transforms", "cl2n"], "--base_features"),
        (["--evaluate.transforms", "power"], "some are negative"),
        (["--evaluate.transforms", "center_support", "cl2n"], "--evaluate.transforms"),
        (["--evaluate.classifiers", "nearest_mean", "calibrated"], "classifier calibrated"),
        (["--evaluate.classifiers", "nearest_mean", "pt_map"], "classifier pt_map takes a power of the features, but some are negative; "),
    ],
)
def test_what_does_not_suit_the_features_is_one_line_and_leaves_nothing(
    lengths: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    monkeypatch.chdir(lengths.parent)
    assert main(["evaluate", "--features", "lengths.npz", *FLAGS, *flags]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [entry.name for entry in lengths.parent.iterdir()] == ["lengths.npz"]


def positive_features(fingerprint: str = "f") -> FeatureSet:
    labels = torch.arange(4).repeat_interleave(10)
    features = torch.rand(40, 8, generator=generator_for(0, "base of classifiers"))
    return FeatureSet(features=features, labels=labels, indices=torch.arange(40), class_names=tuple("abcd"), fingerprint=fingerprint)


def test_statistics_of_base_features_are_taken_after_the_transforms() -> None:
    features = positive_features()
    config = EvaluateConfig(classifiers=("calibrated",), transforms=("power", "unit"))
    classifier = prepare_features(features, features, config, features).classifiers["calibrated"]
    expected = torch.nn.functional.normalize((features.features + 1e-6).sqrt(), dim=1)
    torch.testing.assert_close(
        classifier.base.class_means, torch.stack([expected[features.labels == number].mean(0) for number in range(4)])
    )


def test_base_features_are_needed_only_by_some_transforms_and_classifiers() -> None:
    assert not base_is_needed(EvaluateConfig(transforms=("unit", "center_support")))
    assert base_is_needed(EvaluateConfig(transforms=("peme",)))
    assert base_is_needed(EvaluateConfig(classifiers=("nearest_mean", "calibrated")))


@pytest.mark.parametrize("classifier", ["pt_map", "calibrated"])
@pytest.mark.parametrize("transforms", [("center_base",), ("center_support",)])
def test_no_classifier_takes_a_power_of_negative_features(classifier: str, transforms: tuple[TransformName, ...]) -> None:
    features = positive_features()

    def prepare(*transforms: TransformName, **settings: float) -> None:
        spec = {"name": classifier, **({"neighbors": 1} if classifier == "calibrated" else {}), **settings}
        prepare_features(features, None, EvaluateConfig(classifiers=("nearest_mean", spec), transforms=transforms), features)

    prepare()
    with pytest.raises(InputError, match=rf"classifier {classifier} .* negative after --evaluate\.transforms; power: 1 "):
        prepare(*transforms)
    prepare(*transforms, power=1.0)
    prepare(*transforms, "rectify")


@pytest.mark.parametrize("where", ["support", "validation"])
def test_negative_features_of_support_and_validation_are_refused(where: str) -> None:
    features, config = positive_features(), EvaluateConfig(classifiers=("pt_map",))
    negative = features.features - 1
    sets = {
        "support": (replace(features, support_features=negative), None),
        "validation": (features, replace(features, features=negative)),
    }
    with pytest.raises(InputError, match=r"classifier pt_map .* negative; "):
        prepare_features(*sets[where], config, None)


def test_results_state_their_base_features(tmp_path: Path) -> None:
    features, settings = positive_features("evaluated"), {"tasks": 4, "queries": 2, "ways": (3,), "shots": (1,), "details": False}
    scored = EvaluatedFeatures(
        features=features, name="file", dataset="d", split="novel", data_digest="", base=positive_features("of the base")
    )
    cpu = torch.device("cpu")
    plain = score_all(scored, EvaluateConfig(classifiers=("nearest_mean", "laplacian_shot"), **settings), cpu, tmp_path)
    centered = score_all(scored, EvaluateConfig(classifiers=("nearest_mean",), transforms=("center_base",), **settings), cpu, tmp_path)
    assert [result.base_fingerprint for result in plain + centered] == ["", "of the base", "of the base"]
    assert newest_results(plain + centered) == (plain + centered, 0)  # they count as results of the same weights
    again = score_all(
        replace(scored, base=positive_features("another")), EvaluateConfig(classifiers=("laplacian_shot",), **settings), cpu, tmp_path
    )
    assert newest_results(plain + again) == ([plain[0], again[0]], 1)
    assert len(list(tmp_path.glob("*.json"))) == 4
