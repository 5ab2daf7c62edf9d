"""Settings of the few-shot evaluation."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from s2m2.recipe.checks import check, check_counts
from s2m2.recipe.classifiers import ClassifierName
from s2m2.recipe.inductive import CalibratedConfig, ConvergedCosineConfig, LogisticConfig, RidgeConfig, SvmConfig
from s2m2.recipe.tasks import ProtocolName
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


@dataclass(frozen=True, kw_only=True)
class CosineClassifierConfig:
    """How the cosine classifier is fitted to the support images of one task (defaults: S2M2's protocol)."""

    epochs: int = 200
    """Passes over the support images; fixed in advance, never chosen by looking at the accuracy."""
    batch_size: int = 4
    """Support images a step, in random order."""
    learning_rate: float = 0.01
    """Learning rate of SGD."""
    momentum: float = 0.9
    """Momentum of SGD."""
    dampening: float = 0.9
    """Dampening of the momentum of SGD."""
    weight_decay: float = 1e-3
    """Weight decay, on directions and norms alike."""
    scale: float = 2.0
    """Multiplier of the cosines before the softmax."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            check(getattr(self, name) >= 1, f"evaluate.cosine.{name}", getattr(self, name), "1 or more")
        for name in ("learning_rate", "scale"):
            check(getattr(self, name) > 0, f"evaluate.cosine.{name}", getattr(self, name), "above 0")
        for name in ("momentum", "dampening", "weight_decay"):
            check(0 <= getattr(self, name) < 1, f"evaluate.cosine.{name}", getattr(self, name), "at least 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Which few-shot tasks are scored, with which classifiers, on which features."""

    split: Literal["novel", "validation", "base"] = "novel"
    """Classes that the tasks are drawn from. Choose settings on validation, report on novel."""
    novel_dataset: str | None = None
    """The images of the novel classes, where they are of another dataset than the base classes; null: those of data.path."""
    query_dataset: str | None = None
    """Where queries come from, if not from where the support comes from: a dataset with classes of the same names; null: one for both."""
    ways: tuple[int, ...] = (5,)
    """Classes of a task; several values are scored one after the other."""
    shots: tuple[int, ...] = (1, 5)
    """Labeled images a class; several values are scored one after the other."""
    protocols: tuple[ProtocolName, ...] = ("fixed",)
    """How tasks are drawn; several are scored one after the other. fixed: as many queries of every class; s2m2: every image that is
    not support is a query, as in its paper; dirichlet: queries in unequal numbers; variable: ways and shots by Meta-Dataset's rule."""
    queries: int = 15
    """Images a class to recognize; protocol dirichlet: on average. Not used by s2m2 and variable."""
    dirichlet: float = 2.0
    """Concentration of the Dirichlet draw of protocol dirichlet: the smaller, the less balanced (alpha-TIM: 2)."""
    tasks: int = 10_000
    """Tasks averaged."""
    seed: int = 0
    """Seed of the tasks and classifiers, apart from that of training, so that different trainings meet the same tasks."""
    save_tasks: Path | None = None
    """Folder to keep the tasks in, an .npz file for each kind, so that another program can score the same ones; null: they are not kept."""
    tasks_from: tuple[Path, ...] = ()
    """Files of tasks to score instead of drawn ones; protocols, ways, shots, queries, tasks and seed are then those of the files."""
    classifiers: tuple[ClassifierName, ...] = ("cosine", "nearest_mean")
    """Few-shot classifiers. cosine: the paper's classifier; README.md has the list."""
    transforms: tuple[TransformName, ...] = ()
    """What is done to the features before a classifier meets them, in this order: rectify (what is below zero becomes zero), unit, power,
    center_base, center_support; cl2n (center_base, unit) and peme (power, unit, center_base, unit). Heads with a transform of their own
    apply it after these."""
    details: bool = True
    """Keep classes, confusions, calibration, unknown classes and hardest tasks beside accuracies; the interval over classes needs it."""
    selection_tasks: int = 600
    """Validation tasks that temperature and rejection threshold are chosen on; also the tasks with unknown classes that are scored."""
    unknown: int = 5
    """Further classes of each task with unknown classes, none of which has support; 0 leaves unknown classes out."""
    features: tuple[FeaturesName, ...] = ("pretrain", "finetune")
    """What the classifiers see: raw pixels, or the features of the best weights of a training stage."""
    support_crops: int = 0
    """Augmented shots: support images are shown to the network as the mean features of so many random crops, drawn with the area, ratio
    and mirroring of data.augment (EASY: 30); queries stay as they are. 0: the whole image once. Not used by pixels."""
    ensemble: tuple[Path, ...] = ()
    """Other run directories of the same images: features of the same stage of all, each scaled to unit norm, stand side by side
    (EASY: three networks). Not used by pixels."""
    cosine: CosineClassifierConfig = field(default_factory=CosineClassifierConfig)
    cosine_converged: ConvergedCosineConfig = field(default_factory=ConvergedCosineConfig)
    logistic: LogisticConfig = field(default_factory=LogisticConfig)
    svm: SvmConfig = field(default_factory=SvmConfig)
    ridge: RidgeConfig = field(default_factory=RidgeConfig)
    calibrated: CalibratedConfig = field(default_factory=CalibratedConfig)
    soft_kmeans: SoftKMeansConfig = field(default_factory=SoftKMeansConfig)
    bd_cspn: BDCSPNConfig = field(default_factory=BDCSPNConfig)
    laplacian_shot: LaplacianShotConfig = field(default_factory=LaplacianShotConfig)
    tim: TIMConfig = field(default_factory=TIMConfig)
    alpha_tim: AlphaTIMConfig = field(default_factory=AlphaTIMConfig)
    pt_map: PTMapConfig = field(default_factory=PTMapConfig)
    transductive_finetuning: TransductiveFinetuningConfig = field(default_factory=TransductiveFinetuningConfig)

    def __post_init__(self) -> None:
        check_counts("evaluate.ways", self.ways, least=2)
        check_counts("evaluate.shots", self.shots)
        check(self.dirichlet > 0, "evaluate.dirichlet", self.dirichlet, "above 0")
        check(self.queries >= 1, "evaluate.queries", self.queries, "1 or more")
        check(self.tasks >= 2, "evaluate.tasks", self.tasks, "2 or more, as an interval needs")
        check(self.selection_tasks >= 1, "evaluate.selection_tasks", self.selection_tasks, "1 or more")
        check(self.unknown >= 0, "evaluate.unknown", self.unknown, "0 or more")
        check(self.support_crops >= 0, "evaluate.support_crops", self.support_crops, "0 or more")
        check(len(set(self.ensemble)) == len(self.ensemble), "evaluate.ensemble", " ".join(map(str, self.ensemble)), "different runs")
        check_transforms("evaluate.transforms", self.transforms)
        for name in ("classifiers", "features", "protocols"):
            values = getattr(self, name)
            check(bool(values) and len(set(values)) == len(values), f"evaluate.{name}", list(values), "one or more different names")
