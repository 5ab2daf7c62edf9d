"""Commands on a recipe: `run`, `pretrain`, `finetune`, `evaluate`, `analyze`, `profile`. They call, and print the results."""

from collections.abc import Sequence
from pathlib import Path

from lightning_fabric import Fabric

from s2m2 import pipeline
from s2m2.analysis.run_analysis import analyze_run, check_images, check_trained
from s2m2.console import console, literal
from s2m2.data.catalog import load_datasets
from s2m2.data.dataset import ImageDataset
from s2m2.errors import InputError
from s2m2.evaluation.file_evaluation import prepare_file
from s2m2.evaluation.results import newest_results, read_results
from s2m2.evaluation.score_all import score_all, warn_of_balance
from s2m2.io import json_text, refuse_links, write_text
from s2m2.pipeline import base_images, check_finetuning, check_pretraining, compile_where_asked, fresh_networks
from s2m2.recipe import Recipe, TrainingConfig
from s2m2.reports.analysis_tables import analysis_tables
from s2m2.reports.scores import score_grids, score_table
from s2m2.reports.tables import scores_csv, scores_markdown
from s2m2.runs.directory import RunDirectory
from s2m2.runs.image_settings import resolve_images
from s2m2.runs.session import first_process_alone
from s2m2.training.devices import build_fabric
from s2m2.training.objectives import finetune_objective
from s2m2.training.profiling import StepProfile, profile_metrics, profile_step, profile_table, speed_line
from s2m2.training.step import Mark, StageSettings, TrainingStep, prepare


def pretrain(recipe: Recipe, path: Path, expected: Path | None = None) -> None:
    """Stage 1."""
    print_run(pipeline.pretrain(recipe, path, verbose=True, expected=expected))


def finetune(recipe: Recipe, path: Path, expected: Path | None = None) -> None:
    """Stage 2, from the best weights of stage 1."""
    print_run(pipeline.finetune(recipe, path, verbose=True, expected=expected))


def evaluate(recipe: Recipe, path: Path) -> None:
    """Few-shot scores."""
    print_run(pipeline.evaluate_run(recipe, path, verbose=True))


def run(recipe: Recipe, path: Path, expected: Path | None = None) -> None:
    """All three stages."""
    finished = pipeline.run(recipe, path, verbose=True, expected=expected)
    print_run(finished)
    if finished.results:
        console.print(f"{finished.seconds:.0f} s in all")


def print_run(finished: pipeline.Run) -> None:
    """Scores and places of files, on the first process."""
    if finished.results:
        console.print(score_table(list(finished.results)))
    if finished.report is not None:
        console.print(literal(f"report: {finished.report}"), soft_wrap=True)
    directory = RunDirectory(finished.path)
    if finished.results and directory.scores_csv.is_file():
        console.print(literal(f"scores: {directory.scores_csv}, {directory.scores_markdown}"), soft_wrap=True)


def analyze(recipe: Recipe, path: Path) -> None:
    """Measures of the representation after every finished stage."""
    check_trained(path)
    session = pipeline.open_session(recipe, path, check_images)
    if first_process_alone(session):
        analysis = analyze_run(session)
        console.print(analysis_tables(analysis))
        console.print(literal(f"analysis: {session.run.analysis}"), soft_wrap=True)
        report = pipeline.report_if_possible(session)
        if report is not None:
            console.print(literal(f"report: {report}"), soft_wrap=True)


def evaluate_feature_file(recipe: Recipe, path: Path, output: Path, *, base: Path | None = None, validation: Path | None = None) -> None:
    """Score all classifiers on all kinds of tasks; print the scores, and write results and tables into a directory like that of a run.

    Args:
        base: feature file of the base classes, for classifiers and transforms that need them.
        validation: feature file of the validation classes, for temperatures and thresholds.

    Raises:
        InputError: a file cannot be used, a task or classifier needs more than there is, or the directory cannot be made.
    """
    folder, config = RunDirectory(output), recipe.evaluate
    refuse_links(output, "--output")
    for place in (folder.path, folder.results):
        if place.exists() and not place.is_dir():
            raise InputError(f"--output {output} needs the directory {place}, but that is a file")
    evaluated, prepared = prepare_file(config, path, base=base, validation=validation)
    fabric = build_fabric(recipe.runtime)
    warn_of_balance(config, prepared.classifiers)
    results = score_all(evaluated, config, fabric.device, folder.results, prepared)
    newest = newest_results(read_results(folder))[0]
    write_text(folder.scores_csv, scores_csv(newest))
    write_text(folder.scores_markdown, scores_markdown(score_grids(newest)))
    console.print(score_table(results))
    console.print(f"results: {output}", soft_wrap=True, markup=False)


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
    recipe, _ = resolve_images(recipe, datasets.base)
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
        write_text(output, json_text([profile_metrics(profile) for profile in profiles], indent=2) + "\n")


def _profile(recipe: Recipe, config: TrainingConfig, dataset: ImageDataset, fabric: Fabric, *, steps: int, repeats: int) -> StepProfile:
    backbone, objective = fresh_networks(recipe, dataset, fabric)
    if config.stage == "finetune":
        objective = finetune_objective(recipe, objective)
    compile_where_asked(recipe, fabric, backbone, objective)
    settings = StageSettings.of(recipe, config)

    def make(mark: Mark) -> TrainingStep:
        return TrainingStep(fabric, prepare(fabric, backbone, objective, settings), base_images(recipe, dataset), settings, mark)

    return profile_step(make, fabric.device, steps=steps, repeats=repeats)
