"""Settings of the two training stages, and of mixing images."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from s2m2.recipe.parts import check_classifier
from s2m2.recipe.ranges import (
    AboveZeroToOne,
    FromZeroBelowOne,
    IntFromTwo,
    LearningRate,
    MixtureSize,
    NonNegativeFloat,
    NonNegativeInt,
    OpenUnitInterval,
    PositiveInt,
    StageIndex,
    Tasks,
    check,
    check_ranges,
)

ObjectiveName = Literal["supervised", "rotation", "exemplar", "mixup"]


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """The optimizer and its learning rate schedule."""

    name: Literal["adam", "adamw", "sgd"] = "sgd"
    """adam (S2M2), adamw, or sgd with Nesterov momentum."""
    learning_rate: LearningRate = 0.1
    """Learning rate, the peak of a schedule. S2M2: 0.001, with adam."""
    weight_decay: NonNegativeFloat = 5e-4
    """Weight decay of all weights except biases and normalization (adamw: decoupled; others: added to the gradient)."""
    momentum: FromZeroBelowOne = 0.9
    """Momentum of sgd; adam and adamw ignore it."""
    schedule: Literal["constant", "cosine", "one_cycle"] = "one_cycle"
    """Learning rate over the stage. constant (S2M2); cosine: decay to 0; one_cycle: linear warmup, then cosine decay to 0."""
    warmup: OpenUnitInterval = 0.2
    """Fraction of the stage spent on the warmup of one_cycle."""


@dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """The few-shot score on validation classes that selects weights. Novel classes are never used in training."""

    every: PositiveInt = 1
    """Epochs between validations; the last epoch is always validated."""
    classifier: str = "cosine_centroid"
    """Few-shot classifier of the score, with its default settings. Default: the fastest one that scores like the cosine classifier."""
    ways: IntFromTwo = 5
    """Classes per task."""
    shots: PositiveInt = 1
    """Labeled images per class."""
    queries: PositiveInt = 15
    """Query images per class."""
    tasks: Tasks = 600
    """Tasks averaged; the same ones at every epoch."""


@dataclass(frozen=True, kw_only=True)
class MixConfig:
    """Mixing of images: which ones, where in the network, and how much. Defaults: S2M2's."""

    method: Literal["mixup", "cutmix"] = "mixup"
    """mixup: weighted means of representations. cutmix: a rectangle of the partner's image (torchvision's)."""
    stages: tuple[StageIndex, ...] | None = None
    """Backbone stages to mix before, one of them sampled per step. 0: the input (mixup); -1, or the number of stages: the final features
    (last-layer mixup). null: every stage, the input included (S2M2)."""
    alpha: NonNegativeFloat = 2.0
    """Mixing weights are sampled from Beta(alpha, alpha). Below 1, most mixtures are close to one image; 0: no mixing."""
    per_sample: bool = False
    """One weight per image; off: one weight per step for all images."""
    prob: AboveZeroToOne = 1.0
    """Probability that an image is mixed at all."""
    num_images: MixtureSize = 2
    """Images per mixture; more than 2 take weights from Dirichlet(alpha, ..., alpha)."""
    partners: Literal["batch", "class", "second_batch"] = "batch"
    """Source of the partners. batch: the same batch; class: images of the same class in it (an ablation); second_batch: a batch sampled
    for it, at the cost of a second pass up to the mixed stage."""
    loss: Literal["cross_entropy", "binary_cross_entropy"] = "cross_entropy"
    """Loss on the mixed labels: cross_entropy (S2M2), or binary cross entropy of every class (its mean)."""

    def check_at(self, section: str, batch_size: int) -> None:
        """Raise `InputError` for settings that contradict each other; `section` is their path, such as `finetune.mix`."""
        check(self.stages != (), f"{section}.stages", [], "stage numbers from 0, -1, or null")
        check(self.num_images <= batch_size, f"{section}.num_images", self.num_images, "at most the batch size")
        one_partner = self.num_images == 2 or self.partners != "second_batch"
        check(one_partner, f"{section}.num_images", self.num_images, "2 with partners from a second batch")
        if self.method == "cutmix":
            check(self.stages in (None, (0,)), f"{section}.stages", self.stages, "null or 0 with cutmix, which cuts images")
            check(self.alpha > 0, f"{section}.alpha", self.alpha, "above 0 with cutmix")
            plain = MixConfig(method="cutmix", alpha=self.alpha, loss=self.loss, stages=self.stages)
            check(self == plain, f"{section}.method", self.method, "mixup with per_sample, prob, num_images or partners changed")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings that both training stages share."""

    epochs: PositiveInt = 10
    """Max passes over the base images. Default: minutes on two CPU cores, as the quick recipe is for trying out."""
    batch_size: IntFromTwo = 64
    """Images per step, over all devices together, before they are rotated or copied."""
    patience: NonNegativeInt = 0
    """Early stopping: validations in a row without a new best score; 0: never. The paper's Algorithm 1: 1."""
    ema_decay: FromZeroBelowOne = 0.0
    """EMA decay of the weights; validation and checkpoints of the best weights use the average. 0: no EMA."""
    bn_recalibration_images: NonNegativeInt = 0
    """Un-augmented base images used to re-estimate BatchNorm statistics before each validation; 0: keep the training statistics."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)

    stage: ClassVar[str] = "training"

    def __post_init__(self) -> None:
        check_ranges(self, self.stage)
        check_classifier(f"{self.stage}.validation.classifier", self.validation.classifier)
        images = self.bn_recalibration_images
        check(images == 0 or images >= self.batch_size, f"{self.stage}.bn_recalibration_images", images, "0, or the batch size or more")


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(TrainingConfig):
    """Stage 1: classification and a self-supervised task together, L_class + L_ss."""

    objective: ObjectiveName = "rotation"
    """Training objective. rotation, exemplar: classification with that self-supervised task, which fine-tuning keeps; supervised:
    classification only; mixup: classification of mixed images only, see pretrain.mix."""
    mix: MixConfig = field(default_factory=MixConfig)
    rotations: Literal["all", "one"] = "one"
    """Rotations per image. all: all four (S2M2); one: a random one, with the same expected loss at a quarter of the cost."""
    label_smoothing: FromZeroBelowOne = 0.0
    """Label smoothing of L_class: the fraction of the target spread over all classes."""
    classification_weight: NonNegativeFloat = 1.0
    """Weight of the classification loss L_class."""
    self_supervision_weight: NonNegativeFloat = 1.0
    """Weight of the self-supervised loss L_ss."""

    stage: ClassVar[str] = "pretrain"

    def __post_init__(self) -> None:
        super().__post_init__()
        mixup = self.objective == "mixup"
        check(self.label_smoothing == 0 or not mixup, "pretrain.label_smoothing", self.label_smoothing, "0 with mixup")
        self.mix.check_at("pretrain.mix", self.batch_size)
        check(mixup or self.mix == MixConfig(), "pretrain.objective", self.objective, "mixup where pretrain.mix is set")


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(TrainingConfig):
    """Stage 2: manifold mixup with the losses of stage 1, L_mm + 0.5 (L_class + L_ss); S2M2, Algorithm 1."""

    epochs: NonNegativeInt = 4
    """Max passes over the base images; 0: no stage 2."""
    patience: NonNegativeInt = 1
    """Early stopping: validations in a row without a new best score; 0: never. Default: the paper's Algorithm 1."""
    mix: MixConfig = field(default_factory=MixConfig)
    auxiliary_weight: NonNegativeFloat = 0.5
    """Weight of (L_class + L_ss) next to L_mm. Default: the paper's."""
    classification_weight: NonNegativeFloat = 1.0
    """Weight of L_class inside these parentheses, whatever its weight in stage 1."""
    self_supervision_weight: NonNegativeFloat = 1.0
    """Weight of L_ss inside these parentheses, whatever its weight in stage 1."""
    auxiliary_stride: PositiveInt = 4
    """L_class and L_ss use every n-th image of the batch. Default: S2M2's, a quarter of the batch."""
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(learning_rate=0.02, schedule="cosine"))

    stage: ClassVar[str] = "finetune"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.mix.check_at("finetune.mix", self.batch_size)
        within = self.auxiliary_stride <= self.batch_size
        check(within, "finetune.auxiliary_stride", self.auxiliary_stride, "from 1 to the batch size")
