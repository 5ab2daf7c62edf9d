"""The evaluation of a run, and its checks before training."""

from dataclasses import dataclass

import torch

from s2m2.data.catalog import ImageDatasets, query_indices
from s2m2.errors import InputError
from s2m2.evaluation.accuracies import ExampleTask, example_task
from s2m2.evaluation.enough import check_sizes
from s2m2.evaluation.features import FeatureSet
from s2m2.evaluation.preparation import check_classifiers, prepare_features
from s2m2.evaluation.results import TaskResults
from s2m2.evaluation.run_features import RunFeatures, features_label
from s2m2.evaluation.score_all import EvaluatedFeatures, score_all, warn_of_balance
from s2m2.evaluation.task_kinds import check_enough, task_sources, task_specs
from s2m2.recipe import Recipe
from s2m2.runs.directory import RunDirectory
from s2m2.tasks.sampler import TaskSampler
from s2m2.tasks.saved_tasks import load_tasks


@dataclass(frozen=True, kw_only=True, eq=False)
class RunEvaluation:
    """Results of a run, and one task for a figure."""

    results: list[TaskResults]
    example: ExampleTask
    """The first task, on the last features and with the first classifier."""
    features: FeatureSet
    """The features of the example."""
    classifier: str
    """Label of its classifier."""


def evaluate_features_of_run(source: RunFeatures) -> RunEvaluation:
    """Score all classifiers on all kinds of tasks and features of a run, and write the results into its directory.

    Raises:
        InputError: a stage has no weights yet, or a classifier does not suit the features.
    """
    config, datasets = source.config, source.datasets
    features = {name: source.of_tasks(name) for name in config.features}
    evaluated = [
        EvaluatedFeatures(
            features=features[name],
            name=features_label(name, config),
            dataset=datasets.of(config.split).name,
            split=config.split,
            data_digest=datasets.digest(config.split),
            validation=source.of_validation(name),
            base=source.of_base(name),
        )
        for name in config.features
    ]
    # All are prepared before any is scored, so that an unsuitable classifier is reported before anything is written.
    prepared = [prepare_features(one.features, one.validation, config, one.base) for one in evaluated]
    warn_of_balance(config, prepared[0].classifiers)
    results = [
        result
        for one, ready in zip(evaluated, prepared, strict=True)
        for result in score_all(one, config, source.device, source.run.results, ready)
    ]
    last, ready = evaluated[-1].features, prepared[-1]
    (spec, tasks), (label, classifier) = task_sources(config, last)[-1], next(iter(ready.classifiers.items()))
    example = example_task(ready.features, spec, classifier, source=tasks, transform=ready.transform, device=source.device)
    return RunEvaluation(results=results, example=example, features=last, classifier=label)


def check_tasks(recipe: Recipe, datasets: ImageDatasets, run: RunDirectory) -> None:
    """Raise `InputError` if a classifier does not exist or a task needs more than its split has: before hours of training, not after."""
    config = recipe.evaluate
    check_classifiers(config)
    dataset = datasets.of(config.split)
    if datasets.queries is not None:
        _check_two_sources(recipe, datasets)
    elif config.tasks_from:
        indices = torch.from_numpy(dataset.indices(config.split))
        for path in config.tasks_from:
            load_tasks(path, indices, torch.from_numpy(dataset.labels)[indices])
    else:
        check_sizes(recipe, datasets, ("evaluate",))
        labels = torch.from_numpy(dataset.labels[dataset.indices(config.split)])
        check_enough(task_specs(config), labels, dataset.class_names, f"{config.split} tasks of {dataset.name}")


def _check_two_sources(recipe: Recipe, datasets: ImageDatasets) -> None:
    """As `check_tasks`, with queries from a dataset of their own."""
    config = recipe.evaluate
    if config.tasks_from:
        raise InputError("--evaluate.tasks_from names support and queries, so there is no --evaluate.query_dataset beside it")
    dataset, (_, labels) = datasets.of(config.split), query_indices(datasets, config.split)
    support = torch.from_numpy(dataset.labels[dataset.indices(config.split)])
    both, for_queries = torch.cat([support, torch.from_numpy(labels)]), torch.arange(len(support) + len(labels)) >= len(support)
    for spec in task_specs(config):
        TaskSampler(both, spec, dataset.class_names, for_queries)
