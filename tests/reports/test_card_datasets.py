"""The datasets on a model card: counted where they are those that were scored, and named by the command where others lack them."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from s2m2.cli import main
from s2m2.data.glyphs import glyph_dataset
from s2m2.evaluation.results import load_results, save_results
from s2m2.io import write_text
from s2m2.recipe import DataConfig, EvaluateConfig, ModelConfig, Recipe, RuntimeConfig, read_recipe, recipe_to_yaml
from s2m2.reports.export_weights import missing_datasets
from s2m2.runs.directory import RunDirectory
from s2m2.runs.loading import load
from s2m2.runs.provenance import record
from tests.evaluation.random_run import random_run
from tests.reports.made_up import made_up_results

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def run(glyph_folder: Path, tmp_path: Path) -> RunDirectory:
    """A run with random weights and one made-up score on its novel classes."""
    recipe = Recipe(
        data=DataConfig(path=str(glyph_folder), image_size=28, resize_ratio=1.15),
        model=ModelConfig(width=4),
        evaluate=EvaluateConfig(classifiers=("ridge",), shots=(1,), queries=3, tasks=10, selection_tasks=5, open_set_classes=0),
        runtime=RuntimeConfig(accelerator="cpu", threads=1),
    )
    run = random_run(tmp_path / "run", recipe, "finetune")
    digest = digest_of(glyph_folder)
    fingerprint = load(run.path).fingerprint_on(digest, "novel")
    save_results(run.results, replace(made_up_results("finetune", "ridge", 1, 0.6), data_digest=digest, fingerprint=fingerprint))
    return run


@pytest.fixture(scope="module")
def another_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset of other glyphs."""
    cache = tmp_path_factory.mktemp("another")
    glyph_dataset(cache, classes=60, images_per_class=8)
    return next(folder for folder in cache.iterdir() if not folder.name.startswith("."))


def digest_of(folder: Path) -> str:
    return json.loads((folder / "dataset.json").read_text())["digest"]


def export(run: RunDirectory, output: Path) -> str:
    """The card of an export."""
    assert main(["export", "--run", str(run.path), "--output", str(output)]) == 0
    return (output / "README.md").read_text(encoding="utf-8")


def test_the_command_names_every_dataset_that_others_lack(
    run: RunDirectory,
    glyph_folder: Path,
    another_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = read_recipe(run.recipe)
    across = replace(recipe, evaluate=replace(recipe.evaluate, novel_dataset=str(another_folder)))
    write_text(run.recipe, recipe_to_yaml(across))
    monkeypatch.chdir(tmp_path)
    text = export(run, Path("given away"))
    (command,) = re.findall(r"^s2m2 evaluate .*$", text, re.MULTILINE)
    assert command == "s2m2 evaluate --run 'given away' --data.path DATASET --evaluate.novel_dataset NOVEL"
    assert f"`{command}` scores it" in capsys.readouterr().out
    assert "DATASET and NOVEL are folders of images" in text
    folders = {"DATASET": str(glyph_folder), "NOVEL": str(another_folder)}
    assert main([*(folders.get(word, word) for word in shlex.split(command)[1:]), "--runtime.accelerator", "cpu"]) == 0
    (result,) = RunDirectory(Path("given away")).results.glob("*.json")
    assert load_results(result).data_digest == digest_of(another_folder)


def test_datasets_that_others_have_need_no_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "datasets" / "birds").mkdir(parents=True)
    recipe = Recipe(data=DataConfig(path="datasets/birds", validation_dataset="glyphs"))
    assert missing_datasets(recipe) == {}
    assert missing_datasets(replace(recipe, data=DataConfig(path="cub", download="learn2learn", validation_dataset="cifar_fs"))) == {}
    far = replace(
        recipe, data=DataConfig(path="/a/x", validation_dataset="/a/y"), evaluate=EvaluateConfig(novel_dataset="/a/x", query_dataset="gone")
    )
    words = {"--data.path": "DATASET", "--data.validation_dataset": "VALIDATION", "--evaluate.novel_dataset": "DATASET"}
    assert missing_datasets(far) == {**words, "--evaluate.query_dataset": "QUERIES"}


def test_nothing_tells_where_other_datasets_runs_and_weights_lay(tmp_path: Path) -> None:
    pytest.importorskip("timm", reason="timm is not installed")
    secret = tmp_path / "secret"
    datasets = {name: str(secret / name) for name in ("base", "validation", "novel", "queries")}
    recipe = Recipe(
        data=DataConfig(path=datasets["base"], validation_dataset=datasets["validation"], image_size=32, resize_ratio=1.15),
        model=ModelConfig(backbone="timm", timm="test_resnet"),
        evaluate=EvaluateConfig(
            novel_dataset=datasets["novel"],
            query_dataset=datasets["queries"],
            save_tasks=secret / "saved",
            tasks_from=(secret / "tasks.npz",),
            ensemble=(secret / "another",),
        ),
    )
    run = random_run(secret / "run", recipe, "pretrain")
    write_text(run.recipe, recipe_to_yaml(replace(recipe, model=replace(recipe.model, weights=str(secret / "begin.safetensors")))))
    folder = tmp_path / "out"
    text = export(run, folder)
    for file in (path for path in folder.rglob("*") if path.is_file()):
        assert "secret" not in file.read_bytes().decode(errors="replace"), file.name
    shared = read_recipe(folder / "recipe.yaml")
    assert (shared.model.weights, shared.evaluate.novel_dataset, shared.evaluate.query_dataset) == ("begin.safetensors", "novel", "queries")
    assert "the dataset `base` was not at hand" in text


def test_images_that_are_gone_or_changed_are_not_counted(run: RunDirectory, glyph_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = run.recipe.read_text()
    run.recipe.write_text(recipe.replace(str(glyph_folder), "/no/such/dataset"))
    text = export(run, run.path.with_name("gone"))
    assert "When this was written, the dataset `dataset` was not at hand" in text
    assert "| base |" not in text
    assert "warning: the card counts no images" in capsys.readouterr().out
    run.recipe.write_text(recipe)
    record(run, data={"name": "x", "digest": "another"})
    text = export(run, run.path.with_name("changed"))
    assert "| base |" not in text
    assert f"the dataset `{glyph_folder.name}` held other images than those that were scored" in text


def test_images_of_novel_classes_that_are_gone_or_changed_are_named(run: RunDirectory, another_folder: Path) -> None:
    recipe = read_recipe(run.recipe)
    for novel, says in (("/no/such/novel", "the dataset `novel` was not at hand"), (str(another_folder), "held other images than those")):
        write_text(run.recipe, recipe_to_yaml(replace(recipe, evaluate=replace(recipe.evaluate, novel_dataset=novel))))
        text = export(run, run.path.with_name(f"out {Path(novel).name}"))
        assert says in text
        assert "| base |" not in text
