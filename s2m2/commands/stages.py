"""`pretrain`, `finetune`, `evaluate`, `analyze` and `run`: which stages, in which order, and what is printed of them."""

import time
from collections.abc import Callable
from pathlib import Path

from s2m2.commands.analysis import analyze_run, check_images, check_trained
from s2m2.commands.evaluation import check_tasks, evaluate_run
from s2m2.commands.features import check_ensemble, check_features
from s2m2.commands.session import Session, first_process_alone, open_session
from s2m2.commands.training import check_finetuning, check_pretrained, check_pretraining, finetune_stage, pretrain_stage
from s2m2.console import console
from s2m2.errors import InputError
from s2m2.recipe import Recipe
from s2m2.reporting.analysis_tables import analysis_tables
from s2m2.reporting.report import write_report
from s2m2.reporting.score_table import score_table
from s2m2.runs.provenance import hardware_of, record


def pretrain(recipe: Recipe, path: Path) -> None:
    """Stage 1."""
    session = open_session(recipe, path, check_pretraining, trains=True)
    pretrain_stage(session)
    if first_process_alone(session):
        _report(session)


def finetune(recipe: Recipe, path: Path) -> None:
    """Stage 2, from the best weights of stage 1."""
    if recipe.finetune.epochs == 0:
        raise InputError("--finetune.epochs is 0, so there is nothing to fine-tune")
    session = open_session(recipe, path, check_pretrained, check_finetuning, trains=True)
    finetune_stage(session)
    if first_process_alone(session):
        _report(session)


def evaluate(recipe: Recipe, path: Path) -> None:
    """Few-shot scores, printed, saved and reported."""
    session = open_session(recipe, path, check_tasks, check_features, check_ensemble)
    if first_process_alone(session):
        _evaluate(session)


def analyze(recipe: Recipe, path: Path) -> None:
    """What was learned, measured on the weights of every finished stage, printed, saved and reported."""
    check_trained(path)
    session = open_session(recipe, path, check_images)
    if first_process_alone(session):
        analysis = analyze_run(session)
        console.print(analysis_tables(analysis))
        console.print(f"analysis: {session.run.analysis}", soft_wrap=True)
        _report(session)


def run(recipe: Recipe, path: Path) -> None:
    """All three stages; each that is finished already is passed over."""
    began = time.monotonic()
    session = open_session(recipe, path, check_pretraining, check_finetuning, check_tasks, check_ensemble, trains=True)
    pretrain_stage(session)
    if recipe.finetune.epochs:
        finetune_stage(session)
    if first_process_alone(session):
        _evaluate(session)
        console.print(f"{time.monotonic() - began:.0f} s in all")


def _evaluate(session: Session) -> None:
    began = time.monotonic()
    results, example = evaluate_run(session)
    seconds, dataset = round(time.monotonic() - began, 1), session.dataset
    facts = {"seconds": seconds, "hardware": hardware_of(session.fabric.device)}
    record(session.run, evaluate=facts, data={"name": dataset.name, "digest": dataset.digest})
    console.print(score_table(results))
    report = write_report(session.run, session.datasets, example)
    console.print(f"report: {report}\nscores: {session.run.scores_csv}, {session.run.scores_markdown}", soft_wrap=True)


def _report(session: Session) -> None:
    console.print(f"report: {write_report(session.run, session.datasets)}", soft_wrap=True)


STAGES: dict[str, Callable[[Recipe, Path], None]] = {
    "pretrain": pretrain,
    "finetune": finetune,
    "evaluate": evaluate,
    "analyze": analyze,
    "run": run,
}
"""What serves each subcommand."""
