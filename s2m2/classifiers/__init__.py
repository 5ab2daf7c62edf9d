"""Few-shot classifiers on features: one a file, with its settings, its mathematics, `fit` and `predict`, and the call for many tasks.

A new one is such a file and a line of `CLASSIFIERS`. A classifier outside this package has a name of the form `module:object`, or that
of an entry point of the group `s2m2.classifiers`. Nothing here imports torch before a classifier is loaded.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import reduce
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from s2m2.classifiers.settings import check_settings
from s2m2.errors import InputError
from s2m2.recipe.parts import ClassifierSpec, parse_classifier

if TYPE_CHECKING:
    from s2m2.classifiers.base import FewShotClassifier as FewShotClassifier
    from s2m2.classifiers.base import FewShotTasks as FewShotTasks
    from s2m2.classifiers.base import InductiveClassifier as InductiveClassifier
    from s2m2.classifiers.base import TransductiveClassifier as TransductiveClassifier
    from s2m2.classifiers.base_statistics import BaseStatistics as BaseStatistics
    from s2m2.classifiers.bd_cspn import BDCSPN as BDCSPN
    from s2m2.classifiers.building import balance_warning as balance_warning
    from s2m2.classifiers.building import build_classifier as build_classifier
    from s2m2.classifiers.calibrated import DistributionCalibration as DistributionCalibration
    from s2m2.classifiers.cosine import CosineClassifier as CosineClassifier
    from s2m2.classifiers.cosine_centroid import CosineCentroid as CosineCentroid
    from s2m2.classifiers.cosine_converged import ConvergedCosine as ConvergedCosine
    from s2m2.classifiers.laplacian_shot import LaplacianShot as LaplacianShot
    from s2m2.classifiers.logistic import LogisticRegression as LogisticRegression
    from s2m2.classifiers.nearest_mean import NearestMean as NearestMean
    from s2m2.classifiers.pt_map import PTMap as PTMap
    from s2m2.classifiers.ridge import Ridge as Ridge
    from s2m2.classifiers.soft_kmeans import SoftKMeans as SoftKMeans
    from s2m2.classifiers.svm import LinearSVM as LinearSVM
    from s2m2.classifiers.tim import TIM as TIM
    from s2m2.classifiers.tim import AlphaTIM as AlphaTIM
    from s2m2.classifiers.tim import FastAlphaTIM as FastAlphaTIM
    from s2m2.classifiers.tim import FastTIM as FastTIM
    from s2m2.classifiers.transductive_finetuning import TransductiveFinetuning as TransductiveFinetuning
    from s2m2.classifiers.wrapped import WrappedEstimator as WrappedEstimator

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
"""Name and class of each classifier, in the order of tables."""
GROUP = "s2m2.classifiers"
"""Entry points by which other packages name classifiers of their own."""
LAZY: Mapping[str, str] = {
    **{path.partition(":")[2]: path for path in CLASSIFIERS.values()},
    "BaseStatistics": "s2m2.classifiers.base_statistics:BaseStatistics",
    "FewShotClassifier": "s2m2.classifiers.base:FewShotClassifier",
    "FewShotTasks": "s2m2.classifiers.base:FewShotTasks",
    "InductiveClassifier": "s2m2.classifiers.base:InductiveClassifier",
    "TransductiveClassifier": "s2m2.classifiers.base:TransductiveClassifier",
    "WrappedEstimator": "s2m2.classifiers.wrapped:WrappedEstimator",
    "balance_warning": "s2m2.classifiers.building:balance_warning",
    "build_classifier": "s2m2.classifiers.building:build_classifier",
}
"""Names of this package that import torch when first used."""


def __getattr__(name: str) -> Any:
    if name not in LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _load(LAZY[name])


def __dir__() -> list[str]:
    return sorted([*globals(), *LAZY])


def classifier_names() -> tuple[str, ...]:
    """Names of the classifiers of this package, then those of entry points."""
    return (*CLASSIFIERS, *(name for name in _entry_points() if name not in CLASSIFIERS))


def load_class(name: str) -> Any:
    """The class of a name, or whatever object `module:object` is.

    Raises:
        InputError: there is no such classifier.
    """
    path = _path_of(name)
    try:
        return _load(path)
    except (ImportError, AttributeError) as error:
        if path in CLASSIFIERS.values():
            raise
        raise InputError(f"classifier {name} cannot be loaded: {error}") from error


def check_specs(specs: Iterable[Any]) -> tuple[ClassifierSpec, ...]:
    """Classifiers of a recipe, each a name, a mapping or a `ClassifierSpec`. Only those of this package with settings are imported.

    Raises:
        InputError: there is none, one is unknown, two have one label, or a setting is unknown or wrong.
    """
    parsed = tuple(parse_classifier(spec) for spec in specs)
    if not parsed:
        raise InputError("classifiers must name one at least")
    for spec in parsed:
        path = _path_of(spec.name)
        if [other.label for other in parsed].count(spec.label) > 1:
            raise InputError(
                f"classifiers has {spec.label} twice; a label of its own tells one from the other: {{name: {spec.name}, label: ...}}"
            )
        if spec.settings and path in CLASSIFIERS.values():
            check_settings(spec.name, _load(path), spec.settings)
    return parsed


def _path_of(name: str) -> str:
    path = CLASSIFIERS.get(name) or (name if ":" in name else _entry_points().get(name))
    if path is None:
        guess = get_close_matches(name, classifier_names(), n=1)
        meant = f"did you mean {guess[0]}? " if guess else ""
        raise InputError(f"classifier {name} is unknown; {meant}There are {', '.join(classifier_names())}, and module:object for one's own")
    return path


def _entry_points() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=GROUP)}


def _load(path: str) -> Any:
    module, _, attributes = path.partition(":")
    return reduce(getattr, attributes.split("."), import_module(module))
