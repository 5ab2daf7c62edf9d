"""`s2m2 profile`: where the time of a training step goes, on this machine and with these settings. No weights are kept."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from lightning_fabric import Fabric
from rich.table import Table

from s2m2.commands.device import build_fabric
from s2m2.commands.training import base_images, check_finetuning, check_pretraining, compile_where_asked, fresh_networks
from s2m2.console import console
from s2m2.data.catalog import load_datasets
from s2m2.data.dataset import ImageDataset
from s2m2.data.sizes import settle_size
from s2m2.errors import InputError
from s2m2.files import write_text
from s2m2.recipe import Recipe, TrainingConfig
from s2m2.runs.directory import RunDirectory
from s2m2.training.build import finetune_objective
from s2m2.training.profiling import PARTS, StepProfile, profile_step
from s2m2.training.stage import StageSettings
from s2m2.training.step import Mark, TrainingStep, prepare


def profile_command(recipe: Recipe, *, steps: int, repeats: int, output: Path | None) -> None:
    """Measure both training stages from random weights and print it; nothing else is written but `output`, as JSON.

    Raises:
        InputError: the device or the images cannot be used, or a stage could not train.
    """
    for flag, value in (("steps", steps), ("repeats", repeats)):
        if value < 1:
            raise InputError(f"--{flag} is {value}, but must be 1 or more")
    fabric = build_fabric(recipe.runtime)
    datasets = load_datasets(recipe.data, recipe.evaluate)
    recipe = replace(recipe, data=settle_size(recipe.data, datasets.base))
    check_pretraining(recipe, datasets, RunDirectory(Path()))
    check_finetuning(recipe, datasets, RunDirectory(Path()))
    stages: Sequence[TrainingConfig] = (recipe.pretrain, recipe.finetune) if recipe.finetune.epochs else (recipe.pretrain,)
    profiles = [_profile(recipe, config, datasets.base, fabric, steps=steps, repeats=repeats) for config in stages]
    if not fabric.is_global_zero:
        return
    console.print(profile_dataset(profiles))
    for profile in profiles:
        console.print(speed_line(profile))
    if output is not None:
        write_text(output, json.dumps([_figures(profile) for profile in profiles], indent=2) + "\n")


def _profile(recipe: Recipe, config: TrainingConfig, dataset: ImageDataset, fabric: Fabric, *, steps: int, repeats: int) -> StepProfile:
    backbone, objective = fresh_networks(recipe, dataset, fabric)
    whole = finetune_objective(recipe, objective) if config.stage == "finetune" else objective
    compile_where_asked(recipe, fabric, backbone, whole)
    settings = StageSettings.of(recipe, config)

    def make(mark: Mark) -> TrainingStep:
        return TrainingStep(fabric, prepare(fabric, backbone, whole, settings), base_images(recipe, dataset), settings, mark)

    return profile_step(make, fabric.device, steps=steps, repeats=repeats)


def profile_dataset(profiles: Sequence[StepProfile]) -> Table:
    """Milliseconds and share of each part of a step, a column a stage."""
    found = Table("part of a step", *(f"{profile.stage}, {profile.batch_size} images" for profile in profiles))
    wholes = [sum(profile.parts.values()) for profile in profiles]
    for part in PARTS:
        times = (profile.parts[part] for profile in profiles)
        found.add_row(part, *(f"{1000 * took:,.2f} ms {took / whole:6.1%}" for took, whole in zip(times, wholes, strict=True)))
    found.add_section()
    found.add_row("all", *(f"{1000 * whole:,.2f} ms {1:6.1%}" for whole in wholes))
    return found


def speed_line(profile: StepProfile) -> str:
    """The speed of a stage, and the gap to the bare step."""
    return (
        f"{profile.stage}: {profile.images_per_second:,.1f} images/s; bare step {profile.bare_images_per_second:,.1f} images/s, "
        f"gap {1 - profile.share:.1%}"
    )


def _figures(profile: StepProfile) -> Mapping[str, object]:
    return {**asdict(profile), "images_per_second": profile.images_per_second, "share_of_bare": profile.share}
