"""Features as the classifiers of an evaluation meet them: transformed, with the statistics of the base classes where a classifier draws on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from s2m2.errors import InputError
from s2m2.evaluation.base_statistics import base_statistics
from s2m2.evaluation.classifiers import CLASSIFIERS, FewShotClassifier, build_classifier
from s2m2.evaluation.engine import TaskTransform
from s2m2.evaluation.features import FeatureSet
from s2m2.evaluation.transforms import build_transforms
from s2m2.recipe import EvaluateConfig
from s2m2.recipe.classifiers import ClassifierName
from s2m2.recipe.transforms import needs_base, transform_steps


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassifierFeatures:
    """What classifiers meet."""

    features: FeatureSet
    validation: FeatureSet | None
    transform: TaskTransform | None
    """What is still done to each task."""
    classifiers: Mapping[ClassifierName, FewShotClassifier]
    """All classifiers of the evaluation; they draw on statistics of the base features after the same transforms."""
    drawn_on: Mapping[ClassifierName, str]
    """Fingerprint of the base features that each classifier, or a transform before it, draws on; empty where nothing does."""


def base_is_needed(config: EvaluateConfig) -> bool:
    """Whether a transform or a classifier draws on the base features."""
    return any(_draws_on_base(classifier, config) for classifier in config.classifiers)


def prepare_features(
    features: FeatureSet,
    validation: FeatureSet | None,
    config: EvaluateConfig,
    base: FeatureSet | None,
) -> ClassifierFeatures:
    """Transform the features of an evaluation and build its classifiers.

    Args:
        base: features of the base classes; None where there are none, or `base_is_needed` says no.

    Raises:
        InputError: base features are needed, and there are none; or a transform or a classifier does not suit the features.
    """
    transforms = build_transforms(config.transforms, base)
    known = None
    if transforms.base is not None and any(CLASSIFIERS[classifier].needs_base for classifier in config.classifiers):
        known = base_statistics(transforms.base, covariances="calibrated" in config.classifiers)
    changed = transforms.dataset(features)
    changed_validation = transforms.dataset(validation) if validation is not None else None
    classifiers = {classifier: build_classifier(classifier, config, known) for classifier in config.classifiers}
    _check_positive([dataset for dataset in (changed, changed_validation) if dataset is not None], config)
    return ClassifierFeatures(
        features=changed,
        validation=changed_validation,
        transform=transforms.remaining,
        classifiers=classifiers,
        drawn_on={
            classifier: base.fingerprint if base is not None and _draws_on_base(classifier, config) else ""
            for classifier in config.classifiers
        },
    )


def _draws_on_base(classifier: ClassifierName, config: EvaluateConfig) -> bool:
    return needs_base(config.transforms) or CLASSIFIERS[classifier].needs_base


def _check_positive(datasets: Sequence[FeatureSet], config: EvaluateConfig) -> None:
    """Raise `InputError` where a classifier is to take a power of negative features, now rather than after others were scored."""
    classifiers = [classifier for classifier in config.classifiers if CLASSIFIERS[classifier].needs_positive(config)]
    if classifiers and (_centered_last(config) or any(map(_has_negative, datasets))):
        where = " after --evaluate.transforms" if config.transforms else ""
        raise InputError(
            f"classifier {classifiers[0]} takes a power of the features, but some are negative{where}; --evaluate.{classifiers[0]}.power 1 takes none, "
            "and rectify among --evaluate.transforms makes them zero"
        )


def _centered_last(config: EvaluateConfig) -> bool:
    """Whether tasks are centerd, and stay so."""
    steps = transform_steps(config.transforms)
    return "center_support" in steps and "rectify" not in steps[steps.index("center_support") :]


def _has_negative(dataset: FeatureSet) -> bool:
    """Whether a feature is, in either role of its image."""
    roles = (dataset.features, dataset.support_features)
    return any(bool((values < 0).any()) for values in roles if values is not None)
