"""`s2m2 export`: the weights of a run with a model card, in a folder that is scored like a run and can be given away."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast, get_args

import torch
from safetensors import SafetensorError
from torch import Tensor

from s2m2 import __version__
from s2m2.analysis.weights import weights_digest
from s2m2.commands.card_results import results_of
from s2m2.commands.card_tables import bare, bare_or_none, card_tables, missing_datasets
from s2m2.console import console
from s2m2.data.catalog import ImageDatasets
from s2m2.errors import InputError
from s2m2.evaluation.features import fingerprint_of
from s2m2.evaluation.results import TaskResults
from s2m2.evaluation.trained import TrainedBackbone, load_backbone, trained_backbone
from s2m2.files import appearing, write_text
from s2m2.recipe import ExportConfig, Recipe, recipe_to_yaml
from s2m2.recipe.evaluation import FeaturesName
from s2m2.recipe.exporting import Precision
from s2m2.reporting.card import ExportedModel, model_card, score_command
from s2m2.runs.checkpoint import load_outcome, read_tensors, save_outcome, save_tensors
from s2m2.runs.directory import RunDirectory
from s2m2.runs.metrics import read_metrics
from s2m2.runs.provenance import read_provenance

CARD = "README.md"
"""Name of the model card, where hubs and people look for it."""


def export_command(config: ExportConfig) -> None:
    """Write the folder, and say how large it is.

    Raises:
        InputError: the run has no such weights, they do not fit the precision, or the folder is there already or cannot be written.
    """
    _check_output(config)
    trained = _trained(config)
    run = RunDirectory(config.run)
    stored, about = read_tensors(run.best(trained.stage))
    config = _settled(config, stored, about)
    tensors, results = rounded(stored, config), results_of(run, trained)
    # What the card reads of the run is read here too: of a file that cannot be read, --output is not to blame.
    read_provenance(run)
    read_metrics(run.metrics)
    datasets, flags = card_tables(run, trained.recipe, results[0]), missing_datasets(trained.recipe)
    try:
        with appearing(config.output) as folder:
            given = replace(trained, recipe=shareable(trained.recipe, trained.stage))
            _write_run(RunDirectory(folder), given, tensors, about, config)
            # The card tells of the weights as whoever gets the folder loads them.
            given = replace(given, network=trained_backbone(given.recipe, RunDirectory(folder), given.stage))
            model = _exported(folder, given, config, results, datasets)
            changed = model.fingerprint != fingerprint_of(trained.network.state_dict())
            write_text(folder / CARD, model_card(run, replace(model, rounded=changed, missing=flags)))
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"--output {config.output} cannot be written: {reason}") from error
    scores = f"{len(results[0]):,} score{'s' if len(results[0]) != 1 else ''}" if results[0] else "no scores, as the run holds none of them"
    console.print(f"{trained.stage} in {config.precision}, a model card with {scores}", markup=False, soft_wrap=True)
    _print_largest(config.output)
    console.print(f"`{score_command(str(config.output), flags)}` scores it", markup=False, soft_wrap=True)


def _check_output(config: ExportConfig) -> None:
    if config.output.exists() or config.output.is_symlink():
        raise InputError(f"--output {config.output} is there already; name a folder that is to be made")
    if config.run.is_dir() and config.output.resolve().is_relative_to(config.run.resolve()):
        raise InputError(f"--output {config.output} is inside --run {config.run}; name a folder beside it")


def _settled(config: ExportConfig, stored: Mapping[str, Tensor], about: Mapping[str, str]) -> ExportConfig:
    """The settings with what null leaves to the weights; what an export stated goes on with what is exported from it."""
    kinds = {str(value.dtype).removeprefix("torch.") for value in stored.values() if value.is_floating_point() and value.ndim > 1}
    (kind,) = kinds if len(kinds) == 1 and kinds <= set(get_args(Precision)) else {"float32"}
    return replace(
        config,
        precision=cast(Precision, kind) if config.precision == "stored" else config.precision,
        license=config.license or about.get("license"),
        data_license=config.data_license or about.get("data_license"),
    )


def rounded(stored: Mapping[str, Tensor], config: ExportConfig) -> dict[str, Tensor]:
    """Weights in the precision of an export; whole numbers stay, and so does what has one axis or none, which is small, in float32.

    Raises:
        InputError: a value is not finite, before or after.
    """
    dtypes: dict[str, torch.dtype] = {name: getattr(torch, name) for name in get_args(Precision) if name != "stored"}
    dtype = dtypes[config.precision]
    found = {}
    for name, value in stored.items():
        if not value.is_floating_point():
            found[name] = value
            continue
        found[name] = value.to(dtype if value.ndim > 1 else torch.float32)
        if not bool(value.isfinite().all()):
            raise InputError(f"--run {config.run} has values in {name} that are not finite")
        if not bool(found[name].isfinite().all()):
            most = float(value.abs().max())
            others = " and ".join(other for other, kind in dtypes.items() if bool(value.to(kind).isfinite().all()))
            can = f"; {others} can" if others else ""
            raise InputError(f"--precision {config.precision} cannot hold {name}, whose values reach {most:.3g}{can}")
    return found


def shareable(recipe: Recipe, stage: str) -> Recipe:
    """The recipe without what only means something on this machine: paths keep their last part, devices and loggers their defaults.

    A relative path that stays below the current directory, and the name of a dataset, are kept as they are.
    """
    data, evaluate, model = recipe.data, recipe.evaluate, recipe.model
    features = cast(FeaturesName, stage)
    return replace(
        recipe,
        data=replace(data, path=bare(data.path), validation_dataset=bare_or_none(data.validation_dataset)),
        model=replace(model, weights=Path(model.weights).name) if model.weights else model,
        evaluate=replace(
            evaluate,
            novel_dataset=bare_or_none(evaluate.novel_dataset),
            query_dataset=bare_or_none(evaluate.query_dataset),
            save_tasks=None,
            tasks_from=(),
            ensemble=(),
            features=(features,),
        ),
        runtime=replace(recipe.runtime, accelerator="auto", devices=1, nodes=1, loggers=()),
    )


def _trained(config: ExportConfig) -> TrainedBackbone:
    run = RunDirectory(config.run)
    if config.stage is not None and run.recipe.is_file() and load_outcome(run.outcome(config.stage)) is None:
        raise InputError(f"--stage is {config.stage}, but --run {config.run} has not finished that stage")
    try:
        return load_backbone(config.run, config.stage)
    except InputError as error:
        raise InputError(f"--run {error}") from error


def _write_run(
    export: RunDirectory,
    trained: TrainedBackbone,
    tensors: Mapping[str, Tensor],
    about: Mapping[str, str],
    config: ExportConfig,
) -> None:
    """What `import` writes too: a recipe, weights, how their training ended, and where they came from."""
    run = RunDirectory(config.run)
    recipe, data, origin = trained.recipe, trained.data, run.path.resolve().name
    words = {
        "format": "pt",  # by which other programs know torch's tensors
        **about,
        "made_by": f"s2m2 {__version__}",
        "precision": config.precision,
        "backbone": recipe.model.timm or recipe.model.backbone,
        "feature_dim": trained.network.feature_dim,
        "image_size": data.size,
        "resized_size": data.resized_size,
        "mean": json.dumps(data.mean),
        "std": json.dumps(data.std),
        **{name: stated for name in ("license", "data_license") if (stated := getattr(config, name)) is not None},
    }
    facts = {
        "source": f"run {origin}",
        "sha256": weights_digest(run, trained.stage),
        "stage": trained.stage,
        "precision": config.precision,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_text(export.recipe, recipe_to_yaml(recipe))
    save_tensors(export.best(trained.stage), tensors, words)
    # safetensors lets nobody but the owner read what it writes; this is for others, as far as the user's other files are.
    export.best(trained.stage).chmod(export.recipe.stat().st_mode & 0o666)
    write_text(export.imported, json.dumps(facts, indent=2) + "\n")
    outcome = load_outcome(run.outcome(trained.stage))
    assert outcome is not None, "checked when the weights were loaded"
    save_outcome(export.outcome(trained.stage), replace(outcome, imported=f"run {origin}"))


def _exported(
    folder: Path,
    trained: TrainedBackbone,
    config: ExportConfig,
    results: tuple[tuple[TaskResults, ...], int],
    datasets: tuple[ImageDatasets | None, str],
) -> ExportedModel:
    """What the card tells of."""
    export = RunDirectory(folder)
    file = export.best(trained.stage)
    return ExportedModel(
        folder=config.output.resolve().name,
        trained=trained,
        precision=config.precision,
        file=file.relative_to(folder).as_posix(),
        file_bytes=file.stat().st_size,
        file_digest=weights_digest(export, trained.stage),
        fingerprint=fingerprint_of(trained.network.state_dict()),
        license=config.license,
        data_license=config.data_license,
        results=results[0],
        left_out=results[1],
        datasets=datasets[0],
        uncounted=datasets[1],
    )


def _print_largest(folder: Path) -> None:
    sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    largest = max(sizes, key=lambda path: sizes[path])
    share = f"{sizes[largest] / 2**20:.2f} MiB of {sum(sizes.values()) / 2**20:.2f}"
    console.print(f"largest file: {largest}, {share}", markup=False, soft_wrap=True)
