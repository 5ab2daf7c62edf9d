"""What sets one training stage of one run apart."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Int64, UInt8
from torch import Tensor, nn

from s2m2.models.backbone import Backbone
from s2m2.recipe import DataConfig, Recipe, TrainingConfig
from s2m2.recipe.runtime import LoggerName
from s2m2.seeding import StepStream
from s2m2.training.objective import LossTerms

MIN_CHANNELS = 8
"""In channels-last order, torch 2.15 on a CPU corrupts memory in the backward pass of a 1x1 convolution of stride 2 with 4 channels."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingImages:
    """What training sees: all images of the dataset, and which of them are base images of which class."""

    images: UInt8[Tensor, "image height width 3"]
    rows: Int64[Tensor, " item"]
    labels: Int64[Tensor, " item"]
    """Base class of each row, counted from 0."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StageSettings:
    """What sets one stage of one run apart."""

    config: TrainingConfig
    data: DataConfig
    seed: int
    channels_last: bool
    checkpoint_seconds: float
    validate_start: bool
    """Score the weights that the stage starts from, and keep them if nothing better comes."""
    compiled: bool = False
    """The recipe wants the networks compiled."""
    loggers: tuple[LoggerName, ...] = ()
    """Where figures go beside the run directory."""

    @classmethod
    def of(cls, recipe: Recipe, config: TrainingConfig) -> "StageSettings":
        """Those of one stage of a recipe; fine-tuning scores the weights that it starts from."""
        runtime = recipe.runtime
        return cls(
            config=config,
            data=recipe.data,
            seed=recipe.seed,
            channels_last=runtime.channels_last and (recipe.model.width or MIN_CHANNELS) >= MIN_CHANNELS,
            checkpoint_seconds=runtime.checkpoint_seconds,
            validate_start=config.stage == "finetune",
            compiled=runtime.compile,
            loggers=runtime.loggers,
        )


class Score(NamedTuple):
    """A score of validation tasks, a fraction."""

    mean: float
    interval: float
    """Half width of the 95% interval of the mean over tasks."""


Validate = Callable[[Backbone], Score]
"""Score of a backbone on validation classes."""


class Networks(nn.Module):
    """Backbone and objective as the one module that Fabric wraps.

    The stream of a step is an attribute, not an argument: mixed precision converts what it finds in arguments.
    """

    stream: StepStream

    def __init__(self, backbone: Backbone, objective: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.objective = objective

    def forward(self, views: Tensor, labels: Tensor) -> LossTerms:
        """The loss of this process's share of a batch."""
        terms: LossTerms = self.objective(self.backbone, views, labels, self.stream)
        return terms
