"""What a recipe should give: the rule of falling behind, the file, and that neither a damaged file nor another recipe stops a training."""

import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.expected import check_recipe
from s2m2.data.catalog import ImageDatasets
from s2m2.data.dataset import ImageDataset
from s2m2.errors import InputError
from s2m2.recipe import DataConfig, ModelConfig, PretrainConfig, Recipe, RuntimeConfig, read_recipe
from s2m2.runs.directory import RunDirectory
from s2m2.runs.expectation import (
    MIN_MARGIN,
    SUFFIX,
    UNKNOWN_SPREAD,
    Expectation,
    ExpectedEpoch,
    ExpectedScore,
    ExpectedStage,
    beside,
    digests_of,
    read_expectation,
    settings_that_matter,
    write_expectation,
)
from s2m2.runs.trained_images import describe
from s2m2.runs.watch import Watch, watch_run

RECIPE = Recipe(model=ModelConfig(width=8), pretrain=PretrainConfig(epochs=2))
CONFIGS = Path(__file__).parents[2] / "configs"


def epoch(score: float, spread: float | None = 0.002, interval: float = 0.0, runs: int = 3) -> ExpectedEpoch:
    return ExpectedEpoch(score=score, spread=spread, interval=interval, runs=runs)


def score(shots: int, mean: float, **changes: Any) -> ExpectedScore:
    kind: dict[str, Any] = {"features": "finetune", "classifier": "cosine", "protocol": "fixed", "ways": 5, "queries": 15, "tasks": 10_000}
    return ExpectedScore(**{**kind, "shots": shots, "mean": mean, "spread": 0.004, "interval": 0.002, "class_interval": 0.03, **changes})


def expectation(dataset: ImageDataset, **changes: Any) -> Expectation:
    stage = ExpectedStage(minutes_per_epoch=1.5, epochs={1: epoch(0.5), 2: epoch(0.6)})
    values: dict[str, Any] = {
        "created": "2031-05-04",
        "seeds": (0, 1, 2),
        "hours": 1.5,
        "hardware": ("Imaginary CPU, 2 cores",),
        "precision": ("32-true",),
        "packages": {},
        "settings": settings_that_matter(RECIPE),
        "images": {role: digests_of(describe(dataset)) for role in ("base", "validation")},
        "stages": {"pretrain": stage},
        "scores": (score(1, 0.6), score(5, 0.75), score(1, 0.5, classifier="nearest_mean"), score(1, 0.4, ways=10)),
    }
    return Expectation(**{**values, **changes})


def datasets(dataset: ImageDataset) -> ImageDatasets:
    return ImageDatasets(base=dataset, validation=dataset, novel=dataset)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    (tmp_path / "run").mkdir()
    return RunDirectory(tmp_path / "run")


def watched(tmp_path: Path, run: RunDirectory, dataset: ImageDataset, recipe: Recipe = RECIPE, **changes: Any) -> Watch | None:
    write_expectation(tmp_path / "short.expected.json", expectation(dataset, **changes))
    return watch_run(recipe, datasets(dataset), run, tmp_path / "short.expected.json")


def test_the_margin_is_three_deviations_of_a_new_run_and_never_less_than_a_point() -> None:
    calm = ExpectedStage(minutes_per_epoch=1.0, epochs={1: epoch(0.5, 0.001), 2: epoch(0.6, 0.001)})
    assert calm.margin(1) == MIN_MARGIN
    spread = ExpectedStage(minutes_per_epoch=1.0, epochs={1: epoch(0.5, 0.01), 2: epoch(0.6, 0.0)})
    assert spread.margin(1) == pytest.approx(3 * 0.01 * math.sqrt(4 / 3))
    assert spread.margin(2) == pytest.approx(3 * 0.01 / math.sqrt(2) * math.sqrt(4 / 3))  # agreement by luck: that of the stage
    few_tasks = ExpectedStage(minutes_per_epoch=1.0, epochs={1: epoch(0.5, 0.001, interval=0.0196)})
    assert few_tasks.margin(1) == pytest.approx(3 * 0.01 * math.sqrt(4 / 3))
    assert calm.margin(1, interval=0.0392) == pytest.approx(3 * 0.02 * math.sqrt(4 / 3))
    alone = ExpectedStage(minutes_per_epoch=1.0, epochs={1: epoch(0.5, None, runs=1)})
    assert alone.margin(1) == pytest.approx(3 * UNKNOWN_SPREAD * math.sqrt(2))


