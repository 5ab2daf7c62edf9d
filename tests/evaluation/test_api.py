"""`evaluate` and `compare` from Python: the numbers of the command line, any labels, and errors that name the argument."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from s2m2.classifiers import NearestMean
from s2m2.errors import InputError
from s2m2.evaluation.api import compare, evaluate
from s2m2.evaluation.file_evaluation import prepare_file
from s2m2.evaluation.score_all import score_all
from s2m2.recipe import EvaluateConfig
from s2m2.tasks.episode_sampler import EpisodeSampler

RNG = np.random.default_rng(0)
NAMES = np.array(["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"])
NUMBERS = RNG.permutation(np.repeat(np.arange(8), 15))
Y = NAMES[NUMBERS]
X = RNG.normal(size=(8, 6))[NUMBERS] + RNG.normal(size=(120, 6))
SIZE: dict[str, Any] = {"ways": 3, "shots": 2, "queries": 5, "tasks": 80}


@pytest.mark.parametrize("protocol", ["fixed", "s2m2", "dirichlet", "variable"])
def test_results_are_those_of_a_feature_file(tmp_path: Path, protocol: Any) -> None:
    np.savez(tmp_path / "f.npz", features=X, labels=Y)
    np.savez(tmp_path / "base.npz", features=X + 1, labels=Y)
    size = {"ways": (3,), "shots": (2,), "queries": 5, "tasks": 40, "seed": 2, "protocols": (protocol,), "transforms": ("center_base",)}
    config = EvaluateConfig(classifiers=("cosine_converged", "ridge"), **size)
    evaluated, prepared = prepare_file(config, tmp_path / "f.npz", base=tmp_path / "base.npz")
    for expected in score_all(evaluated, config, torch.device("cpu"), tmp_path, prepared):
        settings = {**SIZE, "tasks": 40, "seed": 2, "protocol": protocol, "transforms": ("center_base",), "base": (X + 1, Y)}
        result = evaluate(X, Y, expected.classifier, **settings)
        assert (result.mean, result.ci95, result.ci95_classes) == (expected.mean, expected.interval, expected.class_interval)
        same = {"dataset": "arrays", "features": "features", "created": expected.created, "details": None}
        assert replace(result.results, **same) == replace(expected, **same)


def test_arrays_tensors_and_lists_are_the_same_features() -> None:
    results = [
        evaluate(features, labels, "nearest_mean", **SIZE)
        for features, labels in ((X, Y), (torch.from_numpy(X), Y.tolist()), (X.tolist(), Y))
    ]
    assert len({tuple(result.per_task) for result in results}) == 1
    assert 0.5 < results[0].mean < 1
    assert 0 < results[0].ci95 < results[0].ci95_classes


def test_the_tasks_are_those_of_the_episode_sampler() -> None:
    result = evaluate(X, Y, "nearest_mean", **SIZE, seed=4)
    accuracies = []
    for support, query in EpisodeSampler(Y, **SIZE, seed=4):
        ways = list(dict.fromkeys(Y[support]))
        means = np.stack([X[support][Y[support] == way].mean(0) for way in ways])
        predicted = ((X[query][:, None] - means) ** 2).sum(-1).argmin(1)
        accuracies.append(float(np.mean(np.array(ways)[predicted] == Y[query])))
    assert result.per_task == pytest.approx(accuracies)


@pytest.mark.parametrize("classifier", [NearestMean, NearestMean(), {"name": "nearest_mean"}, "s2m2.classifiers:NearestMean"])
def test_a_classifier_may_be_a_class_an_instance_a_mapping_or_a_path(classifier: Any) -> None:
    assert evaluate(X, Y, classifier, **SIZE).mean == evaluate(X, Y, "nearest_mean", **SIZE).mean


def test_settings_of_a_mapping_shape_the_classifier() -> None:
    short = evaluate(X, Y, {"name": "cosine", "epochs": 1}, **SIZE)
    assert short.results.settings["epochs"] == 1
    assert short.mean != evaluate(X, Y, "cosine", **SIZE).mean


def test_the_table_shows_mean_and_both_intervals() -> None:
    result = evaluate(X, Y, "nearest_mean", **SIZE)
    assert result.ci95_classes is not None
    numbers = [f"{100 * value:.2f}" for value in (result.mean, result.ci95, result.ci95_classes)]
    for text in (str(result), repr(result), result.table(), result._repr_html_()):
        assert all(number in text for number in ("3-way 2-shot, 5 queries a class, 80 tasks", "nearest_mean", *numbers))


def test_two_results_are_compared_in_pairs() -> None:
    one, other = (evaluate(X, Y, name, **SIZE) for name in ("nearest_mean", "cosine_centroid"))
    comparison = compare(one, other)
    assert comparison.difference == pytest.approx(other.mean - one.mean)
    assert comparison.class_interval is not None
    lines = str(comparison).splitlines()
    assert [line.split()[1] for line in lines[3:]] == ["classes", "classes"]
    assert f"{100 * comparison.class_interval:.2f}" in lines[3]
    assert "over classes" in comparison._repr_html_()
    assert compare(one, evaluate(X + 1, Y, "nearest_mean", **SIZE)).first is one.results  # other features, same labels
    for changes, message in (({"seed": 1}, "seed 0 and 1"), ({"shots": 1}, "shots 2 and 1"), ({"tasks": 79}, "tasks 80 and 79")):
        with pytest.raises(InputError, match=message):
            compare(one, evaluate(X, Y, "nearest_mean", **{**SIZE, **changes}))
    with pytest.raises(InputError, match="data digest"):
        compare(one, evaluate(X, NUMBERS, "nearest_mean", **SIZE))


NOT_FINITE = np.where(np.arange(120)[:, None] == 3, np.nan, X)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X": X[:, 0]}, "X of shape (120,)"),
        ({"X": X[:7]}, "7 rows of X, but 120 y"),
        ({"X": NOT_FINITE}, "X that are not finite, first in row 3"),
        ({"X": [["a", "b"]] * 120}, "X of shape (120, 2)"),
        ({"X": [[1.0, 2.0], [3.0]] * 60}, "X is no array: "),
        ({"y": Y.reshape(60, 2)}, "y of shape (60, 2)"),
        ({"y": np.zeros(120, dtype=int)}, "a single class in y"),
        ({"ways": 9}, "y: a 9-way task needs 9 classes, but there are 8"),
        ({"queries": 14}, "y: class ant has 15 images, but 2 shots and 14 queries need 16"),
        ({"queries": 0}, "queries is 0, but must be 1 or more"),
        ({"protocol": "random"}, "protocol is 'random'"),
        ({"classifier": "magic"}, "classifier magic is unknown"),
        ({"classifier": {"name": "cosine", "magic": 1}}, "cosine has no"),
        ({"transforms": ("magic",)}, "transforms[0] is 'magic'"),
        ({"transforms": ("center_base",)}, "transforms has a step that needs base"),
        ({"classifier": "pt_map"}, "classifier pt_map takes a power of the features, but some are negative"),
        ({"classifier": "laplacian_shot"}, "base"),
        ({"base": X}, "base is not a pair"),
        ({"base": (X[:, :3], Y)}, "base has 3 features an image, but X has 6"),
        ({"base": (X, Y[:3])}, "120 rows of base features, but 3 base labels"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        evaluate(**{"X": X, "y": Y, "classifier": "nearest_mean", **SIZE, **arguments})
    assert message in str(error.value)
    assert "\n" not in str(error.value)
