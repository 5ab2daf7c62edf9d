"""The analysis of a run: the weights of every stage of a run, measured on the same images."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from torch import nn

from s2m2.analysis.measurements import Analysis, StageAnalysis, StageName, finished_stages, save_analysis, weights_digest
from s2m2.analysis.network import AnalyzedImages, analyze_network, choose_images, passes
from s2m2.console import progress_bar
from s2m2.data.catalog import ImageDatasets
from s2m2.errors import InputError
from s2m2.models import Backbone, build_backbone
from s2m2.random import generator_for
from s2m2.recipe import Recipe
from s2m2.runs.checkpoint import fingerprint_of, load_head, load_outcome
from s2m2.runs.directory import RunDirectory
from s2m2.runs.loading import read_backbone
from s2m2.runs.session import Session
from s2m2.training.objectives import base_classifier


def check_trained(path: Path) -> None:
    """Raise `InputError` if a directory has no trained network, before images are loaded."""
    if not finished_stages(RunDirectory(path)):
        raise InputError(f"no finished training in {path}; give the directory of a trained run with --run")


def check_images(recipe: Recipe, datasets: ImageDatasets, run: RunDirectory) -> None:
    """Raise `InputError` if the base classes have too few images to measure on."""
    choose_images(recipe, datasets)


def analyze_run(session: Session) -> Analysis:
    """Measure every finished stage and the initial weights, and write the run's `analysis.json`.

    The initial weights of an imported run are unknown and left out. Novel classes are measured as well; nothing is selected by them.

    Raises:
        InputError: weights are damaged, or give values that are not finite.
    """
    datasets, images = session.datasets, choose_images(session.recipe, session.datasets)
    stages = finished_stages(session.run)
    if not session.run.imported.is_file():
        stages.insert(0, "initial")
    analysis = Analysis(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        dataset=datasets.base.name,
        digest=datasets.base.digest,
        novel_dataset=datasets.novel.name,
        novel_digest=datasets.novel.digest,
        seed=session.recipe.seed,
        settings=asdict(session.recipe.analyze),
        base_from=images.base_from,
        head_from=images.head_from,
        stages=tuple(_analyze_stage(session, name, images) for name in stages),
    )
    save_analysis(session.run.analysis, analysis)
    return analysis


def _analyze_stage(session: Session, name: StageName, images: AnalyzedImages) -> StageAnalysis:
    recipe, device = session.recipe, session.fabric.device
    backbone, head = _networks(session, name)
    fingerprint = fingerprint_of(backbone.state_dict()) if name == "initial" else weights_digest(session.run, name)
    head = head.to(device) if head is not None else None
    with progress_bar(f"analyze, {name}", passes(backbone, head, images), "images") as advance:
        return analyze_network(
            name, fingerprint, backbone.to(device), head, images, recipe.data, recipe.analyze, device=device, progress=advance
        )


def _networks(session: Session, name: StageName) -> tuple[Backbone, nn.Module | None]:
    """The backbone of a stage and its class head, on the CPU."""
    recipe, run = session.recipe, session.run
    if name == "initial":
        return build_backbone(recipe.model, recipe.data.size, generator_for(recipe.seed, "backbone")), None
    backbone, outcome = read_backbone(recipe, run, name), load_outcome(run.outcome(name))
    if outcome is None or outcome.imported:
        return backbone, None  # the class order of an imported head is unknown
    head = base_classifier(recipe.model, backbone.feature_dim, len(session.dataset.splits["base"]))
    load_head(run.best(name), "classifier", head)
    return backbone, head