def test_a_file_is_read_as_it_was_written(tmp_path: Path, small_glyphs: ImageDataset) -> None:
    stated = expectation(small_glyphs)
    write_expectation(tmp_path / "a.expected.json", stated)
    assert read_expectation(tmp_path / "a.expected.json") == stated
    assert beside(tmp_path / "a.yaml") == tmp_path / "a.expected.json"


def test_what_to_expect_is_one_line_and_the_file_comes_into_the_run(
    tmp_path: Path, run: RunDirectory, small_glyphs: ImageDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert watched(tmp_path, run, small_glyphs) is not None
    line = (
        "expected: 60.00% ± 0.20% (5-way 1-shot, 0.40% among runs) and 75.00% ± 0.20% (5-way 5-shot, 0.40% among runs) on novel classes, "
        "cosine, 1 h 30 min on Imaginary CPU, 2 cores (3 runs, 2031-05-04)\n"
    )
    assert capsys.readouterr().out == line
    (tmp_path / "short.expected.json").unlink()
    assert watch_run(replace(RECIPE, seed=7), datasets(small_glyphs), run, None) is not None  # resumed without the path
    assert capsys.readouterr().out == line


def test_the_first_score_that_is_behind_is_one_warning_with_both_numbers(
    tmp_path: Path, run: RunDirectory, small_glyphs: ImageDataset
) -> None:
    other = {role: {"digest": "0" * 64, "classes": digests_of(describe(small_glyphs))["classes"]} for role in ("base", "validation")}
    watch = watched(
        tmp_path,
        run,
        small_glyphs,
        replace(RECIPE, runtime=RuntimeConfig(precision="bf16-mixed")),
        images=other,
        packages={"torch": "1.0"},
    )
    assert watch is not None
    assert [watch.expected("pretrain", one) for one in (1, 2, 3)] == [0.5, 0.6, None]
    assert watch.expected("finetune", 1) is None
    assert watch.warning("pretrain", 1, 0.491, 0.001) == ""
    assert watch.warning("pretrain", 3, 0.1, 0.001) == ""  # nothing is known of it
    warning = watch.warning("pretrain", 2, 0.55, 0.001)
    for words in (
        "55.00%",
        "after epoch 2",
        "expected 60.00%",
        "at least 59.00%",
        "other base images",
        "bf16-mixed, not 32-true",
        "not 1.0",
    ):
        assert words in warning
    assert watch.warning("pretrain", 2, 0.2, 0.001) == ""


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        (replace(RECIPE, pretrain=PretrainConfig(epochs=3)), "pretrain.epochs is 3, not 2"),
        (replace(RECIPE, data=DataConfig(image_size=28)), "data.image_size is 28, not None"),
    ],
)
def test_other_settings_are_told_and_not_compared(
    tmp_path: Path,
    run: RunDirectory,
    small_glyphs: ImageDataset,
    capsys: pytest.CaptureFixture[str],
    recipe: Recipe,
    reason: str,
) -> None:
    assert watched(tmp_path, run, small_glyphs, recipe) is None
    assert capsys.readouterr().out == f"{tmp_path / 'short.expected.json'} does not apply: {reason}\n"
    assert not run.expected.exists()


