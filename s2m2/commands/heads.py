"""Features as the heads of an evaluation meet them: transformed, with the statistics of the base classes where a head draws on them."""

from collections.abc import Mapping
from dataclasses import dataclass

from s2m2.evaluation.base_statistics import base_statistics
from s2m2.evaluation.classifiers import HEADS, FewShotClassifier, build_classifier
from s2m2.evaluation.engine import TaskTransform
from s2m2.evaluation.features import FeatureTable
from s2m2.evaluation.transforms import build_transforms
from s2m2.recipe import EvaluateConfig
from s2m2.recipe.heads import HeadName
from s2m2.recipe.transforms import needs_base


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadFeatures:
    """What heads meet."""

    features: FeatureTable
    validation: FeatureTable | None
    transform: TaskTransform | None
    """What is still done to each task."""
    classifiers: Mapping[HeadName, FewShotClassifier]
    """All heads of the evaluation; they draw on statistics of the base features after the same transforms."""


def base_is_needed(config: EvaluateConfig) -> bool:
    """Whether a transform or a head draws on the base features."""
    return needs_base(config.transforms) or any(HEADS[head].needs_base for head in config.heads)


def prepare_features(
    features: FeatureTable,
    validation: FeatureTable | None,
    config: EvaluateConfig,
    base: FeatureTable | None,
) -> HeadFeatures:
    """Transform the features of an evaluation and build its heads.

    Args:
        base: features of the base classes; None where there are none, or `base_is_needed` says no.

    Raises:
        InputError: base features are needed, and there are none; or a transform does not suit the features.
    """
    transforms = build_transforms(config.transforms, base)
    known = None
    if transforms.base is not None and any(HEADS[head].needs_base for head in config.heads):
        known = base_statistics(transforms.base, covariances="calibrated" in config.heads)
    return HeadFeatures(
        features=transforms.table(features),
        validation=transforms.table(validation) if validation is not None else None,
        transform=transforms.remaining,
        classifiers={head: build_classifier(head, config, known) for head in config.heads},
    )
