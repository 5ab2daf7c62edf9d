"""Backbones and few-shot classifiers by name: built in, from other packages, or of one's own; and classifiers with settings."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any, Literal, get_args

from s2m2.errors import InputError

BackboneName = Literal["conv4", "resnet12", "resnet18", "wrn28_10", "timm"]
"""Built-in backbones."""
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

CLASSIFIER_NAMES = get_args(ClassifierName)
"""Built-in few-shot classifiers."""


def check_backbone(flag: str, name: str) -> None:
    """Raise `InputError` unless there can be such a backbone; entry points are of group `s2m2.backbones`."""
    check_part(flag, name, get_args(BackboneName), "s2m2.backbones")


def check_classifier(flag: str, name: str) -> None:
    """Raise `InputError` unless there can be such a few-shot classifier; entry points are of group `s2m2.classifiers`."""
    check_part(flag, name, CLASSIFIER_NAMES, "s2m2.classifiers")


def check_part(flag: str, name: str, built_in: Sequence[str], group: str) -> None:
    """Raise `InputError` unless a name is built in, `module:object`, or an entry point of the group. Imports nothing of it."""
    if name in built_in or re.fullmatch(r"[\w.]+:[\w.]+", name):
        return
    names = [*built_in, *sorted(entry_points(group=group).names)]
    if name not in names:
        need = did_you_mean(name, names) or f", but must be one of {', '.join(names)}, or module:object"
        raise InputError(f"--{flag} is {name}{need}")


def did_you_mean(word: str, words: Sequence[str], prefix: str = "") -> str:
    """`; did you mean ...?` with the closest of some words, or nothing where none is close."""
    close = get_close_matches(word, words, n=1)
    return f"; did you mean {prefix}{close[0]}?" if close else ""


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
