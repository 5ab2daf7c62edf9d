"""One optimization step, from the indices of its images to moved weights: that of training, `s2m2 profile` and the benchmark.

Nothing in it waits for a GPU: random numbers, images and learning rates reach it without a question back.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from lightning_fabric import Fabric
from torch import Tensor, nn

from s2m2.data.augment import augment
from s2m2.data.batches import Batch, BatchReader, steps_per_epoch
from s2m2.data.dataset import LabeledImages
from s2m2.models.backbone import Backbone
from s2m2.random import StepStream, seed_for
from s2m2.recipe import DataConfig, Recipe, TrainingConfig
from s2m2.recipe.runtime import LoggerName
from s2m2.threads import one_thread
from s2m2.training.batch_norm import share_statistics
from s2m2.training.objectives import LossTerms, Objective
from s2m2.training.optim import MovingAverage, build_optimizer, set_learning_rate

MIN_CHANNELS = 8
"""In channels-last order, torch 2.15 on a CPU corrupts memory in the backward pass of a 1x1 convolution of stride 2 with 4 channels."""

Mark = Callable[[str], None]
"""Called with the name of each part of a step at its end."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StageSettings:
    """The settings of one stage of one run."""

    config: TrainingConfig
    data: DataConfig
    seed: int
    channels_last: bool
    checkpoint_seconds: float
    validate_start: bool
    """Score the initial weights of the stage, and keep them if no epoch is better."""
    compiled: bool = False
    """The networks are compiled."""
    loggers: tuple[LoggerName, ...] = ()
    """Loggers beside the run directory."""

    @classmethod
    def of(cls, recipe: Recipe, config: TrainingConfig) -> "StageSettings":
        """Those of one stage of a recipe; fine-tuning scores its initial weights."""
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


class Networks(nn.Module):
    """Backbone and heads as the one module that Fabric wraps; its keys are `backbone.*` and `heads.*`.

    The stream of a step is an attribute, not an argument: mixed precision converts the arguments.
    """

    stream: StepStream

    def __init__(self, backbone: Backbone, objective: Objective) -> None:
        super().__init__()
        self.backbone, self.heads = backbone, objective.heads
        self._objective = (objective,)  # in a tuple, as its heads are modules of this one already

    @property
    def objective(self) -> Objective:
        """The objective, with these heads."""
        return self._objective[0]

    def forward(self, views: Tensor, labels: Tensor) -> LossTerms:
        """The loss of this process's part of a batch."""
        terms: LossTerms = self.objective(self.backbone, views, labels, self.stream)
        return terms


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """Networks and their optimizer."""

    networks: Networks
    """On the device."""
    optimizer: torch.optim.Optimizer
    average: MovingAverage | None
    """The moving average of the weights, if there is one."""


def prepare(fabric: Fabric, backbone: Backbone, objective: Objective, settings: StageSettings) -> Prepared:
    """Backbone and heads as one module on the device, with the optimizer and the average of their weights."""
    networks, config = Networks(backbone, objective), settings.config
    if fabric.world_size > 1:
        share_statistics(networks, fabric.device)
    if settings.channels_last:
        networks.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(config.optimizer, networks.to(fabric.device))
    return Prepared(networks=networks, optimizer=optimizer, average=MovingAverage(networks, config.ema_decay) if config.ema_decay else None)


def _no_mark(part: str) -> None:
    """Nothing is measured."""


class TrainingStep:
    """The steps of one stage; step t is a function of the seed, t and the weights."""

    def __init__(
        self,
        fabric: Fabric,
        prepared: Prepared,
        images: LabeledImages,
        settings: StageSettings,
        mark: Mark = _no_mark,
    ) -> None:
        """Wraps the networks for their device and precision.

        Args:
            prepared: networks and optimizer; to resume, their state is loaded before.
            mark: called after each part of a step: waiting, augmentation, forward, backward, optimizer, everything else.
        """
        self.fabric, self.prepared, self.settings, self.mark = fabric, prepared, settings, mark
        self.config, objective = settings.config, prepared.networks.objective
        self.views = objective.views
        self.total = self.config.epochs * steps_per_epoch(len(images.indices), self.config.batch_size)
        """Steps of the whole stage."""
        self.networks, self.optimizer = fabric.setup(prepared.networks, prepared.optimizer)
        self.read = BatchReader(images, self.stream, fabric.device, batches=objective.batches, end=self.total)
        self.rate = 0.0
        """Learning rate of the last step."""

    def __call__(self, step: int) -> LossTerms:
        """Do one step; its losses, without gradient."""
        return self.update(step, *self.load(step))

    def stream(self, step: int) -> StepStream:
        """The randomness of one step on this process."""
        fabric, config = self.fabric, self.config
        return StepStream(
            seed=self.settings.seed,
            stage=config.stage,
            step=step,
            batch_size=config.batch_size,
            rank=fabric.global_rank,
            world_size=fabric.world_size,
        )

    def load(self, step: int) -> tuple[Float[Tensor, "view item 3 size size"], Int64[Tensor, " item"]]:
        """Augmented views of the images of a step, and their classes."""
        self.mark("everything else")
        batch = self.read(step)
        self.mark("waiting")
        # On a CPU these are many small operations, at which two threads wait for each other longer than they compute.
        with one_thread() if batch.images.device.type == "cpu" else nullcontext():
            views = self._augment(batch, self.stream(step))
        self.mark("augmentation")
        return views, batch.labels

    def update(self, step: int, views: Float[Tensor, "view item 3 size size"], labels: Int64[Tensor, " item"]) -> LossTerms:
        """Forward, backward and the update of the weights."""
        # Dropout and CutMix sample from torch's global generator.
        torch.manual_seed(seed_for(self.settings.seed, self.config.stage, "dropout", step, self.fabric.global_rank))
        self.prepared.networks.stream = self.stream(step)
        self.rate = set_learning_rate(self.optimizer, self.config.optimizer, step, self.total)
        self.mark("everything else")
        terms: LossTerms = self.networks(views, labels)
        self.mark("forward")
        self.fabric.backward(terms.total)
        self.mark("backward")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.prepared.average is not None:
            self.prepared.average.update_parameters(self.prepared.networks)
        self.mark("optimizer")
        return LossTerms(terms.total.detach(), terms.parts)

    def _augment(self, read: Batch, stream: StepStream) -> Float[Tensor, "view item 3 size size"]:
        """The views of each batch of the step; every view of every batch has random numbers of its own."""
        images, data, channels_last = read.images, self.settings.data, self.settings.channels_last
        views = torch.empty(
            (self.views * len(images), 3, data.size, data.size),
            device=images.device,
            memory_format=torch.channels_last if channels_last else torch.contiguous_format,
        ).unflatten(0, (self.views, len(images)))
        for batch, part in enumerate(images.split(stream.local_size)):
            items = slice(batch * stream.local_size, (batch + 1) * stream.local_size)
            proportions = None if read.proportions is None else read.proportions[items]
            for view in range(self.views):
                views[view, items] = augment(part, data, stream, batch * self.views + view, proportions)
        return views
