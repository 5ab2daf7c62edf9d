"""The loop: it repeats bit for bit, continues bit for bit, keeps the best, stops on time, and fails in one clear line."""

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from s2m2.data.augment import evaluation_view
from s2m2.data.dataset import ImageDataset, LabeledImages, open_dataset
from s2m2.models import Backbone, build_backbone, initialize
from s2m2.random import generator_for
from s2m2.recipe import DataConfig, FinetuneConfig, ModelConfig, OptimizerConfig, PretrainConfig, Recipe, TrainingConfig, ValidationConfig
from s2m2.runs.checkpoint import Outcome, load_best, load_outcome, read_tensors
from s2m2.runs.directory import RunDirectory
from s2m2.runs.logging import read_metrics
from s2m2.training import loop
from s2m2.training.loop import Score, train_stage
from s2m2.training.objectives import Objective, finetune_objective, pretrain_objective
from s2m2.training.step import StageSettings, TrainingStep

pytestmark = pytest.mark.usefixtures("one_thread")
CONSTANT = OptimizerConfig(name="adam", learning_rate=1e-3, schedule="constant")
CONFIG = PretrainConfig(epochs=2, batch_size=32, rotations="one", optimizer=CONSTANT)
AVERAGED = replace(CONFIG, ema_decay=0.9, bn_recalibration_images=64)


class Killed(BaseException):
    """Stands for kill -9: nothing in the package can catch it."""


def images(dataset: ImageDataset) -> LabeledImages:
    indices = torch.from_numpy(dataset.indices("base"))
    return LabeledImages(images=dataset.image_tensor(), indices=indices, labels=torch.from_numpy(dataset.labels)[indices])


def networks(config: TrainingConfig, dataset: ImageDataset, backbone: str = "conv4") -> tuple[Backbone, Objective]:
    dropout = 0.3 if backbone == "wrn28_10" else 0.0
    model = ModelConfig(backbone=backbone, width=4, dropout=dropout)  # type: ignore[arg-type]
    network = build_backbone(model, 28, generator_for(0, "backbone"))
    objective = pretrain_objective(Recipe(model=model), network.feature_dim, len(dataset.splits["base"]))
    initialize(objective, generator_for(0, "heads"))
    if isinstance(config, FinetuneConfig):
        objective = finetune_objective(Recipe(model=model, finetune=config), objective)
    return network, objective


def train(
    folder: Path,
    dataset: ImageDataset,
    config: TrainingConfig = CONFIG,
    backbone: str = "conv4",
    scores: list[float] | None = None,
    **settings: Any,
) -> tuple[Outcome, dict[str, Tensor]]:
    network, objective = networks(config, dataset, backbone)
    left = iter(scores or [])
    stage = StageSettings(
        config=config,
        data=DataConfig(image_size=28, resize_ratio=1.15),
        seed=0,
        channels_last=False,
        checkpoint_seconds=settings.pop("checkpoint_seconds", 1e9),
        validate_start=isinstance(config, FinetuneConfig),
    )
    fabric = Fabric(accelerator="cpu", devices=1)
    outcome = train_stage(
        fabric, RunDirectory(folder), network, objective, images(dataset), stage, lambda _: Score(mean=next(left, 0.5), interval=0.01)
    )
    return outcome, network.state_dict()


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def kill_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    original = TrainingStep.__call__

    def step_or_die(self: Any, number: int) -> Any:
        if number == step:
            raise Killed
        return original(self, number)

    monkeypatch.setattr(TrainingStep, "__call__", step_or_die)


def test_the_same_seed_gives_the_same_weights_bit_for_bit(tmp_path: Path, small_glyphs: ImageDataset) -> None:
    assert equal(train(tmp_path / "a", small_glyphs)[1], train(tmp_path / "b", small_glyphs)[1])


@cache
def uninterrupted(dataset: Path, config: TrainingConfig, backbone: str) -> tuple[Outcome, dict[str, Tensor]]:
    with tempfile.TemporaryDirectory() as folder:
        return train(Path(folder), open_dataset(dataset), config, backbone)


@pytest.mark.parametrize("killed_at", [3, 8, 11])
@pytest.mark.parametrize(
    ("config", "backbone"), [(CONFIG, "wrn28_10"), (FinetuneConfig(epochs=2, batch_size=32, patience=0), "conv4"), (AVERAGED, "wrn28_10")]
)
def test_a_killed_stage_continues_to_the_same_weights_bit_for_bit(
    tmp_path: Path, glyph_folder: Path, monkeypatch: pytest.MonkeyPatch, config: TrainingConfig, backbone: str, killed_at: int
) -> None:
    # 256 base images in batches of 32: 8 steps an epoch. A checkpoint after every step (0 seconds), dropout in the network.
    whole, dataset = uninterrupted(glyph_folder, config, backbone), open_dataset(glyph_folder)
    with monkeypatch.context() as patched:
        kill_at(patched, killed_at)
        with pytest.raises(Killed):
            train(tmp_path / "killed", dataset, config, backbone, checkpoint_seconds=0.0)
    continued = train(tmp_path / "killed", dataset, config, backbone)
    assert equal(whole[1], continued[1])
    assert replace(whole[0], seconds=0.0) == replace(continued[0], seconds=0.0)
    rows = read_metrics(tmp_path / "killed" / "metrics.jsonl")
    validated = [row["step"] for row in rows if row["kind"] == "validation"]
    assert validated == ([0] if isinstance(config, FinetuneConfig) else []) + [8, 16]


