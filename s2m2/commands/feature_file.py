"""`s2m2 evaluate --features FILE`: scores of any features and labels, without images, network or run."""

from pathlib import Path

from s2m2.console import console
from s2m2.errors import InputError
from s2m2.evaluation.file_evaluation import prepare_file
from s2m2.evaluation.results import newest_results, read_results
from s2m2.evaluation.scoring import score_all, warn_of_balance
from s2m2.io import write_text
from s2m2.recipe import Recipe
from s2m2.reports.scores import score_grids, score_table
from s2m2.reports.tables import scores_csv, scores_markdown
from s2m2.runs.directory import RunDirectory
from s2m2.training.devices import build_fabric


def evaluate_feature_file(recipe: Recipe, path: Path, output: Path, *, base: Path | None = None, validation: Path | None = None) -> None:
    """Score all classifiers on all kinds of tasks; print the scores, and write results and tables into a directory like that of a run.

    Args:
        base: feature file of the base classes, for classifiers and transforms that need them.
        validation: feature file of the validation classes, for temperatures and thresholds.

    Raises:
        InputError: a file cannot be used, a task or classifier needs more than there is, or the directory cannot be made.
    """
    folder, config = RunDirectory(output), recipe.evaluate
    for place in (folder.path, folder.results):
        if place.exists() and not place.is_dir():
            raise InputError(f"--output {output} needs the directory {place}, but that is a file")
    evaluated, prepared = prepare_file(config, path, base=base, validation=validation)
    fabric = build_fabric(recipe.runtime)
    warn_of_balance(config)
    results = score_all(evaluated, config, fabric.device, folder.results, prepared)
    newest = newest_results(read_results(folder))[0]
    write_text(folder.scores_csv, scores_csv(newest))
    write_text(folder.scores_markdown, scores_markdown(score_grids(newest)))
    console.print(score_table(results))
    console.print(f"results: {output}", soft_wrap=True, markup=False)
