"""Few-shot classifiers in a recipe: `classifiers: [cosine, {name: tim, steps: 500, label: tim_500}]`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from s2m2.errors import InputError

ClassifierName = Literal[
    "cosine",
    "nearest_mean",
    "cosine_centroid",
    "cosine_converged",
    "logistic",
    "svm",
    "ridge",
    "calibrated",
    "soft_kmeans",
    "bd_cspn",
    "laplacian_shot",
    "tim",
    "tim_fast",
    "alpha_tim",
    "alpha_tim_fast",
    "pt_map",
    "transductive_finetuning",
]
"""Names of this package's classifiers."""

LABEL = re.compile(r"[\w.+-]+")


@dataclass(frozen=True, kw_only=True)
class ClassifierSpec:
    """A classifier and its settings."""

    name: str
    """Of `s2m2.classifiers.CLASSIFIERS`, of an entry point, or `module:object`."""
    label: str
    """What results and tables call it."""
    settings: Mapping[str, Any] = field(default_factory=dict)


def parse_classifier(value: Any) -> ClassifierSpec:
    """A classifier from its name, or from a mapping of `name`, settings and perhaps a `label`, by default its name.

    Raises:
        InputError: the mapping has no name, or the label cannot be part of a file's name.
    """
    if isinstance(value, ClassifierSpec):
        return value
    settings = dict(value) if isinstance(value, Mapping) else {"name": value}
    name = settings.pop("name", None)
    if not isinstance(name, str) or not name:
        raise InputError(
            f"--evaluate.classifiers has {value!r}, but must have names, or mappings with a name and settings: {{name: tim, steps: 500}}"
        )
    label = settings.pop("label", name.rpartition(":")[2])
    if not isinstance(label, str) or not LABEL.fullmatch(label):
        raise InputError(f"--evaluate.classifiers has the label {label!r}, but a label must be letters, digits, and . + - _")
    return ClassifierSpec(name=name, label=label, settings=settings)
