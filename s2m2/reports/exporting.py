"""`export_run`: a folder with the weights of a run and their model card, and what the card shows: results and datasets."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from safetensors import SafetensorError

from s2m2.analysis.measurements import weights_digest
from s2m2.data.catalog import ImageDatasets, load_datasets
from s2m2.data.dataset import SPLITS, user_cache
from s2m2.data.learn2learn_datasets import DATASET_FOLDER
from s2m2.errors import InputError
from s2m2.escaping import code
from s2m2.evaluation.results import TaskResults, newest_results, read_results
from s2m2.io import create_folder, write_text
from s2m2.recipe import DataConfig, EvaluateConfig, ExportConfig, Recipe
from s2m2.reports.card import ExportedModel, model_card
from s2m2.reports.export_weights import (
    check_output,
    is_downloaded,
    missing_datasets,
    resolve_settings,
    rounded,
    shareable,
    shareable_path,
    write_weights,
)
from s2m2.runs.checkpoint import fingerprint_of, load_outcome, read_tensors
from s2m2.runs.directory import RunDirectory, require_run
from s2m2.runs.loading import LoadedBackbone, load, read_backbone
from s2m2.runs.logging import read_metrics
from s2m2.runs.provenance import read_provenance
from s2m2.runs.trained_images import trained_digest

CARD = "README.md"
"""Name of the model card, where hubs and people look for it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Export:
    """What an export has written."""

    folder: Path
    stage: str
    precision: str
    results: int
    """Scores on the card."""
    missing: dict[str, str]
    """Flags of the datasets that others have to name; see `missing_datasets`."""
    uncounted: str
    """Why the card counts no images; empty where it does."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CardDatasets:
    """The images behind a card, or why they are not there."""

    datasets: ImageDatasets | None
    note: str = ""
    """For the card, without local paths, where there are none: the dataset x was not at hand."""
    reason: str = ""
    """The same for the person who exports."""


def export_run(config: ExportConfig, scored: RunDirectory | None = None) -> Export:
    """Write weights, recipe and model card of a run into a new folder.

    Args:
        scored: an earlier export of the same weights in the same precision, with results of its own. Its results stand on the card, in
            place of those of the run, which are of the weights before rounding.

    Raises:
        InputError: the run has no such weights, they do not fit the precision, or the folder exists or cannot be written.
    """
    check_output(config)
    trained, run = _load(config), RunDirectory(config.run)
    stored, about = read_tensors(run.best(trained.stage))
    config = resolve_settings(config, stored, about)
    tensors = rounded(stored, config)
    results, left_out = card_results(run, trained) if scored is None else card_results(scored, load(scored.path, stage=trained.stage))
    # Everything that the card reads of the run is read before the folder is created: errors in it are not those of --output.
    read_provenance(run)
    read_metrics(run.metrics)
    images, missing = card_datasets(run, trained.recipe, results), missing_datasets(trained.recipe)
    words = {**about, "feature_dim": trained.backbone.feature_dim, **_classes(run, images.datasets)}
    shared, stage, digest = shareable(trained.recipe, trained.stage), trained.stage, weights_digest(run, trained.stage)
    try:
        with create_folder(config.output) as folder:
            export = RunDirectory(folder)
            write_weights(folder, shared, stage, tensors, words, config, digest)
            # The card describes the weights as a user of the folder loads them.
            loaded = LoadedBackbone(read_backbone(shared, export, stage), shared, stage, export)
            fingerprint, file = fingerprint_of(loaded.backbone.state_dict()), export.best(stage)
            model = ExportedModel(
                folder=config.output.resolve().name,
                trained=loaded,
                precision=config.precision,
                file=file.relative_to(folder).as_posix(),
                file_bytes=file.stat().st_size,
                file_digest=weights_digest(export, stage),
                fingerprint=fingerprint,
                license=config.license,
                data_license=config.data_license,
                results=results,
                left_out=left_out,
                datasets=images.datasets,
                uncounted=images.note,
                rounded=scored is None and fingerprint != fingerprint_of(trained.backbone.state_dict()),
                missing=missing,
            )
            write_text(folder / CARD, model_card(run, model))
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"--output {config.output} cannot be written: {reason}") from error
    return Export(
        folder=config.output, stage=stage, precision=config.precision, results=len(results), missing=missing, uncounted=images.reason
    )


def _classes(run: RunDirectory, datasets: ImageDatasets | None) -> dict[str, str]:
    """Names of the base classes in the order of the classifier's outputs, as JSON; that order is unknown for imported weights."""
    if datasets is None or run.imported.is_file():
        return {}
    return {"classes": json.dumps([datasets.base.class_names[number] for number in datasets.base.splits["base"]])}


