"""`s2m2 evaluate --features FILE`: any features and labels are scored, without pictures, network or run."""

from dataclasses import replace
from pathlib import Path

from s2m2.commands.device import build_fabric
from s2m2.commands.scoring import Scored, score_all, task_specs, warn_of_balance
from s2m2.console import console
from s2m2.data.sampling import sample_episodes
from s2m2.errors import InputError
from s2m2.evaluation.feature_files import read_feature_file
from s2m2.evaluation.features import FeatureTable
from s2m2.recipe import EvaluateConfig, Recipe
from s2m2.reporting.score_table import score_table

SPLIT, FEATURES = "all", "file"
"""What the results state as split and features."""


def evaluate_feature_file(recipe: Recipe, path: Path, output: Path) -> None:
    """Score all heads on all kinds of tasks; print the scores, and write the results into a directory.

    Raises:
        InputError: the file cannot be used, a task needs more than it has, or the directory cannot be where it should.
    """
    if output.exists() and not output.is_dir():
        raise InputError(f"--output {output} is a file, not a directory")
    known = read_feature_file(path)
    _check_tasks(recipe.evaluate, known, path)
    fabric = build_fabric(recipe.runtime)
    scored = Scored(features=known, name=FEATURES, dataset=path.stem, split=SPLIT, data_digest="", folder=output)
    warn_of_balance(recipe.evaluate)
    results = score_all(scored, recipe.evaluate, fabric.device)
    console.print(score_table(results))
    console.print(f"results: {output}", soft_wrap=True, markup=False)


def _check_tasks(config: EvaluateConfig, known: FeatureTable, path: Path) -> None:
    for name, value in (("support_crops", config.support_crops), ("ensemble", config.ensemble)):
        if value:
            raise InputError(f"--evaluate.{name} takes pictures, but --features {path} has none")
    for spec in task_specs(config):
        try:
            sample_episodes(known.labels, replace(spec, tasks=1), known.class_names)
        except InputError as error:
            raise InputError(f"tasks of {path}: {error}") from error
