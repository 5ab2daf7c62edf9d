"""Shared by all studies: the images, training and measurement of networks, parallel processes, and saved findings.

A study is a list of trials, each a setting with a seed. Trials of one seed share initial weights, held-out images and few-shot
tasks, so settings are compared by differences within a seed. The findings of a trial are a JSON file named by a digest of its
settings and its images: a stopped study resumes, more seeds add to existing ones, and other settings or images start again.
Other code does not: the report states when its trials were measured.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from s2m2.analysis.predictions import Classifier, predict, prediction_quality
from s2m2.classifiers import CosineCentroid
from s2m2.console import console
from s2m2.data.augment import evaluation_view
from s2m2.data.batches import BaseSplit, split_base
from s2m2.data.catalog import load_dataset
from s2m2.data.dataset import ImageDataset, LabeledImages, Split
from s2m2.data.standard_datasets import resolve_size
from s2m2.evaluation.accuracies import score_tasks
from s2m2.evaluation.features import FeatureSet, extract_features
from s2m2.io import write_text
from s2m2.models import Backbone, build_backbone, initialize
from s2m2.random import generator_for
from s2m2.recipe import Recipe, RuntimeConfig, differences
from s2m2.runs.checkpoint import load_best
from s2m2.runs.directory import RunDirectory
from s2m2.tasks.episodes import EpisodeSpec
from s2m2.training.devices import build_fabric
from s2m2.training.loop import Score, train_stage
from s2m2.training.objectives import finetune_objective, pretrain_objective
from s2m2.training.step import StageSettings

BATCH = 256
"""Images measured at once."""
RUNTIME = RuntimeConfig(accelerator="cpu", threads=1, checkpoint_seconds=1e9)
"""Two trainings of one thread each are faster than one of two threads, and repeat bit for bit."""
UNSCORED = Score(0.0, 0.0)
"""In place of a validation score, as nothing is selected by one."""


@dataclass(frozen=True, kw_only=True)
class Subset:
    """Some images of a dataset, so that a study takes minutes. Validation classes are left out: nothing is selected."""

    dataset: str
    """Its path."""
    digest: str
    """Of the whole dataset, whatever its path."""
    base_classes: int
    base_images: int
    """Images of each base class, held-out ones included."""
    novel_images: int


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One setting with one seed, which is the recipe's."""

    setting: str
    recipe: Recipe
    subset: Subset
    tasks: int = 0
    """Few-shot tasks to score."""
    finetune: bool = False
    """Whether stage 2 follows stage 1."""
    first_stage: str = ""
    """Folder of the weights of stage 1, for trials that share them; empty: they are not saved."""

    @property
    def file(self) -> str:
        """File name of its findings."""
        settings = [[path, value] for path, value, _ in differences(self.recipe, Recipe())]
        images = {name: value for name, value in asdict(self.subset).items() if name != "dataset"}
        stated = json.dumps([settings, images, self.tasks, self.finetune])
        return f"{self.setting.replace(' ', '_')}-seed{self.recipe.seed}-{hashlib.sha256(stated.encode()).hexdigest()[:12]}.json"


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """A network after its last epoch, and what it was trained on."""

    trial: Trial
    recipe: Recipe
    dataset: ImageDataset
    base: BaseSplit
    backbone: Backbone
    class_head: nn.Module

    def view(self, images: Tensor) -> Tensor:
        """Inputs of the network from stored images."""
        return evaluation_view(images, self.recipe.data)

    def logits(self, indices: Tensor) -> Tensor:
        """Logits of images of the dataset."""
        return predict(Classifier(self.backbone, self.class_head), self.dataset.image_tensor(), indices, self.view, batch_size=BATCH)


Findings = dict[str, Any]
Measure = Callable[[Trial], Findings]


def run_trials(name: str, trials: Sequence[Trial], measure: Measure, options: argparse.Namespace) -> list[Findings]:
    """The findings of all trials in order, saved ones included; sets `options.measured` to when they were measured."""
    folder = options.work / name
    waiting = [trial for trial in trials if not (folder / trial.file).is_file()]
    print(f"{len(trials) - len(waiting)} of {len(trials)} trials are saved already", flush=True)
    for count, (trial, findings) in enumerate(_finished(waiting, measure, options.processes), start=1):
        write_text(folder / trial.file, json.dumps(findings))
        print(f"{count}/{len(waiting)} {trial.setting}, seed {trial.recipe.seed}: {findings['seconds']:.0f} s", flush=True)
    ends = [(folder / trial.file).stat().st_mtime for trial in trials]
    options.measured = (
        f"Trials ended from {_minute(min(ends))} to {_minute(max(ends))} (UTC); those of earlier calls may be of earlier code."
    )
    return [json.loads((folder / trial.file).read_text(encoding="utf-8")) for trial in trials]


