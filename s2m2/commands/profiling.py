"""`s2m2 profile`: the time of the parts of a training step, on this machine and with these settings."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lightning_fabric import Fabric

from s2m2.console import console
from s2m2.data.catalog import load_datasets
from s2m2.data.dataset import ImageDataset
from s2m2.data.standard_datasets import resolve_size
from s2m2.errors import InputError
from s2m2.io import write_text
from s2m2.pipeline import base_images, check_finetuning, check_pretraining, compile_where_asked, fresh_networks
from s2m2.recipe import Recipe, TrainingConfig
from s2m2.runs.directory import RunDirectory
from s2m2.training.devices import build_fabric
from s2m2.training.objectives import finetune_objective
from s2m2.training.profiling import StepProfile, profile_metrics, profile_step, profile_table, speed_line
from s2m2.training.step import Mark, StageSettings, TrainingStep, prepare


def profile_command(recipe: Recipe, *, steps: int, repeats: int, output: Path | None) -> None:
    """Time both training stages from random weights and print it; nothing is written except `output`, as JSON.

    Raises:
        InputError: the device or the images cannot be used, or a stage could not train.
    """
    for flag, value in (("steps", steps), ("repeats", repeats)):
        if value < 1:
            raise InputError(f"--{flag} is {value}, but must be 1 or more")
    fabric = build_fabric(recipe.runtime)
    datasets = load_datasets(recipe.data, recipe.evaluate)
    recipe = replace(recipe, data=resolve_size(recipe.data, datasets.base))
    check_pretraining(recipe, datasets, RunDirectory(Path()))
    check_finetuning(recipe, datasets, RunDirectory(Path()))
    stages: Sequence[TrainingConfig] = (recipe.pretrain, recipe.finetune) if recipe.finetune.epochs else (recipe.pretrain,)
    profiles = [_profile(recipe, config, datasets.base, fabric, steps=steps, repeats=repeats) for config in stages]
    if not fabric.is_global_zero:
        return
    console.print(profile_table(profiles))
    for profile in profiles:
        console.print(speed_line(profile))
    if output is not None:
        write_text(output, json.dumps([profile_metrics(profile) for profile in profiles], indent=2) + "\n")


def _profile(recipe: Recipe, config: TrainingConfig, dataset: ImageDataset, fabric: Fabric, *, steps: int, repeats: int) -> StepProfile:
    backbone, objective = fresh_networks(recipe, dataset, fabric)
    if config.stage == "finetune":
        objective = finetune_objective(recipe, objective)
    compile_where_asked(recipe, fabric, backbone, objective)
    settings = StageSettings.of(recipe, config)

    def make(mark: Mark) -> TrainingStep:
        return TrainingStep(fabric, prepare(fabric, backbone, objective, settings), base_images(recipe, dataset), settings, mark)

    return profile_step(make, fabric.device, steps=steps, repeats=repeats)
