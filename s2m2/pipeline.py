"""The whole method over a run directory: pretrain, fine-tune, evaluate. Functions for Python; the command line prints what they return.

Everything that can be checked is checked first: a refused call writes nothing.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from torch import nn

from s2m2.arguments import path_argument, switch
from s2m2.console import console, literal, quiet
from s2m2.data.augment import evaluation_view
from s2m2.data.batches import split_base
from s2m2.data.catalog import ImageDatasets, load_datasets
from s2m2.data.dataset import ImageDataset, LabeledImages
from s2m2.errors import InputError
from s2m2.evaluation.enough import check_sizes
from s2m2.evaluation.features import extract_features
from s2m2.evaluation.intervals import mean_and_interval
from s2m2.evaluation.results import TaskResults
from s2m2.evaluation.run_evaluation import check_tasks, evaluate_features_of_run
from s2m2.evaluation.run_features import EXTRACTION_BATCH, RunFeatures, check_ensemble, check_features
from s2m2.evaluation.seen_images import warning_of_seen
from s2m2.evaluation.validation_tasks import ValidationTasks, check_validation
from s2m2.io import refuse_links
from s2m2.models import Backbone, build_backbone, initialize
from s2m2.random import generator_for
from s2m2.recipe import FinetuneConfig, PretrainConfig, Recipe, ValidationConfig
from s2m2.recipe.confinement import SAVES, confined
from s2m2.recipe.overrides import AnyRecipe, as_recipe
from s2m2.reports.html import write_report
from s2m2.reports.images import DrawnTask
from s2m2.runs.checkpoint import Outcome, load_outcome
from s2m2.runs.directory import STAGES, RunDirectory, default_path
from s2m2.runs.image_settings import resolve_images
from s2m2.runs.loading import LoadedBackbone, load
from s2m2.runs.logging import check_loggers
from s2m2.runs.named_weights import SHA256, run_for_results, trained_folder
from s2m2.runs.provenance import hardware_of, read_provenance, record
from s2m2.runs.session import Check, Session, alone, begin_session, first_process_alone
from s2m2.runs.starting_weights import load_start
from s2m2.runs.trained_images import check_images, has_begun
from s2m2.runs.watch import expected_file, watch_run
from s2m2.training.checks import check_stage
from s2m2.training.compiling import compile_networks, uncompiled
from s2m2.training.devices import build_fabric
from s2m2.training.distributed import gather_images, join_interleaved
from s2m2.training.loop import Score, Validate, train_stage
from s2m2.training.objectives import Gather, Objective, finetune_objective, pretrain_objective
from s2m2.training.precision import precision_words, resolve_precision
from s2m2.training.step import StageSettings

Drawing = Callable[[], DrawnTask]
"""Draws a task for the report, once the scores are saved."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """What a call has written into a run directory."""

    path: Path
    recipe: Recipe
    """With the image size resolved."""
    outcomes: Mapping[str, Outcome]
    """How each finished training stage ended, by its name."""
    results: Sequence[TaskResults]
    """Few-shot results of this call, one for each combination of features, classifier and kind of tasks."""
    report: Path | None
    """`report.html`; None where it could not be written, and on processes other than the first."""
    seconds: float
    """Duration of the call."""

    def backbone(self, stage: str | None = None) -> LoadedBackbone:
        """The trained backbone of a stage; None: the last finished one."""
        return load(self.path, stage=stage)

    @property
    def scores(self) -> list[dict[str, Any]]:
        """Results as a table, one row each, for `pandas.DataFrame`: accuracies and 95 % intervals are fractions."""
        names = ("features", "classifier", "protocol", "ways", "shots", "queries", "tasks", "mean", "interval", "class_interval")
        return [{name: getattr(result, name) for name in names} for result in self.results]


def pretrain(
    recipe: AnyRecipe = None, path: Path | str | None = None, *, verbose: bool = False, expected: Path | str | None = None, **settings: Any
) -> Run:
    """Stage 1: train a backbone on base classes with self-supervision. Arguments as for `run`."""
    with quiet(not switch("verbose", verbose)):
        began = time.monotonic()
        session = open_session(*_request(recipe, path, settings), check_pretraining, trains=True, expected=expected_file(recipe, expected))
        pretrain_stage(session)
        return _finish(session, began)


def finetune(
    recipe: AnyRecipe = None, path: Path | str | None = None, *, verbose: bool = False, expected: Path | str | None = None, **settings: Any
) -> Run:
    """Stage 2: fine-tune the best weights of stage 1 with manifold mixup. Arguments as for `run`."""
    with quiet(not switch("verbose", verbose)):
        began = time.monotonic()
        chosen, folder = _request(recipe, path, settings)
        if chosen.finetune.epochs == 0:
            raise InputError("--finetune.epochs is 0, so there is nothing to fine-tune")
        session = open_session(chosen, folder, check_pretrained, check_finetuning, trains=True, expected=expected_file(recipe, expected))
        finetune_stage(session)
        return _finish(session, began)


def evaluate_run(recipe: AnyRecipe = None, path: Path | str | None = None, *, verbose: bool = False, **settings: Any) -> Run:
    """Few-shot scores of a trained run, saved and reported. Arguments as for `run`.

    `path` may also be the name of weights in the repository, as for `load`; their results go to `runs/NAME`.
    """
    with quiet(not switch("verbose", verbose)):
        began = time.monotonic()
        path = path if path is None else trained_folder(path, "path")
        session = open_session(*_request(recipe, path, settings), check_features, check_tasks, check_ensemble)
        return _finish(session, began, scores=True)


def run(
    recipe: AnyRecipe = None, path: Path | str | None = None, *, verbose: bool = False, expected: Path | str | None = None, **settings: Any
) -> Run:
    """Pretrain, fine-tune, evaluate and report; finished stages are skipped, an interrupted one resumes.

    Args:
        recipe: a YAML file, a `Recipe`, a mapping of settings, or None: the recipe of the run at `path`, or the embedded quick one.
        path: run directory; by default `runs/NAME` of a recipe file, else `runs/quick`.
        verbose: print progress, as the command line does.
        expected: file of what the recipe should give, with which the training is compared; by default `NAME.expected.json` beside a
            recipe file `NAME.yaml`. Without one, that of an earlier start in the run directory.
        settings: settings that override the recipe, as nested mappings (`pretrain={"epochs": 2}`) or by dotted names
            (`**{"pretrain.epochs": 2}`). `backbone="module:object"` is short for `model.backbone`, and `classifier="module:object"`
            (or a list of names) for `evaluate.classifiers`.

    Raises:
        InputError: a setting, the device, the images or the run directory cannot be used. Nothing is written then.
        FloatingPointError: a loss is not finite; the message names the step and the last good checkpoint.
    """
    with quiet(not switch("verbose", verbose)):
        began = time.monotonic()
        checks = (check_size_for_run, check_pretraining, check_finetuning, check_tasks, check_ensemble)
        session = open_session(*_request(recipe, path, settings), *checks, trains=True, expected=expected_file(recipe, expected))
        pretrain_stage(session)
        if session.recipe.finetune.epochs:
            finetune_stage(session)
        return _finish(session, began, scores=True)


def _request(recipe: AnyRecipe, path: Path | str | None, settings: Mapping[str, Any]) -> tuple[Recipe, Path]:
    """The recipe with all settings, and the run directory."""
    folder = path_argument("path", path) if path is not None else default_path(recipe if isinstance(recipe, str | Path) else None)
    own = recipe is None and RunDirectory(folder).recipe.is_file()
    if own:
        recipe = RunDirectory(folder).recipe
    whole = as_recipe(recipe, **settings)
    if isinstance(recipe, str | Path) and not {SAVES, "evaluate"} & settings.keys():
        whole, _ = confined(whole, folder, own=own)
    return whole, folder


def _finish(session: Session, began: float, *, scores: bool = False) -> Run:
    """Evaluate and report on the first process."""
    results: Sequence[TaskResults] = ()
    report = None
    if first_process_alone(session):
        results, drawing = _evaluate(session) if scores else ((), None)
        report = report_if_possible(session, drawing)
    ended = {stage: load_outcome(session.run.outcome(stage)) for stage in STAGES}
    return Run(
        path=session.run.path,
        recipe=session.recipe,
        outcomes={stage: outcome for stage, outcome in ended.items() if outcome is not None},
        results=results,
        report=report,
        seconds=time.monotonic() - began,
    )


def report_if_possible(session: Session, drawing: Drawing | None = None) -> Path | None:
    """Write the report, with a drawn task if there is one. Whatever fails here is a line: the work is done and saved."""
    try:
        return write_report(session.run, session.datasets, drawing() if drawing is not None else None)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        kept = f"; the scores are in {session.run.results}" if session.run.results.is_dir() else ""
        console.print(literal(f"warning: the report cannot be written: {reason}{kept}"), soft_wrap=True)
        return None


def _evaluate(session: Session) -> tuple[Sequence[TaskResults], Drawing]:
    began = time.monotonic()
    split, datasets = session.recipe.evaluate.split, session.datasets
    warning = warning_of_seen(datasets, split) if has_begun(session.run) else ""
    seen = read_provenance(session.run).get("seen", {}) | ({datasets.digest(split): warning} if warning else {})
    if warning:
        console.print(literal(f"warning: {warning}"), soft_wrap=True)
    results, drawing = score_session(session)
    facts = {"seconds": round(time.monotonic() - began, 1), "hardware": hardware_of(session.fabric.device)}
    record(session.run, evaluate=facts, seen=seen, data={"name": session.dataset.name, "digest": session.dataset.digest})
    return results, drawing


# Sessions


def open_session(recipe: Recipe, path: Path, *checks: Check, trains: bool = False, expected: Path | None = None) -> Session:
    """Check everything that can be checked, then open the run directory: a call that fails leaves no trace.

    Args:
        trains: the session trains the run, so no other process may.
        expected: file of what to expect of the recipe; it need not be there.

    Raises:
        InputError: the device, the images or the directory cannot be used, another process trains the run, or a check fails.
    """
    refuse_links(path, "--run")
    fabric = build_fabric(recipe.runtime)
    datasets = load_datasets(recipe.data, recipe.evaluate)
    # From here on the recipe states what the network sees, so that the run keeps it whatever the defaults of a dataset become.
    recipe, note = resolve_images(recipe, datasets.base)
    check_images(recipe.data, datasets, RunDirectory(path))
    for check in checks:
        check(recipe, datasets, RunDirectory(path))
    if note and fabric.is_global_zero:
        console.print(literal(note), soft_wrap=True)
    session = begin_session(recipe, run_for_results(path, writes=fabric.is_global_zero), fabric, datasets, trains=trains)
    if not trains or not fabric.is_global_zero:
        return session
    chosen = replace(recipe.runtime, precision=resolve_precision(recipe.runtime, fabric.device.type))
    return replace(session, watch=watch_run(replace(recipe, runtime=chosen), datasets, session.run, expected))


def check_size_for_run(recipe: Recipe, datasets: ImageDatasets, run: RunDirectory) -> None:
    """Raise `InputError` if there are too few images or classes for any part of the recipe, naming all that is missing."""
    check_sizes(recipe, datasets, ("pretrain", "finetune", "evaluate"))


def check_pretraining(recipe: Recipe, datasets: ImageDatasets, run: RunDirectory) -> None:
    """Raise `InputError` if stage 1 could not train, validate or log."""
    check_loggers(recipe.runtime.loggers)
    check_sizes(recipe, datasets, ("pretrain",))
    check_stage(recipe, recipe.pretrain, datasets.base)
    check_validation(recipe.pretrain, datasets.validation)


def check_finetuning(recipe: Recipe, datasets: ImageDatasets, run: RunDirectory) -> None:
    """Raise `InputError` if stage 2 could not start, train, validate or log."""
    check_loggers(recipe.runtime.loggers)
    if not recipe.finetune.epochs:
        return
    check_sizes(recipe, datasets, ("finetune",))
    check_stage(recipe, recipe.finetune, datasets.base)
    check_validation(recipe.finetune, datasets.validation)
    if load_outcome(run.outcome("finetune")) is None and load_outcome(run.outcome("pretrain")) is not None:
        load_start(run, *networks_of(recipe, datasets.base), base_class_names(datasets.base))


def check_pretrained(recipe: Recipe, datasets: ImageDatasets, run: RunDirectory) -> None:
    """Raise `InputError` if stage 1 is not finished."""
    if load_outcome(run.outcome("pretrain")) is not None:
        return
    if run.imported.is_file() and load_outcome(run.outcome("finetune")) is not None:
        again = f"s2m2 import {run.path} --stage pretrain --output START"
        raise InputError(f"--run {run.path} has weights of stage 2 only; `{again}` makes a run that starts from them")
    if str(run.path) in SHA256 and not run.recipe.is_file():
        raise InputError(f"{run.path} is the name of weights; `s2m2 import {run.path} --stage pretrain --output START` makes a run of them")
    raise InputError(f"--run {run.path} has no finished pretraining to fine-tune; `s2m2 pretrain` does it")


# Stages


def pretrain_stage(session: Session) -> Outcome:
    """Stage 1 from random weights."""
    backbone, objective = fresh_networks(session.recipe, session.dataset, session.fabric)
    return _train(session, session.recipe.pretrain, backbone, objective)


def finetune_stage(session: Session) -> Outcome:
    """Stage 2 from the best weights of stage 1, with its heads."""
    backbone, objective = fresh_networks(session.recipe, session.dataset, session.fabric)
    if load_outcome(session.run.outcome("finetune")) is None:
        for note in load_start(session.run, backbone, objective, base_class_names(session.dataset)):
            if session.fabric.is_global_zero:
                console.print(literal(f"finetune: {note}"), soft_wrap=True)
    return _train(session, session.recipe.finetune, backbone, finetune_objective(session.recipe, objective))


def fresh_networks(recipe: Recipe, dataset: ImageDataset, fabric: Fabric) -> tuple[Backbone, Objective]:
    """Backbone and objective of stage 1 with initial weights, on the CPU."""
    return networks_of(recipe, dataset, gather_images if fabric.world_size > 1 else None)


def networks_of(recipe: Recipe, dataset: ImageDataset, gather: Gather | None = None) -> tuple[Backbone, Objective]:
    """As `fresh_networks`; `gather` joins the features of several processes."""
    backbone = build_backbone(recipe.model, recipe.data.size, generator_for(recipe.seed, "backbone"))
    objective = pretrain_objective(recipe, backbone.feature_dim, len(dataset.splits["base"]), gather)
    initialize(objective, generator_for(recipe.seed, "heads"))
    return backbone, objective


def _train(session: Session, config: PretrainConfig | FinetuneConfig, backbone: Backbone, objective: Objective) -> Outcome:
    recipe, run, fabric = session.recipe, session.run, session.fabric
    say: Callable[[str], None] = partial(console.print, markup=False, soft_wrap=True) if fabric.is_global_zero else lambda text: None
    done = load_outcome(run.outcome(config.stage))
    if done is not None:
        finished = f"finished before, after {done.epochs} epochs (best validation {done.best_score:.2%})"
        say(f"{config.stage}: {f'imported from {done.imported}' if done.imported else finished}")
        return done
    compile_where_asked(recipe, fabric, backbone, objective)
    settings, images = StageSettings.of(recipe, config), base_images(recipe, session.dataset)
    validate = validator(recipe, session.datasets.validation, config.validation, fabric)
    hardware, precision = hardware_of(fabric.device, fabric.world_size), resolve_precision(recipe.runtime, fabric.device.type)
    with alone(fabric, run):
        say(f"{config.stage}: {len(images.indices):,} images, on {hardware}, {precision_words(recipe.runtime, precision)}")
        outcome = train_stage(fabric, run, backbone, objective, images, settings, validate, session.watch)
    if fabric.is_global_zero:
        runtime = replace(recipe.runtime, precision=precision)
        record(run, **{config.stage: {**asdict(outcome), "hardware": hardware}, "runtime": asdict(runtime)})
    if outcome.best_epoch == 0:
        say(f"{config.stage}: no epoch beat the initial weights of the stage, so these are kept")
    ended = f"stopped early after {outcome.epochs} epochs" if outcome.stopped_early else f"{outcome.epochs} epochs"
    best = f"best validation {outcome.best_score:.2%} after epoch {outcome.best_epoch}"
    say(f"{config.stage}: {ended}, {best}, {outcome.seconds:.0f} s")
    return outcome


def base_class_names(dataset: ImageDataset) -> list[str]:
    """Names of the base classes, in the order of the classifier's outputs."""
    return [dataset.class_names[number] for number in dataset.splits["base"]]


