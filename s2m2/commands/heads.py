"""Features as the heads of an evaluation meet them: transformed, with the statistics of the base classes where a head draws on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from s2m2.errors import InputError
from s2m2.evaluation.base_statistics import base_statistics
from s2m2.evaluation.classifiers import HEADS, FewShotClassifier, build_classifier
from s2m2.evaluation.engine import TaskTransform
from s2m2.evaluation.features import FeatureTable
from s2m2.evaluation.transforms import build_transforms
from s2m2.recipe import EvaluateConfig
from s2m2.recipe.heads import HeadName
from s2m2.recipe.transforms import needs_base, transform_steps


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadFeatures:
    """What heads meet."""

    features: FeatureTable
    validation: FeatureTable | None
    transform: TaskTransform | None
    """What is still done to each task."""
    classifiers: Mapping[HeadName, FewShotClassifier]
    """All heads of the evaluation; they draw on statistics of the base features after the same transforms."""
    drawn_on: Mapping[HeadName, str]
    """Fingerprint of the base features that each head, or a transform before it, draws on; empty where nothing does."""


def base_is_needed(config: EvaluateConfig) -> bool:
    """Whether a transform or a head draws on the base features."""
    return any(_draws_on_base(head, config) for head in config.heads)


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
        InputError: base features are needed, and there are none; or a transform or a head does not suit the features.
    """
    transforms = build_transforms(config.transforms, base)
    known = None
    if transforms.base is not None and any(HEADS[head].needs_base for head in config.heads):
        known = base_statistics(transforms.base, covariances="calibrated" in config.heads)
    changed = transforms.table(features)
    changed_validation = transforms.table(validation) if validation is not None else None
    classifiers = {head: build_classifier(head, config, known) for head in config.heads}
    _check_positive([table for table in (changed, changed_validation) if table is not None], config)
    return HeadFeatures(
        features=changed,
        validation=changed_validation,
        transform=transforms.remaining,
        classifiers=classifiers,
        drawn_on={head: base.fingerprint if base is not None and _draws_on_base(head, config) else "" for head in config.heads},
    )


def _draws_on_base(head: HeadName, config: EvaluateConfig) -> bool:
    return needs_base(config.transforms) or HEADS[head].needs_base


def _check_positive(tables: Sequence[FeatureTable], config: EvaluateConfig) -> None:
    """Raise `InputError` where a head is to take a power of negative features, now rather than after others were scored."""
    heads = [head for head in config.heads if HEADS[head].needs_positive(config)]
    if heads and (_centred_last(config) or any(map(_has_negative, tables))):
        where = " after --evaluate.transforms" if config.transforms else ""
        raise InputError(
            f"head {heads[0]} takes a power of the features, but some are negative{where}; --evaluate.{heads[0]}.power 1 takes none, "
            "and rectify among --evaluate.transforms makes them zero"
        )


def _centred_last(config: EvaluateConfig) -> bool:
    """Whether tasks are centred, and stay so."""
    steps = transform_steps(config.transforms)
    return "centre_support" in steps and "rectify" not in steps[steps.index("centre_support") :]


def _has_negative(table: FeatureTable) -> bool:
    """Whether a feature is, in either role of its picture."""
    roles = (table.features, table.support_features)
    return any(bool((values < 0).any()) for values in roles if values is not None)
