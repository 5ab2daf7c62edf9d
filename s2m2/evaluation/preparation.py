"""What comes before scores: transformed features, and the classifiers with statistics of the base classes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import isclass
from typing import Any

from s2m2.classifiers import BaseStatistics, FewShotClassifier, check_specs, load_class
from s2m2.classifiers import balance_warning as warning
from s2m2.classifiers import build_classifier as build
from s2m2.classifiers.transforms import TaskTransform, build_transforms
from s2m2.errors import InputError
from s2m2.evaluation.features import FeatureSet
from s2m2.recipe import EvaluateConfig
from s2m2.recipe.evaluation import needs_base as transforms_need_base
from s2m2.recipe.evaluation import transform_steps
from s2m2.recipe.parts import ClassifierSpec


def classifier_specs(config: EvaluateConfig) -> tuple[ClassifierSpec, ...]:
    """The classifiers of a recipe."""
    return check_specs(config.classifiers)


def needs_base(spec: ClassifierSpec) -> bool:
    """Whether a classifier takes statistics of the base classes."""
    return bool(getattr(load_class(spec.name), "needs_base", False))


def build_classifiers(config: EvaluateConfig, base: FeatureSet | None) -> dict[str, FewShotClassifier]:
    """The classifiers of a recipe by label.

    Args:
        base: the transformed features of the base classes; None where there are none.

    Raises:
        InputError: a classifier needs base features, and there are none.
    """
    specs = classifier_specs(config)
    covariances = any(getattr(load_class(spec.name), "needs_covariances", False) for spec in specs)
    statistics = _statistics(base, covariances) if any(map(needs_base, specs)) else None
    return {spec.label: build(spec, statistics, seed=config.seed) for spec in specs}


def build_classifier(spec: Any, base: FeatureSet | None = None, *, seed: int = 0) -> FewShotClassifier:
    """The classifier of a name, a mapping of name and settings, a class or an instance.

    Raises:
        InputError: there is no such classifier or setting, or it needs base features, and there are none.
    """
    return build(spec, _statistics(base, covariances=True), seed=seed)


def _statistics(base: FeatureSet | None, covariances: bool) -> BaseStatistics | None:
    if base is None:
        return None
    return BaseStatistics.from_features(base.features, base.labels, covariances=covariances, fingerprint=base.fingerprint)


def balance_warning(spec: ClassifierSpec, protocol: str | None, config: EvaluateConfig) -> str | None:
    """What to tell a user whose tasks may break the classifier's assumption of equally many queries a class; None: nothing."""
    loaded = load_class(spec.name)
    classifier = loaded(**spec.settings) if isclass(loaded) else loaded
    return warning(classifier, protocol, spec.label) if isinstance(classifier, FewShotClassifier) else None


def transform_features(
    names: Sequence[Any], base: FeatureSet | None, *sets: FeatureSet | None
) -> tuple[tuple[FeatureSet | None, ...], FeatureSet | None, Any]:
    """Feature sets after the transforms that treat all features alike, the base features after them, and the transform left for tasks."""
    transforms = build_transforms(names, base.features if base is not None else None)

    def changed(one: FeatureSet | None) -> FeatureSet | None:
        if one is None:
            return None
        support = transforms.features(one.support_features) if one.support_features is not None else None
        return replace(one, features=transforms.features(one.features), support_features=support)

    changed_base = None
    if base is not None and transforms.base is not None:
        changed_base = replace(base, features=transforms.base, support_features=None)
    return tuple(map(changed, sets)), changed_base, transforms.remaining


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedFeatures:
    """Transformed features, and the classifiers with their base statistics after the same transforms."""

    features: FeatureSet
    validation: FeatureSet | None
    transform: TaskTransform | None
    """The steps that look at a task."""
    classifiers: Mapping[str, Any]
    """All classifiers by label."""
    base_fingerprints: Mapping[str, str]
    """Fingerprint of the base features that each classifier, or a transform before it, uses; empty where none."""


def base_is_needed(config: EvaluateConfig) -> bool:
    """Whether a transform or a classifier needs the base features."""
    return transforms_need_base(config.transforms) or any(map(needs_base, classifier_specs(config)))


def prepare_features(
    features: FeatureSet, validation: FeatureSet | None, config: EvaluateConfig, base: FeatureSet | None
) -> PreparedFeatures:
    """Transform the features of an evaluation and build its classifiers.

    Args:
        base: features of the base classes; None where there are none, or `base_is_needed` is false.

    Raises:
        InputError: base features are needed, and there are none; or a transform or a classifier does not suit the features.
    """
    (changed, changed_validation), changed_base, remaining = transform_features(config.transforms, base, features, validation)
    assert changed is not None
    classifiers = build_classifiers(config, changed_base)
    check_positive(classifiers, [one for one in (changed, changed_validation) if one is not None], config.transforms)
    fingerprint = base.fingerprint if base is not None else ""
    of_all = transforms_need_base(config.transforms)
    return PreparedFeatures(
        features=changed,
        validation=changed_validation,
        transform=remaining,
        classifiers=classifiers,
        base_fingerprints={spec.label: fingerprint if of_all or needs_base(spec) else "" for spec in classifier_specs(config)},
    )


def check_positive(classifiers: Mapping[str, Any], sets: Iterable[FeatureSet], transforms: Sequence[Any]) -> None:
    """Raise `InputError` where a classifier would take a power of negative features, before any other is scored."""
    labels = [label for label, classifier in classifiers.items() if getattr(classifier, "needs_positive", lambda: False)()]
    if labels and (_centered_last(transforms) or any(map(_has_negative, sets))):
        where = " after --evaluate.transforms" if transforms else ""
        raise InputError(
            f"classifier {labels[0]} takes a power of the features, but some are negative{where}; "
            f"power: 1 among its settings takes none, and rectify among --evaluate.transforms makes them zero"
        )


def _centered_last(transforms: Sequence[Any]) -> bool:
    """Whether the features of tasks are centered last."""
    steps = transform_steps(transforms)
    return "center_support" in steps and "rectify" not in steps[steps.index("center_support") :]


def _has_negative(features: FeatureSet) -> bool:
    """Whether a feature is negative, as support or query."""
    return any(bool((values < 0).any()) for values in (features.features, features.support_features) if values is not None)