def compile_where_asked(recipe: Recipe, fabric: Fabric, backbone: Backbone, objective: nn.Module) -> None:
    """Compile the networks if the recipe asks for it; on several devices a warning says that it is left out."""
    if recipe.runtime.compile and fabric.world_size == 1:
        compile_networks(backbone, objective)
    elif recipe.runtime.compile and fabric.is_global_zero:
        warning = "warning: --runtime.compile is left out, as statistics shared by several devices cannot be compiled"
        console.print(warning, markup=False, soft_wrap=True)


def base_images(recipe: Recipe, dataset: ImageDataset) -> LabeledImages:
    """The images of both training stages."""
    base = split_base(dataset, recipe.data, recipe.seed)
    return LabeledImages(images=dataset.image_tensor(), indices=base.indices, labels=base.labels, proportions=dataset.proportion_tensor())


# Scores


def run_features(session: Session) -> RunFeatures:
    """Features of the images of a session's run."""
    return RunFeatures(recipe=session.recipe, run=session.run, datasets=session.datasets, device=session.fabric.device)


def validator(recipe: Recipe, dataset: ImageDataset, config: ValidationConfig, fabric: Fabric) -> Validate:
    """The mean accuracy of a backbone on validation tasks, the same ones at every call.

    Every process extracts features of some of the images, so all of them have to call it; all get the score.
    """
    tasks = ValidationTasks(dataset, config, recipe.seed)
    view = partial(evaluation_view, config=recipe.data)

    def score(backbone: Backbone) -> Score:
        indices = tasks.indices[fabric.global_rank :: fabric.world_size]
        with uncompiled(recipe.runtime.compile):
            features = extract_features(backbone, dataset.image_tensor(), indices, view, batch_size=EXTRACTION_BATCH, device=fabric.device)
        if fabric.world_size > 1:
            features = join_interleaved(features.to(fabric.device), len(tasks.indices)).cpu()
        return Score(*mean_and_interval(tasks.accuracies(features, fabric.device).tolist()))

    return score


def score_session(session: Session) -> tuple[list[TaskResults], Drawing]:
    """Score all classifiers on all kinds of tasks and features; also what draws the first task as images."""
    evaluation, config = evaluate_features_of_run(run_features(session)), session.recipe.evaluate
    drawing = partial(
        DrawnTask.from_evaluation,
        partial(session.datasets.image, config.split),
        evaluation.features,
        evaluation.example,
        classifier=evaluation.classifier,
        features=config.features[-1],
    )
    return evaluation.results, drawing
