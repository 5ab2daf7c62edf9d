"""`s2m2 export`: exported weights score as in their run, and the card states what the files of the run state."""

import json
import re
import shlex
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from s2m2.cli import main
from s2m2.evaluation.results import TaskResults, load_results, save_results
from s2m2.pipeline import evaluate_run
from s2m2.recipe import DataConfig, EvaluateConfig, ModelConfig, Recipe, RuntimeConfig, read_recipe
from s2m2.reports.export_weights import shareable
from s2m2.reports.exporting import card_results
from s2m2.runs.directory import RunDirectory
from s2m2.runs.loading import load
from tests.evaluation.random_run import INTERVAL, OUTCOME, random_run
from tests.reports.made_up import made_up_results

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = ["--runtime.accelerator", "cpu"]
ROW = re.compile(r"^\| novel, `glyphs` \|.*\|$", re.MULTILINE)


@pytest.fixture(scope="module")
def finished(glyph_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A finished run with random weights, scored after both stages."""
    recipe = Recipe(
        data=DataConfig(path=str(glyph_folder), image_size=28, resize_ratio=1.15),
        model=ModelConfig(width=8),
        evaluate=EvaluateConfig(
            classifiers=("nearest_mean", "ridge"), shots=(1,), queries=3, tasks=30, selection_tasks=20, open_set_classes=2
        ),
        runtime=RuntimeConfig(accelerator="cpu", threads=1),
    )
    run = random_run(tmp_path_factory.mktemp("runs") / "tiny", recipe, "pretrain", "finetune")
    evaluate_run(recipe, run.path)
    return run


@pytest.fixture(scope="module")
def exported(finished: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(finished, tmp_path_factory.mktemp("exports") / "given away", "--license", "CC-BY-4.0")


@pytest.fixture
def copied(finished: RunDirectory, tmp_path: Path) -> RunDirectory:
    """A copy of the run to spoil."""
    shutil.copytree(finished.path, tmp_path / "copied")
    return RunDirectory(tmp_path / "copied")


def export(run: RunDirectory, output: Path, *flags: str) -> Path:
    assert main(["export", "--run", str(run.path), "--output", str(output), *flags]) == 0
    return output


def card(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def results(run: RunDirectory, features: str) -> dict[str, TaskResults]:
    return {path.name: load_results(path) for path in run.results.glob(f"novel-{features}-*.json")}


def test_by_the_command_of_its_card_an_export_scores_as_its_run_bit_for_bit(
    finished: RunDirectory, exported: Path, glyph_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(exported, tmp_path / exported.name)
    monkeypatch.chdir(tmp_path)
    (command,) = re.findall(r"^s2m2 evaluate .*$", card(exported), re.MULTILINE)
    words = [str(glyph_folder) if word == "DATASET" else word for word in shlex.split(command)[1:]]
    assert main([*words, *CPU]) == 0
    folder = RunDirectory(tmp_path / exported.name)
    exported_values, run_values = results(folder, "finetune"), results(finished, "finetune")
    assert exported_values.keys() == run_values.keys()  # the names end in a digest of the fingerprint too
    assert len(exported_values) == 2
    for name, result in exported_values.items():
        assert (result.per_task, result.fingerprint) == (run_values[name].per_task, run_values[name].fingerprint)
    assert f"imported from run {finished.path.name}" in folder.report.read_text()


def test_either_stage_can_be_exported_with_its_heads(finished: RunDirectory, tmp_path: Path) -> None:
    folder = RunDirectory(export(finished, tmp_path / "out", "--stage", "pretrain"))
    stored, trained = load_file(folder.best("pretrain")), load_file(finished.best("pretrain"))
    assert stored.keys() == trained.keys()
    assert all(torch.equal(value, trained[name]) for name, value in stored.items())
    assert load(folder.path).stage == "pretrain"
    assert not folder.best("finetune").parent.exists()


@pytest.mark.parametrize(("precision", "relative"), [("float16", 2**-10), ("bfloat16", 2**-7)])
def test_an_export_in_half_the_bits_is_close(finished: RunDirectory, tmp_path: Path, precision: str, relative: float) -> None:
    folder = RunDirectory(export(finished, tmp_path / "out", "--precision", precision))
    stored, full = load_file(folder.best("finetune")), load_file(finished.best("finetune"))
    assert stored.keys() == full.keys()
    for name, value in full.items():
        expected = value.dtype if value.ndim < 2 else getattr(torch, precision)
        assert stored[name].dtype == expected
        torch.testing.assert_close(stored[name].to(value.dtype), value, rtol=relative, atol=1e-6)
    images = torch.randint(256, (6, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    exported_values, run_values = (load(run.path).features(images) for run in (folder, finished))
    assert not torch.equal(exported_values, run_values)
    torch.testing.assert_close(exported_values, run_values, rtol=0.05, atol=0.05)
    assert f"before the weights were rounded to {precision}" in card(folder.path)


def test_an_export_in_float16_scores_nearly_as_its_run(finished: RunDirectory, glyph_folder: Path, tmp_path: Path) -> None:
    folder = RunDirectory(export(finished, tmp_path / "out", "--precision", "float16"))
    recipe = read_recipe(folder.recipe)
    here = replace(recipe, data=replace(recipe.data, path=str(glyph_folder)), runtime=RuntimeConfig(accelerator="cpu", threads=1))
    evaluate_run(here, folder.path)
    exported_values, run_values = (
        {result.classifier: result for result in results(run, "finetune").values()} for run in (folder, finished)
    )
    assert exported_values.keys() == run_values.keys()
    for classifier, result in exported_values.items():
        assert result.fingerprint != run_values[classifier].fingerprint
        assert abs(result.mean - run_values[classifier].mean) < 0.02


def test_an_export_of_an_export_stays_in_its_precision(finished: RunDirectory, tmp_path: Path) -> None:
    half = RunDirectory(export(finished, tmp_path / "half", "--precision", "float16"))
    again, full = RunDirectory(export(half, tmp_path / "again")), RunDirectory(export(half, tmp_path / "full", "--precision", "float32"))
    stored, again_stored = load_file(half.best("finetune")), load_file(again.best("finetune"))
    assert all(again_stored[name].dtype == value.dtype and torch.equal(again_stored[name], value) for name, value in stored.items())
    assert re.search(r"^\| file \|.* bytes, float16 \|$", card(again.path), re.MULTILINE)
    assert re.search(r"^\| file \|.* bytes, float32 \|$", card(full.path), re.MULTILINE)
    assert "were rounded" not in card(again.path)  # these are the weights of the export, bit for bit


def test_the_snippet_of_the_card_runs_as_written(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", card(exported), re.DOTALL)
    monkeypatch.chdir(exported)
    made: dict[str, Tensor] = {}
    exec(snippet, made)  # type: ignore[arg-type]
    assert made["features"].shape == (4, load(exported).backbone.feature_dim)


def test_the_scores_of_the_card_are_those_of_the_results(finished: RunDirectory, exported: Path) -> None:
    stated = [json.loads(path.read_text()) for path in finished.results.glob("novel-finetune-*.json")]
    expected = set()
    for one in stated:
        score = f"{100 * one['mean']:.2f} ± {100 * one['class_interval']:.2f} | ± {100 * one['interval']:.2f}"
        kind = f"{one['ways']}-way {one['shots']}-shot | {one['protocol']} | {one['queries']} | {one['tasks']}, {one['seed']}"
        expected.add(f"| novel, `glyphs` | {kind} | finetune | {one['classifier']} | none | {score} |")
    assert len(expected) == 2
    assert set(ROW.findall(card(exported))) == expected


def test_the_card_states_weights_data_and_selection(finished: RunDirectory, exported: Path, glyph_folder: Path) -> None:
    text = card(exported)
    digest = json.loads((glyph_folder / "dataset.json").read_text())["digest"]
    for split, classes, images in (("base", 32, 256), ("validation", 8, 64), ("novel", 10, 80)):
        assert f"| {split} | `glyphs` | drawn by this package | {classes} | {images} | 32 x 32 | `{digest}` |" in text
    assert (
        f"was best: {100 * OUTCOME.best_score:.2f} ± {100 * INTERVAL:.2f} % (600 tasks, 5-way 1-shot, classifier `cosine_centroid`)" in text
    )
    trained = load(finished.path)
    assert f"| parameters | {sum(value.numel() for value in trained.backbone.parameters()):,} |" in text
    assert "CC-BY-4.0." in text
    assert "License of the images: not stated." in text
    with safe_open(RunDirectory(exported).best("finetune"), framework="pt") as stored:
        words = stored.metadata()
    assert (words["stage"], words["precision"], words["image_size"], words["license"]) == ("finetune", "float32", "28", "CC-BY-4.0")


def test_scores_of_other_weights_are_left_out_and_counted(copied: RunDirectory) -> None:
    on_card, left_out = card_results(copied, load(copied.path))
    assert (len(on_card), left_out) == (2, 0)
    one = next(iter(results(copied, "finetune").values()))
    save_results(copied.results, replace(one, fingerprint="0" * 64, created="2099-01-01T00:00:00+00:00"))
    save_results(copied.results, replace(one, features="finetune-ensemble2", created="2099-01-01T00:00:00+00:00"))
    again, left_out = card_results(copied, load(copied.path))
    assert ([result.file_name for result in again], left_out) == ([result.file_name for result in on_card], 2)
    folder = export(copied, copied.path.with_name("out"))
    assert "Left out: 2 of the run's results" in card(folder)
    assert len(ROW.findall(card(folder))) == 2


def test_a_run_without_scores_says_so(copied: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(copied.results)
    folder = export(copied, copied.path.with_name("out"))
    assert "There are none: the run holds no few-shot result of these weights." in card(folder)
    assert "* Accuracy on novel classes." in card(folder)
    assert "a model card with no scores" in capsys.readouterr().out


def test_nothing_tells_where_the_run_or_the_images_lay(finished: RunDirectory, exported: Path, glyph_folder: Path) -> None:
    places = {str(path.parent) for path in (finished.path, exported, glyph_folder)} | {str(Path.home()) + "/", str(Path.cwd())}
    for file in (path for path in exported.rglob("*") if path.is_file()):
        content = file.read_bytes().decode(errors="replace")
        assert not [place for place in places if place in content], file.name
    assert read_recipe(exported / "recipe.yaml").data.path == glyph_folder.name


@pytest.mark.parametrize(
    ("dataset", "shared"),
    [
        ("glyphs", "glyphs"),
        ("datasets/cub", "datasets/cub"),
        ("/home/me/datasets/cub", "cub"),
        ("~/datasets/cub", "cub"),
        ("../me/cub/", "cub"),
        ("/", "dataset"),
    ],
)
def test_a_recipe_keeps_names_of_datasets_and_no_places(dataset: str, shared: str) -> None:
    evaluate = EvaluateConfig(
        novel_dataset=dataset, query_dataset=dataset, save_tasks=Path("/a"), tasks_from=(Path("/b"),), ensemble=(Path("/c"),)
    )
    recipe = Recipe(data=DataConfig(path=dataset, validation_dataset=dataset), evaluate=evaluate, runtime=RuntimeConfig(accelerator="cuda"))
    public = shareable(recipe, "pretrain")
    assert {
        public.data.path,
        public.data.validation_dataset,
        public.evaluate.novel_dataset,
        public.evaluate.query_dataset,
    } == {shared}
    assert (public.evaluate.save_tasks, public.evaluate.tasks_from, public.evaluate.ensemble) == (None, (), ())
    assert (public.evaluate.features, public.runtime.accelerator) == (("pretrain",), "auto")
    assert (public.pretrain, public.finetune, public.model, public.seed) == (
        recipe.pretrain,
        recipe.finetune,
        recipe.model,
        recipe.seed,
    )


def test_an_export_can_be_exported_and_keeps_its_license(exported: Path, tmp_path: Path) -> None:
    text = card(export(RunDirectory(exported), tmp_path / "again"))
    assert "license: cc-by-4.0" in text
    assert f"imported from `run {load_source(exported)}`" in text
    assert "There are none: the run holds no few-shot result of these weights." in text


def load_source(folder: Path) -> str:
    return json.loads((folder / "imported.json").read_text())["source"].removeprefix("run ")


def test_the_size_is_printed_and_others_may_read_the_weights(
    finished: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = export(finished, tmp_path / "deep" / "out")
    sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    largest = max(sizes, key=lambda path: sizes[path])
    assert f"largest file: {largest}, {sizes[largest] / 2**20:.2f} MiB" in capsys.readouterr().out
    modes = {stat.S_IMODE(path.stat().st_mode) for path in sizes}
    assert len(modes) == 1
    assert {path.name for path in sizes} == {"README.md", "recipe.yaml", "imported.json", "outcome.json", "best.safetensors"}


def test_results_that_state_no_weights_have_to_be_younger_than_the_stage(tmp_path: Path) -> None:
    recipe = Recipe(data=DataConfig(image_size=28, resize_ratio=1.15), model=ModelConfig(width=4))
    run = random_run(tmp_path, recipe, "finetune")
    one = made_up_results("finetune", "ridge", 1, 0.6)
    one = replace(one, fingerprint=load(run.path).fingerprint_on(one.data_digest, one.split))
    save_results(run.results, one)
    before, after = "2001-01-01T00:00:00+00:00", "2099-01-01T00:00:00+00:00"
    crops, queries = replace(one, features="finetune-crops30"), replace(one, data_digest=f"{one.data_digest}+{'e' * 64}")
    for change in (crops, queries):
        for seed, created in enumerate((before, after, "")):
            save_results(run.results, replace(change, seed=seed, created=created))
    on_card, left_out = card_results(run, load(run.path))
    assert left_out == 4
    assert {result.created for result in on_card if result.features != "finetune" or "+" in result.data_digest} == {after}
    assert len(on_card) == 3
