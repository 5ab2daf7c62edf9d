"""Scores that are not finite are an error that names the classifier and the setting, or the features: never chance level in silence."""

from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import torch

from s2m2 import evaluate
from s2m2.classifiers import CLASSIFIERS, BaseStatistics, build_classifier, check_spec, load_class
from s2m2.classifiers.base import FewShotTasks
from s2m2.classifiers.finite import scored
from s2m2.classifiers.settings import setting_names
from s2m2.cli import main
from s2m2.errors import InputError
from s2m2.random import generator_for
from s2m2.recipe.parts import parse_classifier
from s2m2.recipe.ranges import number_type
from tests.reference.evaluate import made_up_tasks

DIM = 12
BASE = BaseStatistics.from_features(torch.rand(60, DIM, generator=generator_for(0, "base")), torch.arange(3).repeat_interleave(20))
EXTREMES = (1e300, 1e40, 1e20, 1e-20, 1e-300)
X = np.random.default_rng(0).random((120, DIM)).astype(np.float32)
Y = np.arange(120) % 6


def quick(name: str, **settings: float) -> dict[str, Any]:
    few = {"cosine": {"epochs": 3}, "calibrated": {"samples_per_class": 20}}.get(name, {"steps": 20} if "tim" in name.split("_") else {})
    return {"name": name, **few, **settings}


def float_settings() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name in CLASSIFIERS:
        cls = load_class(name)
        hints = get_type_hints(cls.__init__, include_extras=True)
        found += [(name, setting) for setting in setting_names(cls) if number_type(hints[setting]) is float]
    return found


@pytest.mark.parametrize(("name", "setting"), float_settings())
def test_an_extreme_setting_gives_finite_scores_or_an_error_that_names_it(name: str, setting: str) -> None:
    tasks = made_up_tasks(3, ways=3, shots=2, queries=4, dim=DIM)
    tasks = FewShotTasks(support=tasks.support.abs(), labels=tasks.labels, query=tasks.query.abs(), ways=3, shots=2)
    for value in EXTREMES:
        try:
            classifier = build_classifier(quick(name, **{setting: value}), BASE)
        except InputError as error:
            assert f"{name}.{setting} is {value}" in str(error)  # noqa: PT017
            continue
        try:
            assert scored(classifier, tasks, generator_for(0)).isfinite().all()
        except InputError as error:
            assert f"classifier {name} gives scores that are not finite" in str(error)  # noqa: PT017
            assert f"{setting} {value}" in str(error)  # noqa: PT017
        try:
            assert np.isfinite(classifier.fit(X[:12], Y[:12]).predict_proba(X[12:20])).all()
        except InputError as error:
            assert f"classifier {name}" in str(error)  # noqa: PT017


@pytest.mark.parametrize(("name", "setting"), float_settings())
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_no_setting_may_be_infinite_and_a_recipe_says_so_before_training(name: str, setting: str, value: float) -> None:
    for use in (
        lambda: check_spec(parse_classifier({"name": name, setting: value})),
        lambda: build_classifier({"name": name, setting: value}, BASE),
    ):
        with pytest.raises(InputError, match=f"{name}.{setting} is {value}, but must be"):
            use()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_features_whose_squares_overflow_are_refused_everywhere(name: str) -> None:
    settings, huge = quick(name), np.where(X > 0.5, np.float32(3e38), X)
    with pytest.raises(InputError, match=r"the features reach 3e\+38, but must stay within 2e\+15"):
        evaluate(huge, Y, settings, ways=3, queries=3, tasks=3, base=(X, Y))
    classifier = build_classifier(settings, BASE)
    with pytest.raises(InputError, match=r"X reach 3e\+38"):
        classifier.fit(huge[:12], Y[:12])
    with pytest.raises(InputError, match=r"X reach 3e\+38"):
        classifier.fit(X[:12], Y[:12]).predict(huge)


@pytest.mark.parametrize("details", ["true", "false"])
@pytest.mark.parametrize(
    ("classifier", "message"),
    [
        ("{name: cosine, learning_rate: 1e20}", "classifier cosine gives scores that are not finite with learning_rate 1e+20"),
        ("{name: cosine, scale: .inf}", "cosine.scale is inf, but must be finite"),
        ("{name: ridge, penalty: .inf}", "ridge.penalty is inf, but must be finite"),
    ],
)
def test_the_command_refuses_with_one_line_and_code_two(
    details: str, classifier: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "f.npz", features=X, labels=Y)
    command = ["evaluate", "--features", "f.npz", "--evaluate.tasks", "20", "--evaluate.ways", "3", "--evaluate.details", details]
    assert main([*command, "--evaluate.shots", "1", "--evaluate.classifiers", classifier]) == 2
    output = capsys.readouterr()
    assert message in output.err + output.out
    assert "Traceback" not in output.err


@pytest.mark.parametrize("bad", [3e38, float("nan"), float("-inf")])
def test_a_feature_file_of_such_numbers_is_refused(
    bad: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    features = X.copy()
    features[5, 3] = bad
    np.savez(tmp_path / "f.npz", features=features, labels=Y)
    assert main(["evaluate", "--features", "f.npz", "--evaluate.tasks", "20", "--evaluate.ways", "3", "--evaluate.details", "false"]) == 2
    output = capsys.readouterr()
    assert "features" in output.err + output.out
    assert "Traceback" not in output.err


def test_scores_of_ones_own_function_are_checked_too() -> None:
    def broken(tasks: FewShotTasks, generator: torch.Generator) -> torch.Tensor:
        return torch.full((len(tasks), tasks.query.shape[1], tasks.ways), torch.nan)

    with pytest.raises(InputError, match="classifier broken gives scores that are not finite"):
        scored(broken, made_up_tasks(2), generator_for(0))
