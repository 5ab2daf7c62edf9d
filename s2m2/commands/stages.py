"""`pretrain`, `finetune`, `evaluate`, `analyze` and `run`: one stage or all of them, and their printed results."""

from collections.abc import Callable
from pathlib import Path

from s2m2 import pipeline
from s2m2.commands.analysis import analyze_run, check_images, check_trained
from s2m2.console import console
from s2m2.recipe import Recipe
from s2m2.reports.analysis_tables import analysis_tables
from s2m2.reports.html import write_report
from s2m2.reports.scores import score_table
from s2m2.runs.directory import RunDirectory
from s2m2.runs.session import first_process_alone


def pretrain(recipe: Recipe, path: Path) -> None:
    """Stage 1."""
    print_run(pipeline.pretrain(recipe, path, verbose=True))


def finetune(recipe: Recipe, path: Path) -> None:
    """Stage 2, from the best weights of stage 1."""
    print_run(pipeline.finetune(recipe, path, verbose=True))


def evaluate(recipe: Recipe, path: Path) -> None:
    """Few-shot scores."""
    print_run(pipeline.evaluate_run(recipe, path, verbose=True))


def run(recipe: Recipe, path: Path) -> None:
    """All three stages."""
    finished = pipeline.run(recipe, path, verbose=True)
    print_run(finished)
    if finished.report is not None:
        console.print(f"{finished.seconds:.0f} s in all")


def print_run(finished: pipeline.Run) -> None:
    """Scores and places of files, on the first process."""
    if finished.report is None:
        return
    if finished.results:
        console.print(score_table(list(finished.results)))
    console.print(f"report: {finished.report}", soft_wrap=True)
    if finished.results:
        directory = RunDirectory(finished.path)
        console.print(f"scores: {directory.scores_csv}, {directory.scores_markdown}", soft_wrap=True)


def analyze(recipe: Recipe, path: Path) -> None:
    """Measures of the representation after every finished stage."""
    check_trained(path)
    session = pipeline.open_session(recipe, path, check_images)
    if first_process_alone(session):
        analysis = analyze_run(session)
        console.print(analysis_tables(analysis))
        console.print(f"analysis: {session.run.analysis}", soft_wrap=True)
        console.print(f"report: {write_report(session.run, session.datasets)}", soft_wrap=True)


STAGES: dict[str, Callable[[Recipe, Path], None]] = {
    "pretrain": pretrain,
    "finetune": finetune,
    "evaluate": evaluate,
    "analyze": analyze,
    "run": run,
}
"""Function of each subcommand."""
