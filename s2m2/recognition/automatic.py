"""The few-shot classifier that `auto` stands for, and inductive classifiers from names."""

from collections.abc import Mapping
from typing import Any

from s2m2.classifiers import build_classifier
from s2m2.classifiers.base import FewShotClassifier
from s2m2.errors import InputError

AUTOMATIC: Mapping[str, Any] = {"name": "cosine", "scale": 10.0}
"""Classifier by default: S2M2's, with a scale chosen on base classes of CUB and CIFAR-FS."""
MAX_COSINE_ITEMS = 1000
"""Labeled images that it is fitted to."""
MANY: Mapping[str, Any] = {"name": "cosine_centroid"}
"""Classifier by default for more of them."""
MANY_NOTE = f"more than {MAX_COSINE_ITEMS:,} images, so the classifier is {MANY['name']}, which takes less time"


def automatic(items: int, saved: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The classifier by default.

    Args:
        items: labeled images.
        saved: what `auto` stood for when the model was saved, which earlier versions may have had other settings for.
    """
    chosen = AUTOMATIC if items <= MAX_COSINE_ITEMS else MANY
    return saved if saved is not None and saved["name"] == chosen["name"] else chosen


def is_automatic(settings: Any) -> bool:
    """Whether settings may be those of the classifier by default."""
    return isinstance(settings, dict) and settings.get("name") in (AUTOMATIC["name"], MANY["name"])


def build_inductive(spec: Any, seed: int) -> FewShotClassifier:
    """A classifier that looks at each image by itself.

    Raises:
        InputError: it is transductive, or cannot be built.
    """
    built = build_classifier(spec, seed=seed)
    if built.transductive:
        raise InputError(f"classifier {built.name} looks at all images together; an inductive one is needed, such as cosine")
    return built
