"""Settings of the few-shot evaluation, and the ways to sample tasks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from s2m2.recipe.inductive import CalibratedConfig, ConvergedCosineConfig, LogisticConfig, RidgeConfig, SvmConfig
from s2m2.recipe.parts import check_classifier
from s2m2.recipe.ranges import (
    FromZeroBelowOne,
    IntFromTwo,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    check,
    check_distinct,
    check_ranges,
)
from s2m2.recipe.transductive import (
    AlphaTIMConfig,
    BDCSPNConfig,
    LaplacianShotConfig,
    PTMapConfig,
    SoftKMeansConfig,
    TIMConfig,
    TransductiveFinetuningConfig,
)
from s2m2.recipe.transforms import TransformName, check_transforms

FeaturesName = Literal["pixels", "pretrain", "finetune"]
ProtocolName = Literal["fixed", "s2m2", "dirichlet", "variable"]
"""fixed: the same number of queries of every class; s2m2: all images that are not support; dirichlet: class proportions of the queries
from a Dirichlet distribution; variable: ways and shots by Meta-Dataset's rule."""


@dataclass(frozen=True, kw_only=True)
class CosineClassifierConfig:
    """Fit of the cosine classifier to the support images of one task (defaults: S2M2's protocol)."""

    epochs: PositiveInt = 200
    """Passes over the support images; fixed in advance, never chosen by accuracy."""
    batch_size: PositiveInt = 4
    """Support images per step, in random order."""
    learning_rate: PositiveFloat = 0.01
    """Learning rate of SGD."""
    momentum: FromZeroBelowOne = 0.9
    """Momentum of SGD."""
    dampening: FromZeroBelowOne = 0.9
    """Dampening of the momentum of SGD."""
    weight_decay: FromZeroBelowOne = 1e-3
    """Weight decay, on directions and norms alike."""
    scale: PositiveFloat = 2.0
    """Multiplier of the cosines before the softmax."""

    def __post_init__(self) -> None:
        check_ranges(self, "evaluate.cosine")


@dataclass(frozen=True, kw_only=True)
class ClassifierSpec:  # shim: s2m2.recipe.classifiers will have it, and the function below
    """A classifier and its settings."""

    name: str
    label: str
    settings: dict[str, Any]


