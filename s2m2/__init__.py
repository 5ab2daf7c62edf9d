"""Few-shot image classification with self-supervised manifold mixup (S2M2, Mangla et al., WACV 2020).

* Your own classes: `ImageClassifier` names images after a few labeled ones.
* The whole method: `run`, or `pretrain`, `finetune` and `evaluate_run`, from a recipe; `load` a trained backbone.
* Few-shot classifiers on any features, with scikit-learn's conventions: `CosineClassifier` and sixteen more.
* Episodic evaluation: `evaluate` a classifier on features, `compare` two results in pairs, set many in a `table` for a paper, sample
  tasks by `EpisodeSampler`.
* S2M2 in your own training loop: `ManifoldMixup`, `rotate90_batch`, `rotation_loss`, `exemplar_loss`.

Every name is imported when it is first used, so that `import s2m2` takes milliseconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from s2m2.classifiers import BDCSPN as BDCSPN
    from s2m2.classifiers import TIM as TIM
    from s2m2.classifiers import AlphaTIM as AlphaTIM
    from s2m2.classifiers import BaseStatistics as BaseStatistics
    from s2m2.classifiers import ConvergedCosine as ConvergedCosine
    from s2m2.classifiers import CosineCentroid as CosineCentroid
    from s2m2.classifiers import CosineClassifier as CosineClassifier
    from s2m2.classifiers import DistributionCalibration as DistributionCalibration
    from s2m2.classifiers import FastAlphaTIM as FastAlphaTIM
    from s2m2.classifiers import FastTIM as FastTIM
    from s2m2.classifiers import LaplacianShot as LaplacianShot
    from s2m2.classifiers import LinearSVM as LinearSVM
    from s2m2.classifiers import LogisticRegression as LogisticRegression
    from s2m2.classifiers import NearestMean as NearestMean
    from s2m2.classifiers import PTMap as PTMap
    from s2m2.classifiers import Ridge as Ridge
    from s2m2.classifiers import SoftKMeans as SoftKMeans
    from s2m2.classifiers import TransductiveFinetuning as TransductiveFinetuning
    from s2m2.errors import InputError as InputError
    from s2m2.evaluation import compare as compare
    from s2m2.evaluation import evaluate as evaluate
    from s2m2.mixup import ManifoldMixup as ManifoldMixup
    from s2m2.pipeline import Run as Run
    from s2m2.pipeline import evaluate_run as evaluate_run
    from s2m2.pipeline import finetune as finetune
    from s2m2.pipeline import pretrain as pretrain
    from s2m2.pipeline import run as run
    from s2m2.recipe import Recipe as Recipe
    from s2m2.recipe import read_recipe as read_recipe
    from s2m2.recognition import ImageClassifier as ImageClassifier
    from s2m2.reports.paper_table import table as table
    from s2m2.runs.loading import LoadedBackbone as LoadedBackbone
    from s2m2.runs.loading import load as load
    from s2m2.selfsupervision import exemplar_loss as exemplar_loss
    from s2m2.selfsupervision import rotate90_batch as rotate90_batch
    from s2m2.selfsupervision import rotation_loss as rotation_loss
    from s2m2.tasks import EpisodeSampler as EpisodeSampler

_CLASSIFIERS = """CosineClassifier ConvergedCosine NearestMean CosineCentroid LogisticRegression LinearSVM Ridge DistributionCalibration
    SoftKMeans BDCSPN LaplacianShot TIM FastTIM AlphaTIM FastAlphaTIM PTMap TransductiveFinetuning"""
_MODULES = {
    "s2m2.classifiers": _CLASSIFIERS + " BaseStatistics",
    "s2m2.errors": "InputError",
    "s2m2.evaluation": "compare evaluate",
    "s2m2.mixup": "ManifoldMixup",
    "s2m2.pipeline": "Run evaluate_run finetune pretrain run",
    "s2m2.recipe": "Recipe read_recipe",
    "s2m2.recognition": "ImageClassifier",
    "s2m2.reports.paper_table": "table",
    "s2m2.runs.loading": "LoadedBackbone load",
    "s2m2.selfsupervision": "exemplar_loss rotate90_batch rotation_loss",
    "s2m2.tasks": "EpisodeSampler",
}
_NAMES = {name: module for module, names in _MODULES.items() for name in names.split()}
__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _NAMES:
        raise AttributeError(f"module 's2m2' has no attribute {name!r}")
    value = getattr(import_module(_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_NAMES])
