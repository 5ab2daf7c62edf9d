"""Scoring put together: the validation score of the training stages, and the evaluation of a run."""

from dataclasses import replace
from functools import partial

import torch
from lightning_fabric import Fabric

from s2m2.commands.classifiers import base_is_needed, prepare_features
from s2m2.commands.features import EXTRACTION_BATCH, features_label, split_features, task_features
from s2m2.commands.scoring import Scored, score_all, task_sources, task_specs, warn_of_balance
from s2m2.commands.session import Session
from s2m2.data.augment import evaluation_view
from s2m2.data.catalog import ImageDatasets, query_rows
from s2m2.data.dataset import ImageDataset, Split
from s2m2.data.episodes import EpisodeSpec
from s2m2.data.sampling import EpisodeSampler, sample_episodes
from s2m2.data.stored_episodes import load_episodes
from s2m2.errors import InputError
from s2m2.evaluation.classifiers import CLASSIFIERS, build_classifier
from s2m2.evaluation.evaluate import example_task, score_tasks
from s2m2.evaluation.features import FeatureSet, extract_features
from s2m2.evaluation.intervals import mean_and_interval
from s2m2.evaluation.results import TaskResults
from s2m2.models import Backbone
from s2m2.recipe import EvaluateConfig, Recipe, TrainingConfig, ValidationConfig
from s2m2.recipe.evaluation import FeaturesName
from s2m2.reporting.images import DrawnTask
from s2m2.runs.directory import RunDirectory
from s2m2.seeding import seed_for
from s2m2.training.collectives import join_rows
from s2m2.training.compiling import uncompiled
from s2m2.training.stage import Score, Validate


def validator(recipe: Recipe, dataset: ImageDataset, config: ValidationConfig, fabric: Fabric) -> Validate:
    """The mean accuracy of a backbone on validation tasks, the same ones at every call.

    Every process looks at a share of the images, so all of them have to call it; all get the score.
    """
    rows = torch.from_numpy(dataset.rows("validation"))
    labels = torch.from_numpy(dataset.labels)[rows]
    spec = _validation_spec(config, recipe.seed)
    # The paper's settings, whatever the evaluation has: what selects weights must not change with what may change later.
    classifier = build_classifier(config.classifier, EvaluateConfig())
    view = partial(evaluation_view, config=recipe.data)

    def score(backbone: Backbone) -> Score:
        share = rows[fabric.global_rank :: fabric.world_size]
        with uncompiled(recipe.runtime.compile):
            features = extract_features(backbone, dataset.image_tensor(), share, view, batch_size=EXTRACTION_BATCH, device=fabric.device)
        if fabric.world_size > 1:
            features = join_rows(features.to(fabric.device), len(rows)).cpu()
        known = FeatureSet(features=features, labels=labels, rows=rows, class_names=dataset.class_names, fingerprint="")
        accuracies = score_tasks(known, spec, classifier, name=config.classifier, device=fabric.device)
        return Score(*mean_and_interval(accuracies.tolist()))

    return score


def check_tasks(recipe: Recipe, datasets: ImageDatasets, run: RunDirectory) -> None:
    """Raise `InputError` if a task of the evaluation needs more than its split has: before hours of training, not after."""
    config = recipe.evaluate
    dataset = datasets.of(config.split)
    if datasets.queries is not None:
        _check_crossed(recipe, datasets)
    elif config.tasks_from:
        rows = torch.from_numpy(dataset.rows(config.split))
        for path in config.tasks_from:
            load_episodes(path, rows, torch.from_numpy(dataset.labels)[rows])
    else:
        for spec in task_specs(config):
            _check_task(spec, dataset, config.split)


def _check_crossed(recipe: Recipe, datasets: ImageDatasets) -> None:
    """As `check_tasks`, where queries come from a dataset of their own."""
    config = recipe.evaluate
    if config.tasks_from:
        raise InputError("--evaluate.tasks_from names support and queries, so there is no --evaluate.query_dataset beside it")
    dataset, (_, labels) = datasets.of(config.split), query_rows(datasets, config.split)
    support = torch.from_numpy(dataset.labels[dataset.rows(config.split)])
    both, for_queries = torch.cat([support, torch.from_numpy(labels)]), torch.arange(len(support) + len(labels)) >= len(support)
    for spec in task_specs(config):
        EpisodeSampler(both, spec, dataset.class_names, for_queries)


def check_validation(config: TrainingConfig, dataset: ImageDataset) -> None:
    """As `check_tasks`, for the validation tasks of a training stage, and for its classifier."""
    classifier = config.validation.classifier
    if CLASSIFIERS[classifier].needs_base:
        raise InputError(
            f"--{config.stage}.validation.classifier is {classifier}, which draws on base features; validation has no time to make them"
        )
    _check_task(_validation_spec(config.validation, seed=0), dataset, "validation")


def evaluate_run(session: Session) -> tuple[list[TaskResults], DrawnTask]:
    """Score all classifiers on all kinds of tasks and features; also the first task as images, by the last features and the first name.

    Raises:
        InputError: a stage whose features are asked for has no weights yet.
    """
    config = session.recipe.evaluate
    datasets = session.datasets
    warn_of_balance(config)
    features = {name: task_features(session, name) for name in config.features}
    asked = [
        Scored(
            features=known,
            name=features_label(name, config),
            dataset=datasets.of(config.split).name,
            split=config.split,
            data_digest=datasets.digest(config.split),
            folder=session.run.results,
            validation=_validation_features(session, name),
            base=_base_features(session, name),
        )
        for name, known in features.items()
    ]
    # All are prepared before any is scored, so that a name that does not suit one of them is told of before anything is written.
    prepared = [prepare_features(scored.features, scored.validation, config, scored.base) for scored in asked]
    results = [one for scored, met in zip(asked, prepared, strict=True) for one in score_all(scored, config, session.fabric.device, met)]
    known, met = features[config.features[-1]], prepared[-1]
    (spec, source), name, classifier = task_sources(config, known)[-1], config.classifiers[0], met.classifiers[config.classifiers[0]]
    example = example_task(met.features, spec, classifier, name=name, source=source, transform=met.transform, device=session.fabric.device)
    drawn = DrawnTask.from_evaluation(partial(datasets.image, config.split), known, example, classifier=name, features=config.features[-1])
    return results, drawn


def _validation_features(session: Session, name: FeaturesName) -> FeatureSet | None:
    """What temperatures and thresholds are chosen on, where there are validation classes apart from the evaluated ones."""
    config = session.recipe.evaluate
    if not config.details or config.split == "validation" or not session.datasets.validation.splits.get("validation", ()):
        return None
    return split_features(session, name, "validation")


def _base_features(session: Session, name: FeaturesName) -> FeatureSet | None:
    """What transforms and classifiers draw on, if any does."""
    return split_features(session, name, "base") if base_is_needed(session.recipe.evaluate) else None


def _validation_spec(config: ValidationConfig, seed: int) -> EpisodeSpec:
    tasks_seed = seed_for(seed, "validation")
    return EpisodeSpec(ways=config.ways, shots=config.shots, queries=config.queries, tasks=config.tasks, seed=tasks_seed)


def _check_task(spec: EpisodeSpec, dataset: ImageDataset, split: Split) -> None:
    try:
        sample_episodes(torch.from_numpy(dataset.labels[dataset.rows(split)]), replace(spec, tasks=1), dataset.class_names)
    except InputError as error:
        raise InputError(f"{split} tasks of {dataset.name}: {error}") from error