def _minute(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


def _finished(trials: Sequence[Trial], measure: Measure, processes: int) -> Iterator[tuple[Trial, Findings]]:
    if processes == 0:
        yield from ((trial, timed(measure, trial)) for trial in trials)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = {pool.submit(timed, measure, trial): trial for trial in trials}
        for job in as_completed(jobs):
            yield jobs[job], job.result()


def timed(measure: Measure, trial: Trial) -> Findings:
    """Findings with the processor seconds that they took."""
    torch.set_num_threads(1)
    quiet, console.quiet = console.quiet, True
    started = time.process_time()
    try:
        return {**measure(trial), "seconds": time.process_time() - started}
    finally:
        console.quiet = quiet


@lru_cache(maxsize=2)
def subset_dataset(subset: Subset, unseen: Split = "novel") -> ImageDataset:
    """The images of a subset, a random choice that is always the same.

    Args:
        unseen: its classes outside training: novel ones, or those of validation for a study that selects.
    """
    dataset = load_dataset(subset.dataset)
    chosen, numbers = [], np.random.default_rng(0)
    splits = {"base": dataset.splits["base"][: subset.base_classes], "validation": (), "novel": (), unseen: dataset.splits[unseen]}
    for split, images in (("base", subset.base_images), (unseen, subset.novel_images)):
        for number in splits[split]:
            chosen.append(np.sort(numbers.permutation(np.flatnonzero(dataset.labels == number))[:images]))
    indices = np.concatenate(chosen)
    return replace(dataset, images=np.ascontiguousarray(dataset.images[indices]), labels=dataset.labels[indices], splits=splits)


def train(trial: Trial, watch: Callable[[Trained], None] | None = None) -> Trained:
    """A network trained by the package's own loop to its last epoch, which is the one that is measured.

    Args:
        watch: called at every validation with the weights that the recipe would save.
    """
    dataset = subset_dataset(trial.subset)
    recipe = replace(trial.recipe, data=resolve_size(trial.recipe.data, dataset), runtime=RUNTIME)
    backbone = build_backbone(recipe.model, recipe.data.size, generator_for(recipe.seed, "backbone"))
    objective = pretrain_objective(recipe, backbone.feature_dim, len(dataset.splits["base"]))
    initialize(objective, generator_for(recipe.seed, "heads"))
    base = split_base(dataset, recipe.data, recipe.seed)
    trained = Trained(trial=trial, recipe=recipe, dataset=dataset, base=base, backbone=backbone, class_head=objective.heads["classifier"])
    images = LabeledImages(images=dataset.image_tensor(), indices=base.indices, labels=base.labels)
    stages = [(recipe.pretrain, objective)] + [(recipe.finetune, finetune_objective(recipe, objective))] * trial.finetune
    fabric = build_fabric(recipe.runtime)
    with TemporaryDirectory() as folder:
        for config, minimized in stages:
            settings = replace(StageSettings.of(recipe, config), validate_start=False)
            validate = partial(_watched, watch, trained) if watch else lambda _: UNSCORED
            shared = trial.first_stage if config is recipe.pretrain else ""
            run = RunDirectory(Path(shared or folder))
            train_stage(fabric, run, backbone, minimized, images, settings, validate)
            if shared:
                load_best(run.best(config.stage), backbone, minimized)
    return trained


def _watched(watch: Callable[[Trained], None], trained: Trained, backbone: Backbone) -> Score:
    watch(replace(trained, backbone=backbone))
    return UNSCORED


def held_out_quality(trained: Trained) -> Findings:
    """Accuracy, negative log-likelihood (nats) and calibration error on held-out images of base classes."""
    quality = prediction_quality(trained.logits(trained.base.holdout_indices), trained.base.holdout_labels)
    return {"accuracy": quality.accuracy, "nll": quality.nll, "calibration": quality.calibration_error}


def few_shot(trained: Trained, split: Split = "novel") -> Findings:
    """Mean accuracy of the nearest class mean by cosine on 5-way tasks of novel or validation classes, the same for every trial."""
    images = trained.dataset.labeled(split)
    values = extract_features(trained.backbone, images.images, images.indices, trained.view, batch_size=BATCH)
    features = FeatureSet(features=values, labels=images.labels, indices=images.indices, class_names=images.class_names, fingerprint="")
    accuracies = {}
    for shots in (1, 5):
        spec = EpisodeSpec(ways=5, shots=shots, queries=min(15, trained.trial.subset.novel_images - shots), tasks=trained.trial.tasks)
        accuracies[f"{shots}-shot"] = float(score_tasks(features, spec, CosineCentroid()).mean())
    return accuracies
