"""Warnings of classifiers that assume balanced queries."""

from pathlib import Path

import pytest

from s2m2.evaluation.preparation import build_classifiers
from s2m2.evaluation.score_all import warn_of_balance
from s2m2.recipe import EvaluateConfig


def warn(config: EvaluateConfig) -> None:
    warn_of_balance(config, build_classifiers(config, None))


def test_a_line_for_each_classifier_and_unsuitable_protocol(capsys: pytest.CaptureFixture[str]) -> None:
    warn(EvaluateConfig(classifiers=("pt_map", "alpha_tim", "cosine"), protocols=("fixed", "dirichlet", "variable", "s2m2")))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" (")[0] for line in lines] == ["warning: PT-MAP"] * 3
    assert [name in line for name, line in zip(("dirichlet", "variable", "s2m2"), lines, strict=True)] == [True] * 3


def test_nothing_where_queries_are_balanced(capsys: pytest.CaptureFixture[str]) -> None:
    warn(EvaluateConfig(classifiers=("pt_map", "tim"), protocols=("fixed",)))
    assert capsys.readouterr().out == ""


def test_one_line_per_classifier_where_tasks_come_from_files(capsys: pytest.CaptureFixture[str]) -> None:
    warn(EvaluateConfig(classifiers=("tim", "cosine"), tasks_from=(Path("a.npz"), Path("b.npz")), protocols=("fixed", "s2m2")))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert "--evaluate.tasks_from" in lines[0]


@pytest.mark.parametrize("rectify", [True, False])
def test_laplacian_shot_assumes_balance_where_it_rectifies(capsys: pytest.CaptureFixture[str], rectify: bool) -> None:
    warn(EvaluateConfig(classifiers=({"name": "laplacian_shot", "rectify": rectify, "center": False},), protocols=("dirichlet",)))
    assert ("LaplacianShot" in capsys.readouterr().out) == rectify
