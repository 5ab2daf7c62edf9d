"""Statistics of a `FeatureSet`: `BaseStatistics.from_features` takes its tensors."""

from s2m2.classifiers.base_statistics import BaseStatistics as BaseStatistics
from s2m2.evaluation.features import FeatureSet


def base_statistics(base: FeatureSet, *, covariances: bool) -> BaseStatistics:
    """`BaseStatistics.from_features` of a feature set."""
    return BaseStatistics.from_features(base.features, base.labels, covariances=covariances, fingerprint=base.fingerprint)
