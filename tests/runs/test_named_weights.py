"""Weights by name: found, checked, listed, scored to the digit without a write into their folder; every registered name is whole."""

import csv
import hashlib
import re
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import s2m2
from benchmarks.publish_weights import LOG
from benchmarks.publish_weights import main as publish
from s2m2.cli import main
from s2m2.errors import InputError
from s2m2.evaluation.results import read_results
from s2m2.runs import named_weights
from s2m2.runs.directory import RunDirectory
from s2m2.runs.named_weights import CHECKOUT, MAX_BYTES, SHA256, VARIABLE, digest_of, results_path, trained_folder, weights_file
from tests.integration.tiny import TINY, without_report

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]
NAME = "glyphs_conv4"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trained(glyph_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was trained for seconds."""
    path = tmp_path_factory.mktemp("runs") / "short"
    tiny = {**TINY, "data.path": str(glyph_folder), "evaluate.classifiers": ["nearest_mean", "cosine"], "evaluate.shots": [1]}
    with without_report():
        s2m2.run(path=path, **tiny)
    return path


@pytest.fixture(scope="module")
def published(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `publish_weights` makes of it."""
    folder = tmp_path_factory.mktemp("repository") / "weights"
    assert publish([str(trained), NAME, "--weights", str(folder), "--runtime.accelerator", "cpu"]) == 0
    return folder / NAME


@pytest.fixture
def registered(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder, found by the environment variable under its registered name."""
    shutil.copytree(published, tmp_path / "given" / NAME)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "given"))
    monkeypatch.setitem(SHA256, NAME, digest_of(published))
    return tmp_path / "given" / NAME


def content(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.rglob("*") if file.is_file()}


def scores(folder: Path) -> list[dict[str, str]]:
    with (folder / "scores.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_publishing_makes_a_whole_folder_and_prints_the_line(
    trained: Path, published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {"README.md", "recipe.yaml", "scores.csv", "scores.md", "LICENSE", LOG, "imported.json"} == {
        file.name for file in published.iterdir() if file.is_file()
    }
    assert publish([str(trained), "again", "--weights", str(tmp_path), "--runtime.accelerator", "cpu"]) == 0
    printed = capsys.readouterr().out.splitlines()[-1].strip()
    assert printed == f'"again": "{digest_of(tmp_path / "again")}",'
    card = (published / "README.md").read_text(encoding="utf-8")
    assert "before the weights were rounded" not in card
    assert f"s2m2 evaluate --run {NAME} --data.path DATASET" in card
    assert "license: apache-2.0" in card
    assert publish([str(trained), NAME, "--weights", str(published.parent)]) == 2  # it is there
    assert "is there already" in capsys.readouterr().err
    assert publish([str(trained), "No Name", "--weights", str(tmp_path)]) == 2


def test_too_large_weights_are_refused_and_nothing_is_written(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.publish_weights.MAX_BYTES", 1000)
    assert publish([str(trained), "large", "--weights", str(tmp_path / "weights")]) == 2
    assert not (tmp_path / "weights").exists()


@pytest.mark.parametrize("by", ["name", "path"])
def test_an_evaluation_repeats_the_stated_scores_to_the_digit_and_leaves_the_folder_as_it_is(
    registered: Path, glyph_folder: Path, by: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(registered)
    source = NAME if by == "name" else str(registered)
    call = ["evaluate", "--run", source, "--data.path", str(glyph_folder), "--runtime.accelerator", "cpu"]
    with without_report():
        assert main(call) == 0
        assert f"copied to runs/{NAME}" in capsys.readouterr().out
        again = s2m2.evaluate_run(path=NAME, **{"data.path": str(glyph_folder), "runtime.accelerator": "cpu"})  # into the same folder
    assert again.path == Path("runs", NAME)
    measured = {(row.classifier, row.shots): repr(row.mean) for row in again.results}
    assert len(measured) == 2
    assert measured == {(row["classifier"], int(row["shots"])): row["accuracy"] for row in scores(registered)}
    assert sorted((row.classifier, row.mean) for row in read_results(RunDirectory(again.path))) == sorted(
        (row.classifier, row.mean) for row in again.results
    )
    card = (registered / "README.md").read_text(encoding="utf-8")
    for result in again.results:
        assert f"{100 * result.mean:.2f}" in card
    assert content(registered) == before


def test_results_do_not_mix_with_those_of_another_run(
    registered: Path, trained: Path, glyph_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained, Path("runs", NAME))
    call = ["evaluate", "--run", NAME, "--data.path", str(glyph_folder), "--runtime.accelerator", "cpu"]
    assert f"go to runs/{NAME}, which holds something else" in complaint(capsys, *call)


def test_a_name_is_a_backbone_everywhere(registered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = np.random.default_rng(0).integers(256, size=(4, 30, 30, 3), dtype=np.uint8)
    loaded = s2m2.load(NAME)
    assert np.array_equal(loaded.features(images), s2m2.load(registered).features(images))
    model = s2m2.ImageClassifier(backbone=NAME).fit(list(images), ["a", "a", "b", "b"])
    assert model.predict(list(images)).shape == (4,)
    for number, image in enumerate(images):
        file = tmp_path / "photos" / "ab"[number // 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    assert main(["fit", str(tmp_path / "photos"), "--output", str(tmp_path / "model"), "--backbone", NAME]) == 0
    shutil.rmtree(registered)  # a model holds its own copy
    assert s2m2.ImageClassifier.load(tmp_path / "model").predict(list(images)).shape == (4,)


def test_import_export_and_analyze_take_a_name(registered: Path, glyph_folder: Path, tmp_path: Path) -> None:
    before = content(registered)
    assert main(["import", NAME, "--stage", "pretrain", "--output", str(tmp_path / "start"), "--dataset", str(glyph_folder)]) == 0
    assert torch.equal(*(next(s2m2.load(source).parameters()) for source in (NAME, tmp_path / "start")))
    assert main(["export", "--run", NAME, "--output", str(tmp_path / "given again")]) == 0
    data = ["--data.path", str(glyph_folder), "--runtime.accelerator", "cpu"]
    with without_report():
        assert (
            main(["analyze", "--run", NAME, *data, "--analyze.classes", "3", "--analyze.images", "4", "--analyze.predictions", "20"]) == 0
        )
    assert RunDirectory(Path("runs", NAME)).analysis.is_file()
    assert content(registered) == before


def test_other_weights_under_the_name_are_refused(registered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = weights_file(registered)
    assert file is not None
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    with pytest.raises(
        InputError, match=rf"given/{NAME} is not the folder of the weights {NAME}: it has SHA-256 \w{{16}}, not \w{{16}}; copy"
    ):
        s2m2.load(NAME)
    assert "is not the folder" in complaint(capsys, "evaluate", "--run", NAME)
    file.unlink()
    with pytest.raises(InputError, match="it has no weights"):
        s2m2.ImageClassifier(backbone=NAME).fit([np.zeros((9, 9, 3), np.uint8)] * 2, ["a", "b"])


def test_missing_weights_say_where_they_were_looked_for_and_how_to_get_them(
    registered: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(registered)
    message = complaint(capsys, "evaluate", "--run", NAME)
    for words in (
        str(CHECKOUT / "weights"),
        str(registered.parent),
        "clone the repository",
        f"copy its folder weights/{NAME}",
        VARIABLE,
        NAME,
    ):
        assert words in message
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr(named_weights, "CHECKOUT", registered)  # an installation without the repository
    with pytest.raises(InputError, match="looked in no folder, as the package does not run from its repository"):
        s2m2.load(NAME)


@pytest.mark.parametrize(
    "call",
    [
        ("evaluate", "--run", NAME[:-1]),
        ("export", "--run", NAME[:-1], "--output", "out"),
        ("import", NAME[:-1], "--output", "out"),
    ],
)
def test_a_near_name_is_suggested(registered: Path, call: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert f"did you mean {NAME}?" in complaint(capsys, *call)


def test_fine_tuning_a_name_tells_the_command_that_makes_a_run_of_it(
    registered: Path, glyph_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = complaint(capsys, "finetune", "--run", NAME, "--data.path", str(glyph_folder), "--runtime.accelerator", "cpu")
    assert f"`s2m2 import {NAME} --stage pretrain --output START` makes a run of them" in error
    assert not Path(NAME).exists()


def test_load_suggests_a_near_name(registered: Path) -> None:
    with pytest.raises(InputError, match=rf"did you mean {NAME}\?"):
        s2m2.load("glyphs_conv")
    with pytest.raises(InputError, match=rf"did you mean {NAME}\?"):
        s2m2.ImageClassifier(backbone="glyphs_conv").fit([np.zeros((9, 9, 3), np.uint8)] * 2, ["a", "b"])


def test_a_folder_of_the_name_never_stands_for_other_weights(registered: Path, trained: Path) -> None:
    Path(NAME).mkdir()  # no run: nothing that could be meant
    assert trained_folder(NAME) == registered
    Path(NAME).rmdir()
    shutil.copytree(registered, NAME)  # the weights themselves
    assert trained_folder(NAME) == Path(NAME)
    assert results_path(Path(NAME)) == Path(NAME)
    shutil.rmtree(NAME)
    shutil.copytree(trained, NAME)
    with pytest.raises(InputError, match=rf"a folder here that holds others; \./{NAME} is the folder"):
        s2m2.load(NAME)
    for path in (f"./{NAME}", Path(NAME)):
        assert s2m2.load(path).run.path == Path(NAME)


def test_the_help_lists_the_names(registered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--help"]) == 0
    assert NAME in capsys.readouterr().out.replace("\n", " ")
    with pytest.raises(InputError, match=rf"a name of weights \([^)]*{NAME}\)"):
        s2m2.ImageClassifier(backbone="nothing of the kind").fit([np.zeros((9, 9, 3), np.uint8)] * 2, ["a", "b"])


def test_neither_wheel_nor_source_archive_takes_the_weights() -> None:
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    assert targets["wheel"] == {"packages": ["s2m2"]}
    assert set(targets["sdist"]) == {"include"}
    assert not any(place.startswith("weights") for place in targets["sdist"]["include"])
    assert not list((ROOT / "s2m2" / "runs").rglob("*.safetensors"))


@pytest.fixture(params=sorted(SHA256) or [None])
def name(request: pytest.FixtureRequest) -> str:
    if request.param is None:
        pytest.skip("no weights are registered yet")
    return str(request.param)


def test_registered_weights_are_whole(name: str) -> None:
    folder = CHECKOUT / "weights" / name
    assert re.fullmatch("[0-9a-f]{64}", SHA256[name])
    assert digest_of(folder) == SHA256[name]
    file = weights_file(folder)
    assert file is not None
    assert file.stat().st_size <= MAX_BYTES
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert SHA256[name] in card
    assert f"s2m2 evaluate --run {name}" in card
    assert len((folder / "scores.csv").read_text(encoding="utf-8").splitlines()) > 1
    assert (folder / "LICENSE").stat().st_size
    assert (folder / LOG).stat().st_size
    assert name in (ROOT / "README.md").read_text(encoding="utf-8")
    loaded = s2m2.load(name)
    assert loaded.features(np.zeros((1, 40, 40, 3), np.uint8)).shape == (1, loaded.feature_dim)


def test_every_folder_of_weights_has_a_name() -> None:
    folder = ROOT / "weights"
    assert {entry.name for entry in folder.iterdir() if entry.is_dir()} <= set(SHA256) if folder.is_dir() else True
