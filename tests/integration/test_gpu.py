"""On a GPU: every stage in mixed precision and compiled, and a run that a CPU began."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from s2m2.classifiers import CLASSIFIERS, BaseStatistics, build_classifier
from s2m2.cli import main
from s2m2.data import batches
from s2m2.data.dataset import ImageDataset
from s2m2.evaluation.accuracies import score_tasks
from s2m2.evaluation.features import FeatureSet
from s2m2.random import generator_for
from s2m2.recipe.training import ObjectiveName
from s2m2.runs.directory import RunDirectory
from s2m2.runs.logging import read_metrics
from s2m2.tasks.episodes import EpisodeSpec
from tests.integration.tiny import tiny_flags
from tests.training.networks import step_maker, tiny_recipe

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA GPU"),
    pytest.mark.filterwarnings("default"),
]
CUDA = {"runtime__accelerator": "cuda", "model__width": "8"}
"""With as many channels as channels-last order takes (`training/step.py`)."""


@pytest.mark.parametrize("objective", ["supervised", "rotation", "exemplar"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_every_objective_runs_through_all_stages_on_a_gpu(glyph_folder: Path, tmp_path: Path, objective: str, precision: str) -> None:
    flags = tiny_flags(glyph_folder, tmp_path / "run", pretrain__objective=objective, runtime__precision=precision, **CUDA)
    assert main(["run", *flags]) == 0


def test_the_first_losses_on_a_gpu_are_those_on_a_cpu_but_for_the_random_numbers(glyph_folder: Path, tmp_path: Path) -> None:
    losses = []
    for device in ("cpu", "cuda"):
        run = RunDirectory(tmp_path / device)
        changes = {**CUDA, "runtime__accelerator": device}
        flags = tiny_flags(glyph_folder, run.path, pretrain__objective="supervised", **changes)
        assert main(["pretrain", *flags]) == 0
        losses.append(next(row["loss"] for row in read_metrics(run.metrics) if row["kind"] == "train"))
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


def test_compiled_networks_train_both_stages(glyph_folder: Path, tmp_path: Path) -> None:
    flags = tiny_flags(glyph_folder, tmp_path / "run", runtime__compile="true", runtime__precision="bf16-mixed", **CUDA)
    assert main(["run", *flags]) == 0


def test_a_run_begun_on_a_cpu_is_continued_on_a_gpu(glyph_folder: Path, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    changes = {**CUDA, "pretrain__optimizer__name": "adam"}
    assert main(["pretrain", *tiny_flags(glyph_folder, run.path, **{**changes, "runtime__accelerator": "cpu"})]) == 0
    run.outcome("pretrain").unlink()
    state = torch.load(run.last("pretrain"), weights_only=True)
    state["progress"]["step"] //= 2  # half of the steps are still to be taken
    torch.save(state, run.last("pretrain"))
    assert main(["pretrain", *tiny_flags(glyph_folder, run.path, **changes)]) == 0


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_scores_on_a_gpu_as_on_a_cpu(name: str) -> None:
    generator = generator_for(0, "gpu")
    labels = torch.arange(8).repeat_interleave(40)
    # More numbers than items in a task, as with real features: some classifiers then compute in the span of the items.
    values = (torch.randn(8, 128, generator=generator)[labels] + torch.randn(320, 128, generator=generator)).relu()
    names = tuple(map(str, range(8)))
    features = FeatureSet(features=values, labels=labels, indices=torch.arange(320), class_names=names, fingerprint="")
    classifier = build_classifier(name, BaseStatistics.from_features(values, labels))
    spec = EpisodeSpec(ways=5, shots=2, queries=10, tasks=64)
    cpu, cuda = (score_tasks(features, spec, classifier, device=device) for device in ("cpu", "cuda"))
    assert (cpu - cuda).abs().mean() < 0.01


@pytest.mark.parametrize("objective", ["supervised", "rotation", "exemplar", "mixup"])
@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_a_step_never_waits_for_the_gpu(small_glyphs: ImageDataset, objective: ObjectiveName, stage: str) -> None:
    recipe = tiny_recipe(objective, width=8)
    config = replace(recipe.finetune if stage == "finetune" else recipe.pretrain, ema_decay=0.9)
    step = step_maker(small_glyphs, recipe, config, "cuda")(lambda part: None)
    step.networks.train()
    for number in range(3):
        step(number)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for number in range(3, 7):
            step(number)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_images_that_do_not_fit_give_the_same_batches(small_glyphs: ImageDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe()
    resident = step_maker(small_glyphs, recipe, recipe.pretrain, "cuda")(lambda part: None)
    monkeypatch.setattr(batches, "RESIDENT_FRACTION", 0.0)
    streamed = step_maker(small_glyphs, recipe, recipe.pretrain, "cuda")(lambda part: None)
    assert resident.read.images.is_cuda
    assert not streamed.read.images.is_cuda
    for number in range(20):
        for one, other in zip(resident.read(number), streamed.read(number), strict=True):
            assert torch.equal(one, other)
