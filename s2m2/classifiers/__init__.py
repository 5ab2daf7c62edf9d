"""Few-shot classifiers on features: one a file, with its settings, its mathematics, `fit` and `predict`, and the call for many tasks.

Recipes, help and tables know a new one by its file and its line of `CLASSIFIERS` in `s2m2/recipe/parts.py`; type checkers also need its
class among the imports below. A classifier outside this package has a name of the form `module:object`, or that of an entry point of the
group `s2m2.classifiers`. Nothing here imports torch before a classifier is loaded.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from s2m2.classifiers.settings import check_settings
from s2m2.errors import InputError, did_you_mean
from s2m2.recipe.parts import CLASSIFIER_GROUP, ClassifierSpec, entry_point_paths, load_object
from s2m2.recipe.parts import CLASSIFIERS as CLASSIFIERS

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
    return load_object(LAZY[name])


def __dir__() -> list[str]:
    return sorted([*globals(), *LAZY])


def classifier_names() -> tuple[str, ...]:
    """Names of the classifiers of this package, then those of entry points."""
    return (*CLASSIFIERS, *(name for name in entry_point_paths(CLASSIFIER_GROUP) if name not in CLASSIFIERS))


def load_class(name: str) -> Any:
    """The class of a name, or whatever object `module:object` is.

    Raises:
        InputError: there is no such classifier.
    """
    path = _path_of(name)
    try:
        return load_object(path)
    except (ImportError, AttributeError) as error:
        if path in CLASSIFIERS.values():
            raise
        raise InputError(f"classifier {name} cannot be loaded: {error}") from error


def check_spec(spec: ClassifierSpec) -> None:
    """Check what can be checked without the features, so that hours of training do not end in an error.

    Raises:
        InputError: the classifier is unknown or cannot be loaded, or, of a classifier of this package, a setting is unknown or wrong.
    """
    loaded = load_class(spec.name)
    if _path_of(spec.name) in CLASSIFIERS.values():
        check_settings(spec.name, loaded, spec.settings)


def _path_of(name: str) -> str:
    path = CLASSIFIERS.get(name) or (name if ":" in name else entry_point_paths(CLASSIFIER_GROUP).get(name))
    if path is None:
        names = classifier_names()
        others = did_you_mean(name, names) or f"; there are {', '.join(names)}, and module:object for one's own"
        raise InputError(f"classifier {name} is unknown{others}")
    return path
