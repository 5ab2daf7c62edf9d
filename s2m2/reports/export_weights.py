"""Weights to give away: rounded to a precision, with a recipe without local paths, in a folder that `s2m2 evaluate` scores like a run."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast, get_args

import torch
from torch import Tensor

from s2m2 import __version__
from s2m2.data.catalog import DRAWN
from s2m2.data.learn2learn_datasets import CLASSES
from s2m2.errors import InputError
from s2m2.io import write_json
from s2m2.recipe import ExportConfig, Recipe
from s2m2.recipe.command_settings import Precision
from s2m2.recipe.evaluation import FeaturesName
from s2m2.runs.checkpoint import load_outcome, save_outcome, save_tensors
from s2m2.runs.directory import RunDirectory, write_recipe


def check_output(config: ExportConfig) -> None:
    """Raise `InputError` if the output exists or is inside the run."""
    if config.output.exists() or config.output.is_symlink():
        raise InputError(f"--output {config.output} is there already; name a folder that is to be made")
    if config.run.is_dir() and config.output.resolve().is_relative_to(config.run.resolve()):
        raise InputError(f"--output {config.output} is inside --run {config.run}; name a folder beside it")


def resolve_settings(config: ExportConfig, stored: Mapping[str, Tensor], about: Mapping[str, str]) -> ExportConfig:
    """The settings with stored precision and licenses filled in; an export of an export keeps the licenses stated there."""
    dtypes = {str(value.dtype).removeprefix("torch.") for value in stored.values() if value.is_floating_point() and value.ndim > 1}
    (dtype,) = dtypes if len(dtypes) == 1 and dtypes <= set(get_args(Precision)) else {"float32"}
    return replace(
        config,
        precision=cast(Precision, dtype) if config.precision == "stored" else config.precision,
        license=config.license or about.get("license"),
        data_license=config.data_license or about.get("data_license"),
    )


def rounded(stored: Mapping[str, Tensor], config: ExportConfig) -> dict[str, Tensor]:
    """Weights in the precision of an export. Integers stay; tensors of one axis or none, which are small, become float32.

    Raises:
        InputError: a value is not finite, before or after rounding.
    """
    dtypes: dict[str, torch.dtype] = {name: getattr(torch, name) for name in get_args(Precision) if name != "stored"}
    dtype = dtypes[config.precision]
    tensors = {}
    for name, value in stored.items():
        if not value.is_floating_point():
            tensors[name] = value
            continue
        tensors[name] = value.to(dtype if value.ndim > 1 else torch.float32)
        if not bool(value.isfinite().all()):
            raise InputError(f"--run {config.run} has values in {name} that are not finite")
        if not bool(tensors[name].isfinite().all()):
            largest = float(value.abs().max())
            others = " and ".join(other for other, kind in dtypes.items() if bool(value.to(kind).isfinite().all()))
            hint = f"; {others} can" if others else ""
            raise InputError(f"--precision {config.precision} cannot hold {name}, whose values reach {largest:.3g}{hint}")
    return tensors


def shareable(recipe: Recipe, stage: str) -> Recipe:
    """The recipe without local settings: paths keep their last part, devices and loggers their defaults.

    A relative path below the current directory, and the name of a dataset, stay.
    """
    data, evaluate, model = recipe.data, recipe.evaluate, recipe.model
    features = cast(FeaturesName, stage)
    return replace(
        recipe,
        data=replace(data, path=shareable_path(data.path), validation_dataset=_shareable_or_none(data.validation_dataset)),
        model=replace(model, weights=Path(model.weights).name) if model.weights else model,
        evaluate=replace(
            evaluate,
            novel_dataset=_shareable_or_none(evaluate.novel_dataset),
            query_dataset=_shareable_or_none(evaluate.query_dataset),
            save_tasks=None,
            tasks_from=(),
            ensemble=(),
            features=(features,),
        ),
        runtime=replace(recipe.runtime, accelerator="auto", devices=1, nodes=1, loggers=()),
    )


def shareable_path(dataset: str) -> str:
    """The last part of a path, unless it lies below the current directory."""
    path = Path(dataset)
    return dataset if not path.is_absolute() and not dataset.startswith("~") and ".." not in path.parts else path.name or "dataset"


def _shareable_or_none(dataset: str | None) -> str | None:
    return None if dataset is None else shareable_path(dataset)


def missing_datasets(recipe: Recipe) -> dict[str, str]:
    """Flags of the datasets that others have to name before they can score, each with a placeholder; equal datasets share one.

    Drawn and downloaded datasets need no flag, nor does a folder below the current directory, whose path the recipe keeps.
    """
    datasets = {
        "--data.path": (recipe.data.path, "DATASET"),
        "--data.validation_dataset": (recipe.data.validation_dataset, "VALIDATION"),
        "--evaluate.novel_dataset": (recipe.evaluate.novel_dataset, "NOVEL"),
        "--evaluate.query_dataset": (recipe.evaluate.query_dataset, "QUERIES"),
    }
    placeholders: dict[str, str] = {}
    return {
        flag: placeholders.setdefault(dataset, word)
        for flag, (dataset, word) in datasets.items()
        if dataset is not None and not (dataset in DRAWN or is_downloaded(recipe, dataset) or _is_below(dataset))
    }


def is_downloaded(recipe: Recipe, dataset: str) -> bool:
    """Whether the recipe has learn2learn download a dataset."""
    return recipe.data.download is not None and (dataset == recipe.data.path or (dataset in CLASSES and not Path(dataset).is_dir()))


def _is_below(dataset: str) -> bool:
    return shareable_path(dataset) == dataset and Path(dataset).is_dir()


def write_weights(
    folder: Path, recipe: Recipe, stage: str, tensors: Mapping[str, Tensor], about: Mapping[str, object], config: ExportConfig, digest: str
) -> None:
    """Write recipe, weights, outcome and source of a stage into a folder, as `import` does.

    Args:
        recipe: of the folder, with the image size resolved.
        about: metadata of the weights.
        digest: SHA-256 of the weights in the run.
    """
    run, export = RunDirectory(config.run), RunDirectory(folder)
    name = run.path.resolve().name
    data = recipe.data
    metadata = {
        "format": "pt",  # marks torch's tensors for other programs
        **about,
        "made_by": f"s2m2 {__version__}",
        "precision": config.precision,
        "backbone": recipe.model.timm or recipe.model.backbone,
        "image_size": data.size,
        "resized_size": data.resized_size,
        "mean": json.dumps(data.normalization[0]),
        "std": json.dumps(data.normalization[1]),
        **{name: text for name in ("license", "data_license") if (text := getattr(config, name)) is not None},
    }
    created = datetime.now(UTC).isoformat(timespec="seconds")
    source = {"source": f"run {name}", "sha256": digest, "stage": stage, "precision": config.precision, "created": created}
    write_recipe(export, recipe)
    checksum = save_tensors(export.best(stage), tensors, metadata)
    write_json(export.imported, source)
    outcome = load_outcome(run.outcome(stage))
    assert outcome is not None, "checked when the weights were loaded"
    save_outcome(export.outcome(stage), replace(outcome, imported=f"run {name}", weights=checksum))