def die_at(monkeypatch: pytest.MonkeyPatch, commit: int, *, after: bool) -> None:
    """A kill around the n-th file that gets its name, before or after it does."""
    original, left = Path.replace, [commit]

    def replace_or_die(self: Path, target: Path) -> Path:
        left[0] -= 1
        if left[0] == 0 and not after:
            raise Killed
        moved = original(self, target)
        if left[0] == 0:
            raise Killed
        return moved

    monkeypatch.setattr(Path, "replace", replace_or_die)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_around_any_write_leaves_best_weights_and_outcome_of_one_epoch(
    tmp_path: Path, small_glyphs: ImageDataset, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    config, scores = replace(CONFIG, epochs=3), [0.3, 0.6, 0.5]
    whole, _ = train(tmp_path / "whole", small_glyphs, config, scores=scores)
    best = read_tensors(RunDirectory(tmp_path / "whole").best("pretrain"))[0]
    assert whole.best_epoch == 2
    commit, killed = 0, True
    while killed:
        commit += 1
        folder = tmp_path / f"killed {commit}"
        run = RunDirectory(folder)
        with monkeypatch.context() as patched:
            die_at(patched, commit, after=after)
            try:
                train(folder, small_glyphs, config, scores=scores)
                killed = False
            except Killed:
                pass
        done = load_last_progress(run)
        outcome, _ = train(folder, small_glyphs, config, scores=[0.3, 0.6, 0.5][done:])
        assert replace(outcome, seconds=0.0) == replace(whole, seconds=0.0)
        assert load_outcome(run.outcome("pretrain")) == outcome
        assert read_tensors(run.best("pretrain"))[1]["epoch"] == "2"
        assert equal(best, read_tensors(run.best("pretrain"))[0])
        assert {path.name for path in run.best("pretrain").parent.iterdir()} == {"best.safetensors", "last.pt", "outcome.json"}
    assert commit > 8


def load_last_progress(run: RunDirectory) -> int:
    """Validations that the last checkpoint knows; steps are 8 an epoch."""
    last = run.last("pretrain")
    return int(torch.load(last, weights_only=True)["progress"]["step"]) // 8 if last.exists() else 0


def test_lost_best_weights_do_not_live_on(tmp_path: Path, small_glyphs: ImageDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    run, original, calls = RunDirectory(tmp_path), loop.save_last, []

    def second_dies(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise Killed
        original(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "save_last", second_dies)
        with pytest.raises(Killed):
            train(tmp_path, small_glyphs, CONFIG, scores=[0.5, 0.9])
    assert run.coming("pretrain").exists()  # the weights of 0.9, which no checkpoint knows
    outcome, _ = train(tmp_path, small_glyphs, CONFIG, scores=[0.4])  # this time the same epoch is worse
    assert (outcome.best_epoch, outcome.best_score) == (1, 0.5)
    assert read_tensors(run.best("pretrain"))[1]["epoch"] == "1"


def test_a_finished_stage_is_left_as_it_is(tmp_path: Path, small_glyphs: ImageDataset) -> None:
    first, _ = train(tmp_path, small_glyphs)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    again, _ = train(tmp_path, small_glyphs)
    assert first == again == load_outcome(RunDirectory(tmp_path).outcome("pretrain"))
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}


def test_the_best_weights_are_kept_and_patience_stops(tmp_path: Path, small_glyphs: ImageDataset) -> None:
    config = replace(CONFIG, epochs=6, patience=2)
    outcome, last = train(tmp_path, small_glyphs, config, scores=[0.3, 0.6, 0.5, 0.6, 0.9, 0.9])
    assert (outcome.epochs, outcome.best_epoch, outcome.best_score, outcome.stopped_early) == (4, 2, 0.6, True)
    best, _ = networks(config, small_glyphs)
    load_best(RunDirectory(tmp_path).best("pretrain"), best)
    two_epochs, two_weights = train(tmp_path / "two", small_glyphs, replace(CONFIG, epochs=2))
    assert two_epochs.epochs == 2
    assert equal(best.state_dict(), two_weights)
    assert not equal(best.state_dict(), last)


def test_fine_tuning_that_never_helps_keeps_the_weights_it_started_from(tmp_path: Path, small_glyphs: ImageDataset) -> None:
    config = FinetuneConfig(epochs=5, batch_size=32, patience=1)
    outcome, _ = train(tmp_path, small_glyphs, config, scores=[0.8, 0.7])
    assert (outcome.epochs, outcome.best_epoch, outcome.stopped_early) == (1, 0, True)
    best, _ = networks(config, small_glyphs)
    start, _ = networks(config, small_glyphs)
    load_best(RunDirectory(tmp_path).best("finetune"), best)
    assert equal(best.state_dict(), start.state_dict())


def test_validation_comes_every_so_many_epochs_and_after_the_last(tmp_path: Path, small_glyphs: ImageDataset) -> None:
    train(tmp_path, small_glyphs, replace(CONFIG, epochs=5, validation=ValidationConfig(every=2)))
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [row["epoch"] for row in rows if row["kind"] == "validation"] == [2, 4, 5]


@pytest.mark.parametrize(("seconds", "every", "saved"), [(1e9, 1, [1, 2, 3, 4]), (1e9, 3, [3, 4]), (0.0, 3, [1, 2, 3, 4])])
def test_checkpoints_follow_validation_and_the_clock(
    tmp_path: Path, small_glyphs: ImageDataset, monkeypatch: pytest.MonkeyPatch, seconds: float, every: int, saved: list[int]
) -> None:
    # Each takes seconds for a large network, in which a GPU is idle: no more of them than promised.
    saved_at: list[int] = []
    monkeypatch.setattr(
        "s2m2.training.loop.save_last", lambda path, backbone, objective, optimizer, progress, average: saved_at.append(progress.step)
    )
    train(tmp_path, small_glyphs, replace(CONFIG, epochs=4, validation=ValidationConfig(every=every)), checkpoint_seconds=seconds)
    assert [step // 8 for step in saved_at if step % 8 == 0] == saved
    assert seconds == 0 or all(step % 8 == 0 for step in saved_at)


def test_a_loss_that_is_not_finite_names_the_step_and_the_last_good_checkpoint(tmp_path: Path, small_glyphs: ImageDataset) -> None:
    config = replace(CONFIG, optimizer=OptimizerConfig(name="sgd", learning_rate=1e30, momentum=0.0))
    with pytest.raises(FloatingPointError, match=r"loss of pretrain is not finite at step \d+; there was no checkpoint yet"):
        train(tmp_path / "early", small_glyphs, config)
    train(tmp_path / "late", small_glyphs)
    (RunDirectory(tmp_path / "late").outcome("pretrain")).unlink()
    wild = replace(config, optimizer=replace(CONSTANT, learning_rate=1e30), epochs=3)
    with pytest.raises(FloatingPointError, match=r"not finite at step (17|18|19); the last good checkpoint is .*last\.pt"):
        train(tmp_path / "late", small_glyphs, wild, checkpoint_seconds=0.0)


def test_weights_that_are_not_finite_are_never_written(tmp_path: Path, small_glyphs: ImageDataset) -> None:
    config = replace(CONFIG, optimizer=OptimizerConfig(name="sgd", learning_rate=1e30, momentum=0.0))
    with pytest.raises(FloatingPointError):
        train(tmp_path, small_glyphs, config, checkpoint_seconds=0.0)
    # After the first step the weights are not finite, though its loss is: nothing may be kept of it.
    assert not RunDirectory(tmp_path).last("pretrain").exists()


def test_training_learns_the_classes(tmp_path: Path, small_glyphs: ImageDataset) -> None:
    train(tmp_path, small_glyphs, replace(CONFIG, epochs=12))
    losses = [row["loss"] for row in read_metrics(tmp_path / "metrics.jsonl") if row["kind"] == "train"]
    assert losses[-1] < losses[0] - 0.15


def test_the_average_of_the_weights_is_what_is_kept(tmp_path: Path, small_glyphs: ImageDataset) -> None:
    _, last = train(tmp_path, small_glyphs, replace(CONFIG, ema_decay=0.9))
    best, _ = networks(CONFIG, small_glyphs)
    load_best(RunDirectory(tmp_path).best("pretrain"), best)
    name = "stages.3.0.weight"
    assert not torch.equal(best.state_dict()[name], last[name])
    state = torch.load(RunDirectory(tmp_path).last("pretrain"), weights_only=True)
    assert torch.equal(state["weights"][f"backbone.{name}"], last[name])


def test_reestimated_statistics_are_those_of_the_saved_weights_without_augmentation(tmp_path: Path, small_glyphs: ImageDataset) -> None:
    every = replace(CONFIG, epochs=1, bn_recalibration_images=256)
    train(tmp_path, small_glyphs, every)
    best, _ = networks(CONFIG, small_glyphs)
    load_best(RunDirectory(tmp_path).best("pretrain"), best)
    base = images(small_glyphs)
    first = best.stages[0][0](evaluation_view(base.images[base.indices], DataConfig(image_size=28, resize_ratio=1.15)))
    # All 256 base images once: the mean of the means of equal batches is the mean of all.
    torch.testing.assert_close(best.stages[0][1].running_mean, first.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
