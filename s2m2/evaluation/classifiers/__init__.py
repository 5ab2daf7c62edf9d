"""Few-shot heads, one a file, behind the `FewShotClassifier` protocol."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from s2m2.evaluation.classifiers.cosine import CosineClassifier
from s2m2.evaluation.classifiers.nearest_mean import nearest_mean
from s2m2.evaluation.classifiers.protocol import FewShotClassifier
from s2m2.recipe import EvaluateConfig
from s2m2.recipe.training import HeadName

CLASSIFIERS: Mapping[HeadName, Callable[[EvaluateConfig], FewShotClassifier]] = {
    "cosine": lambda config: CosineClassifier(config=config.cosine),
    "nearest_mean": lambda config: nearest_mean,
}


def build_classifier(name: HeadName, config: EvaluateConfig) -> FewShotClassifier:
    """The few-shot head of a name."""
    return CLASSIFIERS[name](config)


def classifier_settings(name: HeadName, config: EvaluateConfig) -> dict[str, Any]:
    """What else shapes the scores of a head, to be kept with them."""
    return asdict(config.cosine) if name == "cosine" else {}


__all__ = ["CLASSIFIERS", "CosineClassifier", "FewShotClassifier", "build_classifier", "classifier_settings", "nearest_mean"]
