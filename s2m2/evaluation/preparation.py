"""What comes before scores: transformed features, and the classifiers with statistics of the base classes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

from s2m2.classifiers import BaseStatistics, FewShotClassifier, build_classifier, check_spec, load_class
from s2m2.classifiers.finite import check_features
from s2m2.classifiers.transforms import TaskTransform, build_transforms
from s2m2.errors import InputError
from s2m2.evaluation.features import FeatureSet
from s2m2.recipe import EvaluateConfig
from s2m2.recipe.evaluation import needs_base, transform_steps
from s2m2.recipe.parts import ClassifierSpec


def check_classifiers(config: EvaluateConfig) -> None:
    """Raise `InputError` for a classifier that cannot be loaded and for a wrong setting, before any features are there."""
    for spec in config.specs:
        with _naming_the_flag():
            check_spec(spec)


def needs(spec: ClassifierSpec, what: Literal["base", "covariances"]) -> bool:
    """Whether a classifier takes statistics of the base classes, or their covariances."""
    return bool(getattr(load_class(spec.name), f"needs_{what}", False))


def build_classifiers(config: EvaluateConfig, base: FeatureSet | None) -> dict[str, FewShotClassifier]:
    """The classifiers of a recipe by label.

    Args:
        base: the transformed features of the base classes; None where there are none.

    Raises:
        InputError: a classifier needs base features, and there are none; or a setting is wrong.
    """
    covariances = any(needs(spec, "covariances") for spec in config.specs)
    statistics = base_statistics(base, covariances=covariances) if any(needs(spec, "base") for spec in config.specs) else None
    with _naming_the_flag():
        return {spec.label: build_classifier(spec, statistics, seed=config.seed) for spec in config.specs}


def base_statistics(base: FeatureSet | None, *, covariances: bool = True) -> BaseStatistics | None:
    """Statistics of the base features; None where there are none."""
    if base is None:
        return None
    return BaseStatistics.from_features(base.features, base.labels, covariances=covariances, fingerprint=base.fingerprint)


@contextmanager
def _naming_the_flag() -> Iterator[None]:
    """Errors of the classifiers of a recipe name its setting."""
    try:
        yield
    except InputError as error:
        raise InputError(f"--evaluate.classifiers: {error}") from error


def transform_features(
    names: Sequence[Any], base: FeatureSet | None, *sets: FeatureSet | None
) -> tuple[tuple[FeatureSet | None, ...], FeatureSet | None, Any]:
    """Feature sets after the transforms that treat all features alike, the base features after them, and the transform left for tasks.

    Raises:
        InputError: features are not finite or too large, before or after.
    """
    for one in (base, *sets):
        _check_features(one, "the features")
    transforms = build_transforms(names, base.features if base is not None else None)

    def changed(one: FeatureSet | None) -> FeatureSet | None:
        if one is None:
            return None
        support = transforms.features(one.support_features) if one.support_features is not None else None
        return replace(one, features=transforms.features(one.features), support_features=support)

    changed_base = None
    if base is not None and transforms.base is not None:
        changed_base = replace(base, features=transforms.base, support_features=None)
    results = tuple(map(changed, sets))
    for one in (changed_base, *results):
        _check_features(one, "after --evaluate.transforms the features")
    return results, changed_base, transforms.remaining


def _check_features(features: FeatureSet | None, what: str) -> None:
    for values in (features.features, features.support_features) if features is not None else ():
        if values is not None:
            check_features(values, what)


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
    return needs_base(config.transforms) or any(needs(spec, "base") for spec in config.specs)


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
    of_all = needs_base(config.transforms)
    return PreparedFeatures(
        features=changed,
        validation=changed_validation,
        transform=remaining,
        classifiers=classifiers,
        base_fingerprints={spec.label: fingerprint if of_all or needs(spec, "base") else "" for spec in config.specs},
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
