"""The evaluation of a run, its checks before training, and the validation tasks of the training stages."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from s2m2.classifiers import load_class
from s2m2.data.catalog import ImageDatasets, query_indices
from s2m2.data.dataset import ImageDataset
from s2m2.errors import InputError
from s2m2.evaluation.evaluate import ExampleTask, example_task, score_tasks
from s2m2.evaluation.features import FeatureSet
from s2m2.evaluation.preparation import build_classifiers, classifier_specs, needs_base, prepare_features
from s2m2.evaluation.results import TaskResults
from s2m2.evaluation.run_features import RunFeatures, features_label
from s2m2.evaluation.scoring import EvaluatedFeatures, score_all, task_sources, task_specs, warn_of_balance
from s2m2.random import seed_for
from s2m2.recipe import EvaluateConfig, Recipe, TrainingConfig, ValidationConfig
from s2m2.runs.directory import RunDirectory
from s2m2.tasks.episodes import EpisodeSpec
from s2m2.tasks.sampler import TaskSampler, sample_tasks
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
    warn_of_balance(config)
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
    for spec in classifier_specs(config):
        load_class(spec.name)
    dataset = datasets.of(config.split)
    if datasets.queries is not None:
        _check_two_sources(recipe, datasets)
    elif config.tasks_from:
        indices = torch.from_numpy(dataset.indices(config.split))
        for path in config.tasks_from:
            load_tasks(path, indices, torch.from_numpy(dataset.labels)[indices])
    else:
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


def check_enough(specs: Sequence[EpisodeSpec], labels: Int64[Tensor, " image"], class_names: tuple[str, ...], what: str) -> None:
    """Raise `InputError`, with `what` in front, if labels do not suffice for a kind of task."""
    for spec in specs:
        try:
            sample_tasks(labels, replace(spec, tasks=1), class_names)
        except InputError as error:
            raise InputError(f"{what}: {error}") from error


def check_validation(config: TrainingConfig, dataset: ImageDataset) -> None:
    """As `check_tasks`, for the validation tasks of a training stage, and for its classifier."""
    (spec,) = classifier_specs(EvaluateConfig(classifiers=(config.validation.classifier,)))
    if needs_base(spec):
        raise InputError(
            f"--{config.stage}.validation.classifier is {spec.label}, which needs base features; validation has no time to extract them"
        )
    labels = torch.from_numpy(dataset.labels[dataset.indices("validation")])
    check_enough([_validation_spec(config.validation, seed=0)], labels, dataset.class_names, f"validation tasks of {dataset.name}")


class ValidationTasks:
    """Few-shot tasks of the validation classes, the same at every call, by which a training stage selects weights."""

    def __init__(self, dataset: ImageDataset, config: ValidationConfig, seed: int) -> None:
        """Build the classifier.

        Args:
            seed: of the recipe.
        """
        self.indices = torch.from_numpy(dataset.indices("validation"))
        """Indices of the images whose features `accuracies` takes."""
        self.labels = torch.from_numpy(dataset.labels)[self.indices]
        self.class_names = dataset.class_names
        self.spec = _validation_spec(config, seed)
        # With the settings of the paper: the selection of weights must not change with those of the evaluation.
        self.classifier = next(iter(build_classifiers(EvaluateConfig(classifiers=(config.classifier,)), None).values()))

    def accuracies(self, features: Float32[Tensor, "image dim"], device: torch.device) -> Float64[Tensor, " task"]:
        """Accuracy of each task, from the features of the images at `indices`."""
        feature_set = FeatureSet(features=features, labels=self.labels, indices=self.indices, class_names=self.class_names, fingerprint="")
        return score_tasks(feature_set, self.spec, self.classifier, device=device)


def _validation_spec(config: ValidationConfig, seed: int) -> EpisodeSpec:
    tasks_seed = seed_for(seed, "validation")
    return EpisodeSpec(ways=config.ways, shots=config.shots, queries=config.queries, tasks=config.tasks, seed=tasks_seed)
