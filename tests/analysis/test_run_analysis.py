"""`s2m2 analyze`: every finished stage of a run is measured, and errors are one line."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from s2m2.analysis.geometry import min_soft_nearest_neighbor_loss
from s2m2.analysis.measurements import Analysis, changed_stages, load_analysis
from s2m2.analysis.network import choose_images
from s2m2.cli import main
from s2m2.data.augment import evaluation_view
from s2m2.data.batches import split_base
from s2m2.data.dataset import open_dataset
from s2m2.models import CosineHead
from s2m2.recipe import read_recipe
from s2m2.runs.checkpoint import Outcome, load_head, save_outcome, save_tensors
from s2m2.runs.directory import RunDirectory
from s2m2.runs.loading import read_backbone
from tests.data.one_dataset import one_dataset
from tests.integration.tiny import tiny_flags, without_report
from tests.runs.test_importing import run_of

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = ["--analyze.classes", "6", "--analyze.images", "3", "--analyze.predictions", "50", "--analyze.batch_size", "25"]


Analyzed = tuple[RunDirectory, Analysis]


@pytest.fixture(scope="module")
def analyzed(glyph_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Analyzed:
    """A trained run with held-out images and wrong labels, and its analysis."""
    run = RunDirectory(tmp_path_factory.mktemp("runs") / "tiny")
    flags = tiny_flags(
        glyph_folder, run.path, data__holdout_fraction="0.25", data__label_noise="0.4", pretrain__epochs="1", finetune__epochs="1"
    )
    with without_report():
        assert main(["pretrain", *flags]) == 0
        assert main(["finetune", "--run", str(run.path)]) == 0
    return run, analyze(run, *SMALL)


def analyze(run: RunDirectory, *flags: str) -> Analysis:
    assert main(["analyze", "--run", str(run.path), "--runtime.accelerator", "cpu", *flags]) == 0
    analysis = load_analysis(run.analysis)
    assert analysis is not None
    return analysis


def test_every_finished_stage_and_the_initial_weights_are_measured(analyzed: Analyzed) -> None:
    run, analysis = analyzed
    assert [stage.name for stage in analysis.stages] == ["initial", "pretrain", "finetune"]
    assert len({stage.fingerprint for stage in analysis.stages}) == 3
    assert [stage.head is None for stage in analysis.stages] == [True, False, False]
    assert [stage.memorization is None for stage in analysis.stages] == [True, False, False]
    assert (analysis.base_from, analysis.head_from, analysis.settings["classes"]) == ("held out", "held out", 6)
    assert all(len(stage.base.layers) == len(stage.novel.layers) == 5 for stage in analysis.stages if stage.novel)
    inputs = {stage.base.layers[0] for stage in analysis.stages}
    assert len(inputs) == 1  # the same images, which no weights have changed
    assert changed_stages(run, analysis) == []
    assert "What the network has learned" in run.report.read_text(encoding="utf-8")
    assert read_recipe(run.recipe).analyze.classes == 20  # that of the recipe stays
    assert not [path for path in run.path.rglob("*") if path.name.endswith(".partial")]


def test_the_measures_are_those_of_the_best_weights(analyzed: Analyzed, glyph_folder: Path) -> None:
    run, analysis = analyzed
    recipe, dataset = read_recipe(run.recipe), open_dataset(glyph_folder)
    config = type(recipe.analyze)(classes=6, images=3, predictions=50)
    images = choose_images(type(recipe)(data=recipe.data, analyze=config), one_dataset(dataset))
    backbone = read_backbone(recipe, run, "finetune").eval()
    head = CosineHead(backbone.feature_dim, 32, recipe.model.scale)
    load_head(run.best("finetune"), "classifier", head)
    with torch.inference_mode():
        base = backbone(evaluation_view(dataset.image_tensor()[images.base.indices], recipe.data))
        logits = head(backbone(evaluation_view(dataset.image_tensor()[images.head.indices], recipe.data)))
    last = analysis.stages[-1]
    minimum = min_soft_nearest_neighbor_loss(base, images.base.labels)
    assert last.base.layers[-1].entanglement == pytest.approx(minimum.loss, rel=1e-4)
    assert last.head is not None
    assert last.head.accuracy == float((logits.argmax(1) == images.head.labels).double().mean())
    assert last.head.images == 50
    memory, trained = last.memorization, split_base(dataset, recipe.data, recipe.seed)
    assert memory is not None
    assert memory.corrupted + memory.clean == 50
    assert len(trained.indices) == 32 * 6


def test_another_call_samples_the_same_images_and_settings_take_effect(analyzed: Analyzed, capsys: pytest.CaptureFixture[str]) -> None:
    run, before = analyzed
    with without_report():
        after = analyze(run, *SMALL, "--analyze.temperature", "3.5", "--analyze.epsilons", "2")
    assert "at temperature 3.5" in capsys.readouterr().out
    for first, second in zip(before.stages, after.stages, strict=True):
        assert (first.fingerprint, first.memorization) == (second.fingerprint, second.memorization)
        assert [layer.effective_rank for layer in first.base.layers] == [layer.effective_rank for layer in second.base.layers]
        assert {layer.temperature for layer in second.base.layers} == {3.5}
        if first.head is not None and second.head is not None:
            assert (first.head.accuracy, first.head.bins) == (second.head.accuracy, second.head.bins)
            assert second.head.attacked == first.head.attacked[1:2]


def test_a_run_that_has_not_finished_training_is_one_line_and_nothing_is_written(
    tmp_path: Path, glyph_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (tmp_path / "nowhere", tmp_path / "young"):
        if path.name == "young":
            path.mkdir()
            (path / "recipe.yaml").write_text(f"data:\n  path: {glyph_folder}\n")
        before = sorted(tmp_path.rglob("*"))
        assert main(["analyze", "--run", str(path)]) == 2
        reason = {
            "nowhere": f"--run {path} is no run directory: there is no such directory",
            "young": f"no finished training in {path}; give the directory of a trained run with --run",
        }
        assert capsys.readouterr().err.strip().splitlines() == [f"s2m2 analyze: {reason[path.name]}"]
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--analyze.images", "1"], "--analyze.images is 1"),
        (["--data.holdout_fraction", "0.5"], "data.holdout_fraction 0.25, not 0.5"),
    ],
)
def test_wrong_settings_are_one_line_and_leave_the_analysis_alone(
    analyzed: Analyzed, flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = analyzed
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}
    assert main(["analyze", "--run", str(run.path), *flags]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()} == before


def test_an_imported_run_has_neither_initial_weights_nor_a_class_head_that_fits(tmp_path: Path, glyph_folder: Path) -> None:
    run = run_of(tmp_path, outputs=200)
    with without_report():
        analysis = analyze(run, "--data.path", str(glyph_folder), *SMALL)
    assert [(stage.name, stage.head) for stage in analysis.stages] == [("finetune", None)]


def test_a_network_that_has_collapsed_is_a_result(tmp_path: Path, glyph_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(tmp_path, outputs=200)
    zeros = {name: torch.zeros_like(value) for name, value in load_file(run.best("finetune")).items()}
    save_outcome(
        run.outcome("finetune"), Outcome(epochs=1, best_epoch=1, imported="zeros", weights=save_tensors(run.best("finetune"), zeros, {}))
    )
    with without_report():
        (stage,) = analyze(run, "--data.path", str(glyph_folder), *SMALL).stages
    last = stage.base.layers[-1]
    assert (last.flat_classes, last.effective_rank, last.entanglement) == (6, 0, pytest.approx(stage.base.chance))
    assert "flat" in capsys.readouterr().out