def test_other_images_and_imported_weights_are_not_compared(
    tmp_path: Path, run: RunDirectory, small_glyphs: ImageDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {"base": {"digest": "0" * 64, "classes": "1" * 64}}
    assert watched(tmp_path, run, small_glyphs, images=other) is None
    assert "the base images are others, in classes, numbers or size: digest" in capsys.readouterr().out
    run.imported.write_text("{}")
    assert watched(tmp_path, run, small_glyphs) is None
    assert "starts from imported weights" in capsys.readouterr().out


def test_seed_machine_evaluation_and_places_do_not_matter(tmp_path: Path, run: RunDirectory, small_glyphs: ImageDataset) -> None:
    here = replace(RECIPE, seed=9, data=DataConfig(path="elsewhere"), runtime=RuntimeConfig(threads=1))
    assert watched(tmp_path, run, small_glyphs, here) is not None


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def edit(file: Path) -> None:
        content = json.loads(file.read_text())
        del content["checksum"]  # by hand, so that the content itself is checked
        change(content)
        file.write_text(json.dumps(content))

    return edit


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda file: file.write_text(""),
    "no JSON": lambda file: file.write_text("{"),
    "a list": lambda file: file.write_text("[1]"),
    "nested": lambda file: file.write_text("[" * 100_000),
    "bytes": lambda file: file.write_bytes(b"\xff\xfe\0"),
    "a changed digit": lambda file: file.write_text(file.read_text().replace('"score": 0.5', '"score": 0.9')),
    "large": lambda file: file.write_text(" " * 2**21),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
    "a pipe": lambda file: (file.unlink(), os.mkfifo(file)),
    "a dangling link": lambda file: (file.unlink(), file.symlink_to("/no/such/file")),
    "a device": lambda file: (file.unlink(), file.symlink_to("/dev/zero")),
    "newer": edited(lambda content: content.update(format=99)),
    "no stages": edited(lambda content: content.pop("stages")),
    "no epochs": edited(lambda content: content["stages"]["pretrain"].update(epochs={})),
    "a score of text": edited(lambda content: content["stages"]["pretrain"]["epochs"]["1"].update(score="high")),
    "a score above 1": edited(lambda content: content["stages"]["pretrain"]["epochs"]["1"].update(score=50)),
    "no score": edited(lambda content: content["stages"]["pretrain"]["epochs"]["1"].update(score=None)),
    "no runs": edited(lambda content: content["stages"]["pretrain"]["epochs"]["1"].update(runs=0)),
    "an epoch of text": edited(lambda content: content["stages"]["pretrain"]["epochs"].update(one={})),
    "settings as a list": edited(lambda content: content.update(settings=[1])),
    "images as a number": edited(lambda content: content.update(images=3)),
    "hours without end": edited(lambda content: content.update(hours=math.inf)),
    "scores of others": edited(lambda content: content.update(scores=[{"name": "x"}])),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_one_warning(
    tmp_path: Path, run: RunDirectory, small_glyphs: ImageDataset, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    file = tmp_path / "short.expected.json"
    write_expectation(file, expectation(small_glyphs))
    DAMAGE[kind](file)
    assert watch_run(RECIPE, datasets(small_glyphs), run, file) is None
    out = capsys.readouterr().out
    assert out.startswith("warning: what to expect of the recipe is not known: ")
    assert out.count("\n") == 1
    assert str(file) in out
    assert out.endswith("; the training goes on\n")
    assert not run.expected.exists()


def test_a_new_setting_counts_as_having_had_its_default(tmp_path: Path, run: RunDirectory, small_glyphs: ImageDataset) -> None:
    stated = {name: value for name, value in settings_that_matter(RECIPE).items() if name != "pretrain.rotations"}
    assert watched(tmp_path, run, small_glyphs, settings={**stated, "pretrain.of_old": 3}) is not None


@pytest.mark.parametrize("file", [*CONFIGS.rglob(f"*{SUFFIX}")] or [None])
def test_a_shipped_expectation_is_of_the_recipe_beside_it(file: Path | None) -> None:
    if file is None:
        pytest.skip("no recipe has an expectation yet")
    recipe_file = file.with_name(file.name.removesuffix(SUFFIX) + ".yaml")
    check_recipe(read_expectation(file), recipe_file)


def test_an_edited_recipe_is_told_from_that_of_the_runs(tmp_path: Path, small_glyphs: ImageDataset) -> None:
    recipe_file = tmp_path / "short.yaml"
    recipe_file.write_text("model: {width: 8}\npretrain: {epochs: 2}\n")
    assert settings_that_matter(read_recipe(recipe_file)) == settings_that_matter(RECIPE)
    check_recipe(expectation(small_glyphs), recipe_file)
    recipe_file.write_text("model: {width: 8}\npretrain: {epochs: 3}\n")
    with pytest.raises(InputError, match=r"short\.yaml is not the recipe of the runs: pretrain\.epochs differ"):
        check_recipe(expectation(small_glyphs), recipe_file)
