"""`benchmarks.expected` on two short runs, and runs that are compared with them: from the recipe file, resumed, and behind."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

import s2m2
from benchmarks.expected import main as make
from s2m2.cli import main
from s2m2.recipe.runtime import RuntimeConfig
from s2m2.runs.directory import RunDirectory
from s2m2.runs.expectation import Expectation, read_expectation
from s2m2.runs.logging import read_metrics
from s2m2.training.precision import resolve_precision
from tests.integration.tiny import TINY, without_report

pytestmark = pytest.mark.usefixtures("one_thread")
EPOCHS = {("pretrain", 1), ("pretrain", 2), ("finetune", 0), ("finetune", 1), ("finetune", 2)}


@pytest.fixture(scope="module")
def recipe_file(glyph_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree: dict[str, object] = {}
    tiny = {**TINY, "data.path": str(glyph_folder), "evaluate.classifiers": ["nearest_mean"], "evaluate.shots": [1]}
    for name, value in {**tiny, "evaluate.details": False}.items():
        section: dict[str, object] = tree
        *parents, last = name.split(".")
        for parent in parents:
            section = section.setdefault(parent, {})  # type: ignore[assignment]
        section[last] = yaml.safe_load(value) if isinstance(value, str) else value
    file = tmp_path_factory.mktemp("configs") / "short.yaml"
    file.write_text(yaml.safe_dump(tree))
    return file


@pytest.fixture(scope="module")
def runs(recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    with without_report():
        return [s2m2.run(recipe_file, folder / f"seed{seed}", seed=seed).path for seed in (0, 1)]


@pytest.fixture
def recipe(runs: list[Path], recipe_file: Path, tmp_path: Path) -> Path:
    """A recipe file with what to expect beside it."""
    shutil.copyfile(recipe_file, tmp_path / "short.yaml")
    assert make([*map(str, runs), "--output", str(tmp_path / "short.expected.json")]) == 0
    return tmp_path / "short.yaml"


def expectation(recipe: Path) -> Expectation:
    return read_expectation(recipe.with_name("short.expected.json"))


def test_every_validation_and_score_of_the_runs_is_in_the_file(runs: list[Path], recipe: Path) -> None:
    stated = expectation(recipe)
    rows = [[row for row in read_metrics(RunDirectory(run).metrics) if row["kind"] == "validation"] for run in runs]
    assert {(stage, epoch) for stage, one in stated.stages.items() for epoch in one.epochs} == EPOCHS
    for one, other in zip(*rows, strict=True):
        epoch = stated.stages[one["stage"]].epochs[round(one["epoch"])]
        assert epoch.score == pytest.approx((one["score"] + other["score"]) / 2, abs=1e-6)
        assert epoch.spread == pytest.approx(abs(one["score"] - other["score"]) / 2**0.5, abs=1e-6)
        assert epoch.runs == 2
    assert stated.seeds == (0, 1)
    assert (stated.precision, len(stated.hardware)) == ((resolve_precision(RuntimeConfig(), "cpu"),), 1)
    assert all(one.minutes_per_epoch > 0 for one in stated.stages.values())
    assert [(one.classifier, one.shots) for one in stated.main_scores()] == [("nearest_mean", 1)]
    assert stated.hours > 0


def test_a_run_of_the_recipe_is_compared_and_resumed_without_its_path(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunDirectory(tmp_path / "run")
    assert main(["pretrain", str(recipe), "--run", str(run.path), "--seed", "0"]) == 0
    out = capsys.readouterr().out
    assert len(re.findall(r"^expected: .*1-shot.* on novel classes, nearest_mean, .*\(2 runs, ", out, re.MULTILINE)) == 1
    stated = expectation(recipe)
    assert run.expected.read_bytes() == recipe.with_name("short.expected.json").read_bytes()
    recipe.with_name("short.expected.json").unlink()
    with without_report():
        assert main(["finetune", "--run", str(run.path)]) == 0
    out += capsys.readouterr().out
    for stage, epoch in EPOCHS:
        score = stated.stages[stage].epochs[epoch].score
        assert re.search(rf"^{stage} epoch {epoch}/2: validation [\d.]+% ± [\d.]+% \([^)]*\), expected {score:.2%}", out, re.MULTILINE)
    assert "behind" not in out
    assert "expected of the recipe" in run.report.read_text(encoding="utf-8")


def test_a_run_that_is_behind_warns_once_and_goes_on(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = recipe.with_name("short.expected.json")
    content = json.loads(file.read_text())
    del content["checksum"]
    for stage in content["stages"].values():
        for epoch in stage["epochs"].values():
            epoch.update(score=0.99, spread=0.001, interval=0.001)
    file.write_text(json.dumps(content))
    with without_report():
        run = ["run", str(recipe), "--run", str(tmp_path / "run"), "--seed", "5", "--evaluate.tasks", "10"]
        assert main(run) == 0
    out = capsys.readouterr().out
    (warning,) = [line for line in out.splitlines() if line.startswith("warning")]
    assert re.match(
        r"warning: pretrain is behind: [\d.]+% on validation classes after epoch 1, expected 99\.00% and at least [\d.]+%; ", warning
    )
    assert "likely causes: " in warning
    assert out.count("expected 99.00%") == len(EPOCHS) + 1  # and in the warning
    with without_report():
        assert main(run) == 0  # a finished run is compared with nothing
    assert "expected" not in capsys.readouterr().out


def test_from_python_a_file_may_be_named(recipe: Path, tmp_path: Path) -> None:
    file = recipe.with_name("short.expected.json").rename(tmp_path / "other.json")
    with without_report():
        run = s2m2.pretrain(recipe, tmp_path / "run", expected=file, seed=3)
    assert RunDirectory(run.path).expected.is_file()
    with pytest.raises(s2m2.InputError, match="expected is nothing, but there is no such file"):
        s2m2.run(recipe, tmp_path / "new", expected="nothing")
    assert not (tmp_path / "new").exists()


def test_a_damaged_file_and_other_settings_do_not_stop_a_training(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = recipe.with_name("short.expected.json")
    with without_report():
        assert main(["pretrain", str(recipe), "--run", str(tmp_path / "a"), "--pretrain.epochs", "1"]) == 0
        assert f"{file} does not apply: pretrain.epochs is 1, not 2\n" in capsys.readouterr().out
        file.write_text("{")
        assert main(["pretrain", str(recipe), "--run", str(tmp_path / "b")]) == 0
    out = capsys.readouterr().out
    assert out.count("warning: ") == 1
    assert f"{file} is damaged" in out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda run: (run / "checkpoints" / "finetune" / "outcome.json").unlink(), "has not finished finetune"),
        (lambda run: (run / "provenance.json").unlink(), "has not finished its evaluation"),
        (lambda run: (run / "recipe.yaml").unlink(), "is no run directory"),
    ],
)
def test_unfinished_runs_are_refused(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], change, words) -> None:  # type: ignore[no-untyped-def]
    shutil.copytree(runs[1], tmp_path / "copied")
    change(tmp_path / "copied")
    assert make([str(runs[0]), str(tmp_path / "copied"), "--output", str(tmp_path / "a.expected.json")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "a.expected.json").exists()


def test_runs_that_do_not_belong_together_are_refused(
    runs: list[Path], recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = ["--output", str(tmp_path / "a.expected.json")]
    assert make([str(runs[0]), str(runs[0]), *output]) == 2
    assert "must have one each" in capsys.readouterr().err
    assert make([str(runs[0]), "--output", str(tmp_path / "a.json")]) == 2
    with without_report():
        other = s2m2.run(recipe_file, tmp_path / "other", seed=2, **{"pretrain.epochs": 1, "finetune.epochs": 1})
    assert make([str(runs[0]), str(other.path), *output]) == 2
    assert "differs from" in (error := capsys.readouterr().err)
    assert "pretrain.epochs" in error
    (tmp_path / "a.yaml").write_text("pretrain: {epochs: 7}\n")
    assert make([str(runs[0]), *output]) == 2
    assert "is not the recipe of the runs" in capsys.readouterr().err
