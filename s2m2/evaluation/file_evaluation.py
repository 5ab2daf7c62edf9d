"""The evaluation of a feature file, without images, network or run."""

from pathlib import Path

import torch

from s2m2.errors import InputError
from s2m2.evaluation.feature_files import classes_digest, read_feature_file
from s2m2.evaluation.features import FeatureSet
from s2m2.evaluation.preparation import PreparedFeatures, base_is_needed, prepare_features
from s2m2.evaluation.score_all import EvaluatedFeatures
from s2m2.evaluation.task_kinds import check_enough, task_specs
from s2m2.recipe import EvaluateConfig
from s2m2.tasks.saved_tasks import load_tasks

SPLIT, FEATURES = "all", "file"
"""Split and features as the results name them."""
WHY_OTHERS = {
    "base": "the base classes must be others than those that tasks are sampled from",
    "validation": "what is chosen on validation classes is to be reported on others",
}
"""Why the features beside those of the tasks must be of other classes."""


def prepare_file(
    config: EvaluateConfig, path: Path, *, base: Path | None = None, validation: Path | None = None
) -> tuple[EvaluatedFeatures, PreparedFeatures]:
    """The features of a file, checked, described and transformed, for `score_all`.

    Args:
        base: feature file of the base classes, for classifiers and transforms that need them.
        validation: feature file of the validation classes, for temperatures and thresholds.

    Raises:
        InputError: a file cannot be used, or a task or classifier needs more than there is.
    """
    features = read_feature_file(path)
    others = {flag: _read_others(flag, file, features, path) for flag, file in (("base", base), ("validation", validation))}
    _check_tasks(config, features, path)
    evaluated = EvaluatedFeatures(
        features=features,
        name=FEATURES,
        dataset=path.stem,
        split=SPLIT,
        data_digest=classes_digest(features),
        validation=others["validation"] if config.details else None,
        base=others["base"] if base_is_needed(config) else None,
    )
    return evaluated, prepare_features(features, evaluated.validation, config, evaluated.base)


def _read_others(flag: str, file: Path | None, features: FeatureSet, path: Path) -> FeatureSet | None:
    """Features of other classes from the same network; None without a file.

    Raises:
        InputError: they have another dimension, or are the features of the tasks.
    """
    if file is None:
        return None
    others = read_feature_file(file)
    dim, other_dim = features.features.shape[1], others.features.shape[1]
    if dim != other_dim:
        raise InputError(f"--{flag}-features {file} has {other_dim} numbers a row, but --features {path} has {dim}")
    if torch.equal(others.features, features.features):  # whatever their names and formats
        raise InputError(f"--{flag}-features {file} and --features {path} hold the same features; {WHY_OTHERS[flag]}")
    return others


def _check_tasks(config: EvaluateConfig, features: FeatureSet, path: Path) -> None:
    for name in ("support_crops", "ensemble", "query_dataset"):
        if getattr(config, name):
            raise InputError(f"--evaluate.{name} takes images, but --features {path} has none")
    for file in config.tasks_from:
        load_tasks(file, features.indices, features.labels)
    if not config.tasks_from:
        check_enough(task_specs(config), features.labels, features.class_names, f"tasks of {path}")