def parse_classifier(value: str | dict[str, Any]) -> ClassifierSpec:
    """A classifier from its name, or from a mapping of `name`, settings and perhaps a `label`."""
    settings = {"name": value} if isinstance(value, str) else dict(value)
    check(isinstance(settings.get("name"), str), "evaluate.classifiers", value, "a name, or settings with a name")
    name = settings.pop("name")
    return ClassifierSpec(name=name, label=settings.pop("label", name), settings=settings)


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Few-shot tasks to score: their classes, features and classifiers."""

    split: Literal["novel", "validation", "base"] = "novel"
    """Classes of the tasks. Choose settings on validation, report on novel."""
    novel_dataset: str | None = None
    """Dataset of the novel classes, for evaluation on another domain. null: that of data.path."""
    query_dataset: str | None = None
    """Dataset of the queries, with classes of the same names, for queries from another domain than the support. null: that of the
    support."""
    ways: tuple[IntFromTwo, ...] = (5,)
    """Classes per task; several values are scored one after the other."""
    shots: tuple[PositiveInt, ...] = (1, 5)
    """Labeled images per class; several values are scored one after the other."""
    protocols: tuple[ProtocolName, ...] = ("fixed",)
    """How tasks are sampled; several are scored one after the other. fixed: the same number of queries of every class; s2m2: every image
    that is not support is a query, as in its paper; dirichlet: random class proportions of the queries; variable: ways and shots by
    Meta-Dataset's rule."""
    queries: PositiveInt = 15
    """Query images per class, on average with protocol dirichlet; protocols s2m2 and variable ignore it."""
    dirichlet_concentration: PositiveFloat = 2.0
    """Concentration of the Dirichlet distribution of protocol dirichlet: the smaller, the less balanced. Default: alpha-TIM's."""
    tasks: IntFromTwo = 10_000
    """Tasks averaged; 2 or more, for an interval."""
    seed: NonNegativeInt = 0
    """Seed of tasks and classifiers, separate from that of training, so that all runs are scored on the same tasks."""
    save_tasks: Path | None = None
    """Folder to save the tasks in, an .npz file per kind, for another program to score. null: not saved."""
    tasks_from: tuple[Path, ...] = ()
    """Files of saved tasks to score, in place of sampled ones; they replace protocols, ways, shots, queries, tasks and seed."""
    classifiers: tuple[str | dict[str, Any], ...] = ("cosine", "nearest_mean")
    """Few-shot classifiers, as names or with settings: [cosine, {name: tim, steps: 500}]. cosine is the paper's; `s2m2 settings
    evaluate.classifiers` lists all. One of your own: module:object, or an installed entry point of group s2m2.classifiers."""
    transforms: tuple[TransformName, ...] = ()
    """Feature transforms before every classifier, in this order: rectify (negative values become 0), unit, power, center_base,
    center_support; cl2n (center_base, unit) and peme (power, unit, center_base, unit). Transforms of a classifier itself come after
    these."""
    details: bool = True
    """Save classes, confusions, calibration, open-set metrics and hardest tasks next to accuracies; the interval over classes needs it."""
    selection_tasks: PositiveInt = 600
    """Validation tasks for the choice of temperature and rejection threshold; also the number of open-set tasks scored."""
    open_set_classes: NonNegativeInt = 5
    """Classes without support in each open-set task; 0: no open-set metrics."""
    features: tuple[FeaturesName, ...] = ("pretrain", "finetune")
    """Input of the classifiers: raw pixels, or the features of the best weights of a training stage."""
    support_crops: NonNegativeInt = 0
    """Random crops per support image, augmented by data.augment, whose mean features represent it (EASY: 30); queries stay whole. 0: the
    whole image. pixels ignores it."""
    ensemble: tuple[Path, ...] = ()
    """Other run directories of the same images: features of the same stage, each scaled to unit norm, are concatenated (EASY: three
    networks). pixels ignores it."""

    def __post_init__(self) -> None:
        check_ranges(self, "evaluate")
        for name in ("ways", "shots", "classifiers", "features", "protocols"):
            check_distinct(f"evaluate.{name}", getattr(self, name))
        check_distinct("evaluate.ensemble", map(str, self.ensemble), empty=True)
        for spec in self.specs:
            check_classifier("evaluate.classifiers", spec.name)
        check_distinct("evaluate.classifiers", (spec.label for spec in self.specs))
        check_transforms("evaluate.transforms", self.transforms)

    @property
    def specs(self) -> tuple[ClassifierSpec, ...]:
        """The classifiers, each with its name, label and settings."""
        return tuple(parse_classifier(value) for value in self.classifiers)

    @property
    def unknown(self) -> int:  # shim
        """Former name."""
        return self.open_set_classes

    @property
    def dirichlet(self) -> float:  # shim
        """Former name."""
        return self.dirichlet_concentration

    def __getattr__(self, name: str) -> Any:
        if name not in SECTIONS:  # shim: the former sections of classifiers, with the settings of the classifier of that name
            raise AttributeError(name)
        return SECTIONS[name](**next((spec.settings for spec in self.specs if spec.name == name), {}))


SECTIONS: dict[str, Any] = {  # shim
    "cosine": CosineClassifierConfig,
    "cosine_converged": ConvergedCosineConfig,
    "logistic": LogisticConfig,
    "svm": SvmConfig,
    "ridge": RidgeConfig,
    "calibrated": CalibratedConfig,
    "soft_kmeans": SoftKMeansConfig,
    "bd_cspn": BDCSPNConfig,
    "laplacian_shot": LaplacianShotConfig,
    "tim": TIMConfig,
    "alpha_tim": AlphaTIMConfig,
    "pt_map": PTMapConfig,
    "transductive_finetuning": TransductiveFinetuningConfig,
}
