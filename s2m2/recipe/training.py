"""Settings of the two training stages."""

from dataclasses import dataclass, field
from typing import Literal

from s2m2.recipe.checks import check
from s2m2.recipe.classifiers import ClassifierName
from s2m2.recipe.mixing import MixConfig

ObjectiveName = Literal["supervised", "rotation", "exemplar", "mixup"]


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """How the weights move."""

    name: Literal["adam", "adamw", "sgd"] = "sgd"
    """Adam (S2M2), AdamW, or SGD with Nesterov momentum."""
    learning_rate: float = 0.1
    """Learning rate; the peak one where a schedule varies it. S2M2: 0.001, with Adam."""
    weight_decay: float = 5e-4
    """Weight decay of all weights but biases and normalization (adamw: decoupled; others: added to the gradient)."""
    momentum: float = 0.9
    """Momentum of sgd; not used by adam and adamw."""
    schedule: Literal["constant", "cosine", "one_cycle"] = "one_cycle"
    """Learning rate over the stage: constant (S2M2); cosine, falling to 0; one_cycle, rising linearly, then cosine to 0."""
    warmup: float = 0.2
    """Share of a one_cycle stage in which the learning rate rises."""


@dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """The episodic score on validation classes that selects weights. Novel classes are never looked at while training."""

    every: int = 1
    """Score after every so many epochs, and after the last."""
    classifier: ClassifierName = "nearest_mean"
    """Few-shot classifier of the score."""
    ways: int = 5
    """Classes of a task."""
    shots: int = 1
    """Labeled images a class."""
    queries: int = 15
    """Images a class to recognize."""
    tasks: int = 600
    """Tasks averaged; the same ones at every epoch."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """What both training stages share."""

    epochs: int = 10
    """Passes over the base images, at most."""
    batch_size: int = 64
    """Images a step, over all devices together, before they are rotated or copied."""
    patience: int = 0
    """Stop after so many validations in a row without a new best score; 0 never stops early, 1 is the paper's Algorithm 1."""
    ema_decay: float = 0.0
    """Share of itself that a moving average of the weights keeps at each step; the average is what is validated and kept. 0: none."""
    bn_recalibration_images: int = 0
    """Base images, unvaried, over which batch normalization estimates its statistics anew before each validation; 0 keeps those
    gathered while training."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)

    stage = "training"
    min_epochs = 1

    def __post_init__(self) -> None:
        at, optimizer, validation = self.stage, self.optimizer, self.validation
        check(self.epochs >= self.min_epochs, f"{at}.epochs", self.epochs, f"{self.min_epochs} or more")
        check(self.batch_size >= 2, f"{at}.batch_size", self.batch_size, "2 or more")
        check(0 <= self.ema_decay < 1, f"{at}.ema_decay", self.ema_decay, "at least 0 and below 1")
        check(
            self.bn_recalibration_images == 0 or self.bn_recalibration_images >= self.batch_size,
            f"{at}.bn_recalibration_images",
            self.bn_recalibration_images,
            "0, or the batch size or more",
        )
        check(self.patience >= 0, f"{at}.patience", self.patience, "0 or more")
        for name in ("every", "shots", "queries", "tasks"):
            check(getattr(validation, name) >= 1, f"{at}.validation.{name}", getattr(validation, name), "1 or more")
        check(validation.ways >= 2, f"{at}.validation.ways", validation.ways, "2 or more")
        check(optimizer.learning_rate > 0, f"{at}.optimizer.learning_rate", optimizer.learning_rate, "above 0")
        check(optimizer.weight_decay >= 0, f"{at}.optimizer.weight_decay", optimizer.weight_decay, "0 or more")
        check(0 <= optimizer.momentum < 1, f"{at}.optimizer.momentum", optimizer.momentum, "at least 0 and below 1")
        check(0 < optimizer.warmup < 1, f"{at}.optimizer.warmup", optimizer.warmup, "between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(TrainingConfig):
    """Stage 1: the classes and a self-supervised task together, L_class + L_ss."""

    objective: ObjectiveName = "rotation"
    """What is trained: the classes with a self-supervised task beside them, which fine-tuning keeps (rotation, exemplar); the classes
    alone (supervised); or the classes of mixed images alone (mixup), as `pretrain.mix` says."""
    mix: MixConfig = field(default_factory=MixConfig)
    rotations: Literal["all", "one"] = "one"
    """Rotation: every image at all four rotations (S2M2), or at one drawn at random, which gives the same loss in expectation
    at a quarter of the cost."""
    label_smoothing: float = 0.0
    """Share of the target of L_class that is spread over all classes."""
    classification_weight: float = 1.0
    """Weight of the classification loss L_class."""
    self_supervision_weight: float = 1.0
    """Weight of the self-supervised loss L_ss."""

    stage = "pretrain"

    def __post_init__(self) -> None:
        super().__post_init__()
        check(0 <= self.label_smoothing < 1, "pretrain.label_smoothing", self.label_smoothing, "at least 0 and below 1")
        check(self.label_smoothing == 0 or self.objective != "mixup", "pretrain.label_smoothing", self.label_smoothing, "0 with mixup")
        self.mix.check_at("pretrain.mix", self.batch_size)
        mixes = self.objective == "mixup"
        check(mixes or self.mix == MixConfig(), "pretrain.objective", self.objective, "mixup where pretrain.mix is set")
        for name in ("classification_weight", "self_supervision_weight"):
            check(getattr(self, name) >= 0, f"pretrain.{name}", getattr(self, name), "0 or more")


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(TrainingConfig):
    """Stage 2: manifold mixup with the stage 1 losses beside it, L_mm + 0.5 (L_class + L_ss); S2M2, Algorithm 1."""

    epochs: int = 4
    """Passes over the base images, at most; 0: no second stage."""
    patience: int = 1
    """Stop after so many validations in a row without a new best score; 0 never stops early, 1 is the paper's Algorithm 1."""
    mix: MixConfig = field(default_factory=MixConfig)
    auxiliary_weight: float = 0.5
    """Weight of (L_class + L_ss) beside L_mm."""
    auxiliary_stride: int = 4
    """L_class and L_ss see every so-many-th image of the batch (S2M2: 4, a quarter of the batch)."""
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(learning_rate=0.02, schedule="cosine"))

    stage = "finetune"
    min_epochs = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.mix.check_at("finetune.mix", self.batch_size)
        check(self.auxiliary_weight >= 0, "finetune.auxiliary_weight", self.auxiliary_weight, "0 or more")
        check(1 <= self.auxiliary_stride <= self.batch_size, "finetune.auxiliary_stride", self.auxiliary_stride, "from 1 to the batch size")
