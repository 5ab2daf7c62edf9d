"""The few-shot tasks of the validation classes, by which a training stage selects its weights."""

import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from s2m2.classifiers import build_classifier
from s2m2.data.dataset import ImageDataset
from s2m2.errors import InputError
from s2m2.evaluation.accuracies import score_tasks
from s2m2.evaluation.features import FeatureSet
from s2m2.evaluation.preparation import needs
from s2m2.evaluation.task_kinds import check_enough
from s2m2.random import seed_for
from s2m2.recipe import TrainingConfig, ValidationConfig
from s2m2.recipe.parts import parse_classifier
from s2m2.tasks.episodes import EpisodeSpec


def check_validation(config: TrainingConfig, dataset: ImageDataset) -> None:
    """Raise `InputError` if there is no such classifier for validation, or its tasks need more than there is."""
    spec = parse_classifier(config.validation.classifier)
    if needs(spec, "base"):
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
        self.classifier = build_classifier(config.classifier)

    def accuracies(self, features: Float32[Tensor, "image dim"], device: torch.device) -> Float64[Tensor, " task"]:
        """Accuracy of each task, from the features of the images at `indices`."""
        feature_set = FeatureSet(features=features, labels=self.labels, indices=self.indices, class_names=self.class_names, fingerprint="")
        return score_tasks(feature_set, self.spec, self.classifier, device=device)


def _validation_spec(config: ValidationConfig, seed: int) -> EpisodeSpec:
    tasks_seed = seed_for(seed, "validation")
    return EpisodeSpec(ways=config.ways, shots=config.shots, queries=config.queries, tasks=config.tasks, seed=tasks_seed)