def _load(config: ExportConfig) -> LoadedBackbone:
    run = RunDirectory(config.run)
    require_run(run)
    if config.stage is not None and load_outcome(run.outcome(config.stage)) is None:
        raise InputError(f"--stage is {config.stage}, but --run {config.run} has not finished that stage")
    try:
        return load(config.run, stage=config.stage)
    except InputError as error:
        raise InputError(f"--run {error}") from error


def card_results(run: RunDirectory, trained: LoadedBackbone) -> tuple[tuple[TaskResults, ...], int]:
    """The results of a run by these weights, the newest of each kind, and the number of results of the stage left out.

    A result with a reproducible fingerprint has to have that of the weights. Results of support crops and of a query dataset have to
    be younger than the end of the stage; the newest of each kind counts, as in the report.
    """
    of_stage = [result for result in read_results(run) if result.features.split("-")[0] == trained.stage]
    ended = int(run.outcome(trained.stage).stat().st_mtime)
    splits = {(result.data_digest, result.split) for result in of_stage if _has_fingerprint(result, trained.stage)}
    fingerprints = {split: trained.fingerprint_on(*split) for split in splits}
    by_weights = []
    for result in of_stage:
        if _has_fingerprint(result, trained.stage):
            fits = result.fingerprint == fingerprints[result.data_digest, result.split]
        else:
            fits = "-ensemble" not in result.features and _seconds(result) >= ended
        by_weights += [result] if fits else []
    newest, older = newest_results(by_weights)
    return tuple(newest), len(of_stage) - len(by_weights) + older


def _has_fingerprint(result: TaskResults, stage: str) -> bool:
    return result.features == stage and "+" not in result.data_digest


def _seconds(result: TaskResults) -> float:
    """Time of a result, in seconds since 1970; 0 where it is not stated."""
    try:
        created = datetime.fromisoformat(result.created)
    except ValueError:
        return 0.0
    return (created if created.tzinfo else created.replace(tzinfo=UTC)).timestamp()


def card_datasets(run: RunDirectory, recipe: Recipe, results: Sequence[TaskResults]) -> CardDatasets:
    """The images that the recipe names, if they are available without a download and are those of the results."""
    data, novel_dataset = recipe.data, recipe.evaluate.novel_dataset
    steps: list[tuple[str | None, DataConfig, str | None]] = [
        (data.path, replace(data, validation_dataset=None), None),
        (data.validation_dataset, data, None),
        (novel_dataset, data, novel_dataset),
    ]
    datasets = None
    for name, shown, novel in steps:
        if name is None:
            continue
        try:
            if is_downloaded(recipe, name) and not (user_cache() / str(data.download) / name / DATASET_FOLDER).is_dir():
                raise InputError(f"{name} is not downloaded here")
            datasets = load_datasets(shown, EvaluateConfig(novel_dataset=novel))
        except InputError as error:
            return CardDatasets(datasets=None, note=f"the dataset {code(shareable_path(name))} was not at hand", reason=str(error))
    assert datasets is not None
    other = _other_images(run, datasets, recipe, results)
    if other is None:
        return CardDatasets(datasets=datasets)
    note = f"the dataset {code(shareable_path(other))} held other images than those that were scored"
    return CardDatasets(datasets=None, note=note, reason=f"{other} holds other images than when the run was scored")


def _other_images(run: RunDirectory, datasets: ImageDatasets, recipe: Recipe, results: Sequence[TaskResults]) -> str | None:
    """The first dataset that differs from the scored one: base classes by what the run remembers, other splits by its results."""
    if trained_digest(run) not in (None, datasets.base.digest):
        return recipe.data.path
    names = {"base": recipe.data.path, "validation": recipe.data.validation_dataset, "novel": recipe.evaluate.novel_dataset}
    for split in SPLITS:
        # The digest of the split's dataset, then "+" and that of the queries' dataset.
        scored = {result.data_digest.split("+")[0] for result in results if result.split == split}
        if scored and datasets.of(split).digest not in scored:
            return names[split] or recipe.data.path
    return None
