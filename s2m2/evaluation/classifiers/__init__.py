"""Few-shot classifiers, one a file, behind the `FewShotClassifier` protocol."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from s2m2.evaluation.base_statistics import BaseStatistics
from s2m2.evaluation.classifiers.alpha_tim import AlphaTIM
from s2m2.evaluation.classifiers.bd_cspn import BDCSPN
from s2m2.evaluation.classifiers.converged_cosine import ConvergedCosine
from s2m2.evaluation.classifiers.cosine import CosineClassifier
from s2m2.evaluation.classifiers.cosine_centroid import cosine_centroid
from s2m2.evaluation.classifiers.distribution_calibration import distribution_calibration
from s2m2.evaluation.classifiers.laplacian_shot import laplacian_shot
from s2m2.evaluation.classifiers.linear_svm import LinearSvm
from s2m2.evaluation.classifiers.logistic_regression import LogisticRegression
from s2m2.evaluation.classifiers.nearest_mean import nearest_mean
from s2m2.evaluation.classifiers.protocol import FewShotClassifier
from s2m2.evaluation.classifiers.pt_map import PTMap
from s2m2.evaluation.classifiers.ridge import Ridge
from s2m2.evaluation.classifiers.soft_kmeans import SoftKMeans
from s2m2.evaluation.classifiers.tim import TIM
from s2m2.evaluation.classifiers.transductive_finetuning import TransductiveFinetuning
from s2m2.evaluation.tasks import BLOCKS, MAX_GATHER
from s2m2.recipe import EvaluateConfig
from s2m2.recipe.classifiers import ClassifierName
from s2m2.recipe.tasks import ProtocolName

BALANCED: tuple[ProtocolName, ...] = ("fixed",)
"""Protocols under which every class has as many queries."""


@dataclass(frozen=True, kw_only=True)
class JobSize:
    """How many tasks one thread takes on, and how many of them a classifier meets at once."""

    blocks: int = BLOCKS
    """Blocks of tasks that are one job."""
    max_gather: int = MAX_GATHER
    """Numbers that the classifier meets at once, at most."""


ONE_PRODUCT = JobSize(blocks=1, max_gather=2**23)
"""For classifiers that are little more than one matrix product: what they meet at once then about fits a processor's cache."""
MANY_STEPS = JobSize(blocks=1, max_gather=2**22)
"""For classifiers of many steps: enough tasks that a step's arithmetic outweighs its calls, few enough that memory stays small."""
SMALL_STEPS = JobSize(blocks=1, max_gather=2**23)
"""For classifiers whose steps are tens of calls on a few numbers a task: threads that run side by side wait for the interpreter at each call."""
WHOLE_GPU = JobSize(max_gather=2**27)
"""On a GPU an operation takes as long for some hundred tasks as for one, so classifiers that draw nothing meet 512 MB of features at once."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """A few-shot classifier of the catalog."""

    title: str
    """What a reader calls it."""
    build: Callable[[EvaluateConfig, BaseStatistics | None], FewShotClassifier]
    settings: str | None = None
    """Field of `EvaluateConfig` with its settings."""
    transductive: bool = False
    """It looks at all queries of a task together."""
    assumes_balance: Callable[[EvaluateConfig], bool] = lambda config: False
    """Whether it takes for granted, with these settings, that every class has as many queries."""
    needs_positive: Callable[[EvaluateConfig], bool] = lambda config: False
    """Whether it takes a power of the features, with these settings, so that none may be negative."""
    needs_base: bool = False
    """It draws on statistics of the base classes."""
    draws: bool = False
    """It draws random numbers for the tasks that it meets at once, which are therefore the same ones on every device."""
    job: JobSize = JobSize()
    """On a CPU, where each thread has a job of its own."""

    def job_on(self, device: torch.device) -> JobSize:
        """How many tasks it meets at once on a device."""
        return self.job if self.draws or device.type == "cpu" else WHOLE_GPU


CLASSIFIERS: Mapping[ClassifierName, Head] = {
    "cosine": Head(
        title="cosine classifier", build=lambda config, base: CosineClassifier(config=config.cosine), settings="cosine", draws=True
    ),
    "nearest_mean": Head(title="nearest class mean", build=lambda config, base: nearest_mean, job=ONE_PRODUCT),
    "cosine_centroid": Head(title="nearest class mean by cosine", build=lambda config, base: cosine_centroid, job=ONE_PRODUCT),
    "cosine_converged": Head(
        title="cosine classifier, converged",
        build=lambda config, base: ConvergedCosine(config=config.cosine_converged),
        settings="cosine_converged",
    ),
    "logistic": Head(
        title="logistic regression", build=lambda config, base: LogisticRegression(config=config.logistic), settings="logistic"
    ),
    "svm": Head(title="linear SVM", build=lambda config, base: LinearSvm(config=config.svm), settings="svm"),
    "ridge": Head(title="ridge regression", build=lambda config, base: Ridge(config=config.ridge), settings="ridge"),
    "calibrated": Head(
        title="distribution calibration",
        build=lambda config, base: distribution_calibration(config.calibrated, base, config.seed),
        settings="calibrated",
        needs_positive=lambda config: config.calibrated.power != 1,
        needs_base=True,
        draws=True,
        job=JobSize(blocks=1),
    ),
    "soft_kmeans": Head(
        title="soft k-means",
        build=lambda config, base: SoftKMeans(config=config.soft_kmeans),
        settings="soft_kmeans",
        transductive=True,
        job=MANY_STEPS,
    ),
    "bd_cspn": Head(
        title="BD-CSPN",
        build=lambda config, base: BDCSPN(config=config.bd_cspn),
        settings="bd_cspn",
        transductive=True,
        assumes_balance=lambda config: True,
        job=MANY_STEPS,
    ),
    "laplacian_shot": Head(
        title="LaplacianShot",
        build=lambda config, base: laplacian_shot(config.laplacian_shot, base),
        settings="laplacian_shot",
        transductive=True,
        assumes_balance=lambda config: config.laplacian_shot.rectify,
        needs_base=True,
        job=MANY_STEPS,
    ),
    "tim": Head(
        title="TIM-GD",
        build=lambda config, base: TIM(config=config.tim),
        settings="tim",
        transductive=True,
        assumes_balance=lambda config: True,
        job=SMALL_STEPS,
    ),
    "alpha_tim": Head(
        title="alpha-TIM",
        build=lambda config, base: AlphaTIM(config=config.alpha_tim),
        settings="alpha_tim",
        transductive=True,
        job=SMALL_STEPS,
    ),
    "pt_map": Head(
        title="PT-MAP",
        build=lambda config, base: PTMap(config=config.pt_map),
        settings="pt_map",
        needs_positive=lambda config: config.pt_map.power != 1,
        transductive=True,
        assumes_balance=lambda config: True,
        job=MANY_STEPS,
    ),
    "transductive_finetuning": Head(
        title="transductive fine-tuning",
        build=lambda config, base: TransductiveFinetuning(config=config.transductive_finetuning),
        settings="transductive_finetuning",
        transductive=True,
        job=MANY_STEPS,
    ),
}


def build_classifier(name: ClassifierName, config: EvaluateConfig, base: BaseStatistics | None = None) -> FewShotClassifier:
    """The few-shot classifier of a name; `base` is what the features of the base classes are like, where the classifier needs it."""
    return CLASSIFIERS[name].build(config, base)


def balance_warning(name: ClassifierName, protocol: ProtocolName | None, config: EvaluateConfig) -> str | None:
    """What to tell a user whose tasks may break the classifier's assumption that every class has as many queries; None if there is nothing.

    Args:
        protocol: how the tasks are drawn; None: they come from files.
    """
    if not CLASSIFIERS[name].assumes_balance(config) or protocol in BALANCED:
        return None
    tasks = f"tasks of protocol {protocol}" if protocol is not None else "tasks of --evaluate.tasks_from"
    return f"{CLASSIFIERS[name].title} (classifier {name}) assumes as many queries of every class, which {tasks} may not have; alpha_tim does not"


def classifier_settings(name: ClassifierName, config: EvaluateConfig) -> dict[str, Any]:
    """What else shapes the scores of a classifier, to be kept with them."""
    field = CLASSIFIERS[name].settings
    return asdict(getattr(config, field)) if field is not None else {}


__all__ = [
    "CLASSIFIERS",
    "CosineClassifier",
    "FewShotClassifier",
    "Head",
    "balance_warning",
    "build_classifier",
    "classifier_settings",
    "nearest_mean",
]
