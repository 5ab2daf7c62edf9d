"""Scoring put together: the validation score of the training stages, and the evaluation of a run."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from s2m2.commands.session import Session
from s2m2.console import progress_bar
from s2m2.data.augment import evaluation_view
from s2m2.data.episodes import EpisodeSpec, sample_episodes
from s2m2.data.table import ImageTable, Split
from s2m2.errors import InputError
from s2m2.evaluation.classifiers import build_classifier, classifier_settings
from s2m2.evaluation.evaluate import example_task, score_tasks
from s2m2.evaluation.features import FeatureTable, extract_features, fingerprint_of, load_features, pixel_features, save_features
from s2m2.evaluation.results import TaskResults, save_results
from s2m2.models import Backbone, build_backbone
from s2m2.recipe import EvaluateConfig, Recipe, TrainingConfig, ValidationConfig
from s2m2.recipe.evaluation import FeaturesName
from s2m2.recipe.training import HeadName
from s2m2.reporting.pictures import DrawnTask
from s2m2.runs.checkpoint import load_best, load_outcome
from s2m2.runs.directory import RunDirectory
from s2m2.seeding import seed_for

EXTRACTION_BATCH = 256


def validator(recipe: Recipe, table: ImageTable, config: ValidationConfig, device: torch.device) -> Callable[[Backbone], float]:
    """The mean accuracy of a backbone on validation tasks, the same ones at every call."""
    rows = torch.from_numpy(table.rows("validation"))
    labels = torch.from_numpy(table.labels)[rows]
    spec = _validation_spec(config, recipe.seed)
    # The paper's settings, whatever the evaluation has: what selects weights must not change with what may change later.
    classifier = build_classifier(config.head, EvaluateConfig())
    view = partial(evaluation_view, config=recipe.data)

    def score(backbone: Backbone) -> float:
        features = extract_features(backbone, table.image_tensor(), rows, view, batch_size=EXTRACTION_BATCH, device=device)
        known = FeatureTable(features=features, labels=labels, rows=rows, class_names=table.class_names, fingerprint="")
        return float(score_tasks(known, spec, classifier, head=config.head, device=device).mean())

    return score


def check_tasks(recipe: Recipe, table: ImageTable, run: RunDirectory) -> None:
    """Raise `InputError` if a task of the evaluation needs more than its split has: before hours of training, not after."""
    for spec in _specs(recipe.evaluate):
        _check_task(spec, table, recipe.evaluate.split)


def check_validation(config: TrainingConfig, table: ImageTable) -> None:
    """As `check_tasks`, for the validation tasks of a training stage."""
    _check_task(_validation_spec(config.validation, seed=0), table, "validation")


def check_features(recipe: Recipe, table: ImageTable, run: RunDirectory) -> None:
    """Raise `InputError` if the evaluation asks for features of a stage that is not finished."""
    for name in recipe.evaluate.features:
        if name != "pixels" and load_outcome(run.outcome(name)) is None:
            raise InputError(f"--evaluate.features has {name}, but --run {run.path} has not finished that stage")


def evaluate_run(session: Session) -> tuple[list[TaskResults], DrawnTask]:
    """Score all heads on all kinds of tasks and features; also the first task as pictures, by the last features and the first head.

    Raises:
        InputError: a stage whose features are asked for has no weights yet.
    """
    config, table = session.recipe.evaluate, session.table
    results: list[TaskResults] = []
    features = {name: split_features(session, name) for name in config.features}
    for name, known in features.items():
        for head in config.heads:
            for spec in _specs(config):
                results.append(_score(session, name, known, head, spec))
    known = features[config.features[-1]]
    spec, head = _specs(config)[-1], config.heads[0]
    example = example_task(known, spec, build_classifier(head, config), head=head, device=session.fabric.device)
    drawn = DrawnTask.from_evaluation(table, known, example, head=head, features=config.features[-1])
    return results, drawn


def split_features(session: Session, name: FeaturesName) -> FeatureTable:
    """Features of the evaluated split, from the cache if weights, pictures and settings are those it was made with."""
    recipe, table, device = session.recipe, session.table, session.fabric.device
    split: Split = recipe.evaluate.split
    rows = torch.from_numpy(table.rows(split))
    backbone = _trained_backbone(session, name).to(device) if name != "pixels" else None
    seen = (table.digest, split, repr((recipe.data.image_size, recipe.data.resize, recipe.data.mean, recipe.data.std)))
    fingerprint = fingerprint_of(backbone.state_dict() if backbone is not None else {}, *seen)
    path = session.run.features / f"{split}-{name}-{fingerprint[:16]}.safetensors"
    cached = load_features(path, fingerprint)
    if cached is not None:
        return cached
    view = partial(evaluation_view, config=recipe.data)
    with progress_bar(f"features, {name}", len(rows), "pictures") as advance:
        extract = partial(extract_features, backbone) if backbone is not None else pixel_features
        features = extract(table.image_tensor(), rows, view, batch_size=EXTRACTION_BATCH, device=device, progress=advance)
    labels = torch.from_numpy(table.labels)[rows]
    made = FeatureTable(features=features, labels=labels, rows=rows, class_names=table.class_names, fingerprint=fingerprint)
    save_features(path, made)
    return made


def _trained_backbone(session: Session, stage: str) -> Backbone:
    backbone = build_backbone(session.recipe.model, session.recipe.data.image_size)
    load_best(session.run.best(stage), backbone)
    return backbone


def _score(session: Session, name: FeaturesName, known: FeatureTable, head: HeadName, spec: EpisodeSpec) -> TaskResults:
    config = session.recipe.evaluate
    with progress_bar(f"{name}, {head}, {spec.ways}-way {spec.shots}-shot", spec.tasks, "tasks") as advance:
        accuracies = score_tasks(known, spec, build_classifier(head, config), head=head, device=session.fabric.device, progress=advance)
    results = TaskResults(
        dataset=session.table.name,
        split=config.split,
        features=name,
        head=head,
        ways=spec.ways,
        shots=spec.shots,
        queries=spec.queries,
        tasks=spec.tasks,
        seed=spec.seed,
        per_task=tuple(accuracies.tolist()),
        fingerprint=known.fingerprint,
        data_digest=session.table.digest,
        settings=classifier_settings(head, config),
    )
    save_results(session.run.results, results)
    return results


def _specs(config: EvaluateConfig) -> list[EpisodeSpec]:
    return [
        EpisodeSpec(ways=ways, shots=shots, queries=config.queries, tasks=config.tasks, seed=config.seed)
        for ways in config.ways
        for shots in config.shots
    ]


def _validation_spec(config: ValidationConfig, seed: int) -> EpisodeSpec:
    tasks_seed = seed_for(seed, "validation")
    return EpisodeSpec(ways=config.ways, shots=config.shots, queries=config.queries, tasks=config.tasks, seed=tasks_seed)


def _check_task(spec: EpisodeSpec, table: ImageTable, split: Split) -> None:
    try:
        sample_episodes(torch.from_numpy(table.labels[table.rows(split)]), replace(spec, tasks=1), table.class_names)
    except InputError as error:
        raise InputError(f"{split} tasks of {table.name}: {error}") from error
