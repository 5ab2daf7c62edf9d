"""`s2m2 evaluate --features FILE`: any features and labels are scored, without images, network or run."""

from dataclasses import replace
from pathlib import Path

import torch

from s2m2.commands.classifiers import base_is_needed, prepare_features
from s2m2.commands.device import build_fabric
from s2m2.commands.scoring import Scored, score_all, task_specs, warn_of_balance
from s2m2.console import console
from s2m2.data.sampling import sample_episodes
from s2m2.data.stored_episodes import load_episodes
from s2m2.errors import InputError
from s2m2.evaluation.feature_files import classes_digest, read_feature_file
from s2m2.evaluation.features import FeatureSet
from s2m2.files import write_text
from s2m2.recipe import EvaluateConfig, Recipe
from s2m2.reporting.export import scores_csv, scores_markdown
from s2m2.reporting.report import read_results
from s2m2.reporting.score_table import newest_results, score_grids, score_table
from s2m2.runs.directory import RunDirectory

SPLIT, FEATURES = "all", "file"
"""What the results state as split and features."""
WHY_OTHERS = {
    "base": "the base classes must be others than those that tasks are drawn from",
    "validation": "what is chosen on validation classes is to be reported on others",
}
"""Why the features beside those of the tasks must be of other classes."""


def evaluate_feature_file(recipe: Recipe, path: Path, output: Path, *, base: Path | None = None, validation: Path | None = None) -> None:
    """Score all classifiers on all kinds of tasks; print the scores, and write results and score tables into a directory as in that of a run.

    Args:
        base: features of the base classes, for the classifiers and transforms that draw on them.
        validation: features of the validation classes, to choose temperatures and thresholds on.

    Raises:
        InputError: a file cannot be used, a task or classifier needs more than there is, or the directory cannot be where it should.
    """
    folder, config = RunDirectory(output), recipe.evaluate
    for place in (folder.path, folder.results):
        if place.exists() and not place.is_dir():
            raise InputError(f"--output {output} needs the directory {place}, but that is a file")
    known = read_feature_file(path)
    beside = {flag: _read_beside(flag, file, known, path) for flag, file in (("base", base), ("validation", validation))}
    _check_tasks(config, known, path)
    scored = Scored(
        features=known,
        name=FEATURES,
        dataset=path.stem,
        split=SPLIT,
        data_digest=classes_digest(known),
        folder=folder.results,
        validation=beside["validation"] if config.details else None,
        base=beside["base"] if base_is_needed(config) else None,
    )
    met = prepare_features(known, scored.validation, config, scored.base)
    fabric = build_fabric(recipe.runtime)
    warn_of_balance(config)
    results = score_all(scored, config, fabric.device, met)
    _write_tables(folder)
    console.print(score_table(results))
    console.print(f"results: {output}", soft_wrap=True, markup=False)


def _read_beside(flag: str, file: Path | None, known: FeatureSet, path: Path) -> FeatureSet | None:
    """Features of other classes from the same network, where there are any.

    Raises:
        InputError: they have other dimensions, or are those of the tasks.
    """
    if file is None:
        return None
    dataset = read_feature_file(file)
    ours, theirs = known.features.shape[1], dataset.features.shape[1]
    if ours != theirs:
        raise InputError(f"--{flag}-features {file} has {theirs} numbers a row, but --features {path} has {ours}")
    if torch.equal(dataset.features, known.features):  # whatever their names and formats
        raise InputError(f"--{flag}-features {file} and --features {path} hold the same features; {WHY_OTHERS[flag]}")
    return dataset


def _check_tasks(config: EvaluateConfig, known: FeatureSet, path: Path) -> None:
    for name in ("support_crops", "ensemble", "query_dataset"):
        if getattr(config, name):
            raise InputError(f"--evaluate.{name} takes images, but --features {path} has none")
    for file in config.tasks_from:
        load_episodes(file, known.rows, known.labels)
    for spec in task_specs(config) if not config.tasks_from else ():
        try:
            sample_episodes(known.labels, replace(spec, tasks=1), known.class_names)
        except InputError as error:
            raise InputError(f"tasks of {path}: {error}") from error


def _write_tables(folder: RunDirectory) -> None:
    results = newest_results(read_results(folder))[0]
    write_text(folder.scores_csv, scores_csv(results))
    write_text(folder.scores_markdown, scores_markdown(score_grids(results)))
