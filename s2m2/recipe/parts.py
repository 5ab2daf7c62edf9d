"""Backbones and few-shot classifiers by name: built in, from other packages, or of one's own; and classifiers with settings."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Literal, get_args

from s2m2.errors import InputError, did_you_mean

BackboneName = Literal["conv4", "resnet12", "resnet18", "wrn28_10", "timm"]
"""Built-in backbones."""
CLASSIFIERS: Mapping[str, str] = {
    "cosine": "s2m2.classifiers.cosine:CosineClassifier",
    "nearest_mean": "s2m2.classifiers.nearest_mean:NearestMean",
    "cosine_centroid": "s2m2.classifiers.cosine_centroid:CosineCentroid",
    "cosine_converged": "s2m2.classifiers.cosine_converged:ConvergedCosine",
    "logistic": "s2m2.classifiers.logistic:LogisticRegression",
    "svm": "s2m2.classifiers.svm:LinearSVM",
    "ridge": "s2m2.classifiers.ridge:Ridge",
    "calibrated": "s2m2.classifiers.calibrated:DistributionCalibration",
    "soft_kmeans": "s2m2.classifiers.soft_kmeans:SoftKMeans",
    "bd_cspn": "s2m2.classifiers.bd_cspn:BDCSPN",
    "laplacian_shot": "s2m2.classifiers.laplacian_shot:LaplacianShot",
    "tim": "s2m2.classifiers.tim:TIM",
    "tim_fast": "s2m2.classifiers.tim:FastTIM",
    "alpha_tim": "s2m2.classifiers.tim:AlphaTIM",
    "alpha_tim_fast": "s2m2.classifiers.tim:FastAlphaTIM",
    "pt_map": "s2m2.classifiers.pt_map:PTMap",
    "transductive_finetuning": "s2m2.classifiers.transductive_finetuning:TransductiveFinetuning",
}
"""Name and class of each few-shot classifier of this package, in the order of tables; a class is imported when it is used."""
BACKBONE_GROUP, CLASSIFIER_GROUP = "s2m2.backbones", "s2m2.classifiers"
"""Entry points by which other packages name backbones and classifiers of their own."""


def check_backbone(flag: str, name: str) -> None:
    """Raise `InputError` unless there can be such a backbone."""
    check_part(flag, name, get_args(BackboneName), BACKBONE_GROUP)


def check_classifier(flag: str, name: str) -> None:
    """Raise `InputError` unless there can be such a few-shot classifier."""
    check_part(flag, name, tuple(CLASSIFIERS), CLASSIFIER_GROUP)


def check_part(flag: str, name: str, built_in: Sequence[str], group: str) -> None:
    """Raise `InputError` unless a name is built in, `module:object`, or an entry point of the group. Imports nothing of it."""
    if name in built_in or re.fullmatch(r"[\w.]+:[\w.]+", name):
        return
    names = [*built_in, *sorted(entry_point_paths(group))]
    if name not in names:
        need = did_you_mean(name, names) or f", but must be one of {', '.join(names)}, or module:object"
        raise InputError(f"--{flag} is {name}{need}")


def entry_point_paths(group: str) -> dict[str, str]:
    """Names that other packages give to their objects, each with its `module:object`."""
    return {point.name: point.value for point in entry_points(group=group)}


def load_object(path: str) -> Any:
    """The object of a path `module:object`, whose module is imported.

    Raises:
        ImportError, AttributeError, ValueError: there is no such module or object, or the path has another form.
    """
    module, _, attributes = path.partition(":")
    return reduce(getattr, attributes.split("."), import_module(module))


LABEL = re.compile(r"[\w.+-]+")


@dataclass(frozen=True, kw_only=True)
class ClassifierSpec:
    """A classifier and its settings."""

    name: str
    """Of `CLASSIFIERS`, of an entry point, or `module:object`."""
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
    label = settings.pop("label", default := name.rpartition(":")[2])
    if label != default and not (isinstance(label, str) and LABEL.fullmatch(label)):
        raise InputError(f"--evaluate.classifiers has the label {label!r}, but a label must be letters, digits, and . + - _")
    return ClassifierSpec(name=name, label=label, settings=settings)
