"""The tables on a model card: counted where they are those that were scored, and named by the command where others lack them."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from s2m2.cli import main
from s2m2.commands.card_tables import missing_tables
from s2m2.data.glyphs import glyph_table
from s2m2.evaluation.results import load_results, save_results
from s2m2.evaluation.trained import load_backbone
from s2m2.files import write_text
from s2m2.recipe import DataConfig, EvaluateConfig, ModelConfig, Recipe, RuntimeConfig, read_recipe, recipe_to_yaml
from s2m2.runs.directory import RunDirectory
from tests.evaluation.random_run import random_run
from tests.reporting.made_up import made_up_results

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def run(glyph_folder: Path, tmp_path: Path) -> RunDirectory:
    """A run with random weights and one made-up score on its novel classes."""
    recipe = Recipe(
        data=DataConfig(table=str(glyph_folder), image_size=28, resize=1.15),
        model=ModelConfig(width=4),
        evaluate=EvaluateConfig(heads=("ridge",), shots=(1,), queries=3, tasks=10, selection_tasks=5, unknown=0),
        runtime=RuntimeConfig(accelerator="cpu", threads=1),
    )
    run = random_run(tmp_path / "run", recipe, "finetune")
    digest = digest_of(glyph_folder)
    fingerprint = load_backbone(run.path).fingerprint_on(digest, "novel")
    save_results(run.results, replace(made_up_results("finetune", "ridge", 1, 0.6), data_digest=digest, fingerprint=fingerprint))
    return run


@pytest.fixture(scope="module")
def another_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table of other glyphs."""
    cache = tmp_path_factory.mktemp("another")
    glyph_table(cache, classes=60, images_per_class=8)
    return next(folder for folder in cache.iterdir() if not folder.name.startswith("."))


def digest_of(folder: Path) -> str:
    return json.loads((folder / "table.json").read_text())["digest"]


def export(run: RunDirectory, output: Path) -> str:
    """The card of an export."""
    assert main(["export", "--run", str(run.path), "--output", str(output)]) == 0
    return (output / "README.md").read_text(encoding="utf-8")


def test_the_command_names_every_table_that_others_lack(
    run: RunDirectory,
    glyph_folder: Path,
    another_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = read_recipe(run.recipe)
    across = replace(recipe, evaluate=replace(recipe.evaluate, novel_table=str(another_folder)))
    write_text(run.recipe, recipe_to_yaml(across))
    monkeypatch.chdir(tmp_path)
    text = export(run, Path("given away"))
    (command,) = re.findall(r"^s2m2 evaluate .*$", text, re.MULTILINE)
    assert command == "s2m2 evaluate --run 'given away' --data.table TABLE --evaluate.novel_table NOVEL"
    assert f"`{command}` scores it" in capsys.readouterr().out
    assert "TABLE and NOVEL are folders of pictures" in text
    places = {"TABLE": str(glyph_folder), "NOVEL": str(another_folder)}
    assert main([*(places.get(word, word) for word in shlex.split(command)[1:]), "--runtime.accelerator", "cpu"]) == 0
    (found,) = RunDirectory(Path("given away")).results.glob("*.json")
    assert load_results(found).data_digest == digest_of(another_folder)


def test_tables_that_others_have_need_no_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tables" / "birds").mkdir(parents=True)
    recipe = Recipe(data=DataConfig(table="tables/birds", validation_table="glyphs"))
    assert missing_tables(recipe) == {}
    assert missing_tables(replace(recipe, data=DataConfig(table="cub", download="learn2learn", validation_table="cifar_fs"))) == {}
    far = replace(
        recipe, data=DataConfig(table="/a/x", validation_table="/a/y"), evaluate=EvaluateConfig(novel_table="/a/x", query_table="gone")
    )
    words = {"--data.table": "TABLE", "--data.validation_table": "VALIDATION", "--evaluate.novel_table": "TABLE"}
    assert missing_tables(far) == {**words, "--evaluate.query_table": "QUERIES"}


def test_nothing_tells_where_other_tables_runs_and_weights_lay(tmp_path: Path) -> None:
    pytest.importorskip("timm", reason="timm is not installed")
    place = tmp_path / "secret"
    tables = {name: str(place / name) for name in ("base", "validation", "novel", "queries")}
    recipe = Recipe(
        data=DataConfig(table=tables["base"], validation_table=tables["validation"], image_size=32, resize=1.15),
        model=ModelConfig(backbone="timm", timm="test_resnet"),
        evaluate=EvaluateConfig(
            novel_table=tables["novel"],
            query_table=tables["queries"],
            save_tasks=place / "kept",
            tasks_from=(place / "tasks.npz",),
            ensemble=(place / "another",),
        ),
    )
    run = random_run(place / "run", recipe, "pretrain")
    write_text(run.recipe, recipe_to_yaml(replace(recipe, model=replace(recipe.model, weights=str(place / "begin.safetensors")))))
    folder = tmp_path / "out"
    text = export(run, folder)
    for file in (path for path in folder.rglob("*") if path.is_file()):
        assert "secret" not in file.read_bytes().decode(errors="replace"), file.name
    given = read_recipe(folder / "recipe.yaml")
    assert (given.model.weights, given.evaluate.novel_table, given.evaluate.query_table) == ("begin.safetensors", "novel", "queries")
    assert "the table `base` was not at hand" in text


def test_pictures_that_are_gone_or_changed_are_not_counted(
    run: RunDirectory, glyph_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = run.recipe.read_text()
    run.recipe.write_text(recipe.replace(str(glyph_folder), "/no/such/table"))
    text = export(run, run.path.with_name("gone"))
    assert "When this was written, the table `table` was not at hand" in text
    assert "| base |" not in text
    assert "warning: the card counts no pictures" in capsys.readouterr().out
    run.recipe.write_text(recipe)
    run.provenance.write_text(json.dumps({**json.loads(run.provenance.read_text()), "data": {"name": "x", "digest": "another"}}))
    text = export(run, run.path.with_name("changed"))
    assert "| base |" not in text
    assert f"the table `{glyph_folder.name}` held other pictures than those that were scored" in text


def test_pictures_of_novel_classes_that_are_gone_or_changed_are_named(run: RunDirectory, another_folder: Path) -> None:
    recipe = read_recipe(run.recipe)
    for novel, says in (("/no/such/novel", "the table `novel` was not at hand"), (str(another_folder), "held other pictures than those")):
        write_text(run.recipe, recipe_to_yaml(replace(recipe, evaluate=replace(recipe.evaluate, novel_table=novel))))
        text = export(run, run.path.with_name(f"out {Path(novel).name}"))
        assert says in text
        assert "| base |" not in text
