"""One optimization step, from the numbers of its images to moved weights. Training, `s2m2 profile` and the benchmark take this one.

Nothing in it waits for a GPU: draws, images and learning rates reach it without the host asking for anything back.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from lightning_fabric import Fabric
from torch import Tensor, nn

from s2m2.data.augment import augment
from s2m2.data.batches import BatchReader, steps_per_epoch
from s2m2.models.backbone import Backbone
from s2m2.seeding import StepStream, seed_for
from s2m2.threads import one_thread
from s2m2.training.batch_norm import share_statistics
from s2m2.training.ema import MovingAverage
from s2m2.training.objective import LossTerms
from s2m2.training.optimizer import build_optimizer, set_learning_rate
from s2m2.training.stage import Networks, StageSettings, TrainingImages

Mark = Callable[[str], None]
"""Told the name of each part of a step when it is done."""


def _unmarked(part: str) -> None:
    """Nobody measures."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """What the steps of a stage move."""

    networks: Networks
    """On the device."""
    optimizer: torch.optim.Optimizer
    average: MovingAverage | None
    """The moving average of the weights, where there is one."""


def prepare(fabric: Fabric, backbone: Backbone, objective: nn.Module, settings: StageSettings) -> Prepared:
    """Backbone and objective as one module on the device, with the optimizer and the average of their weights."""
    networks, config = Networks(backbone, objective), settings.config
    if fabric.world_size > 1:
        share_statistics(networks, fabric.device)
    if settings.channels_last:
        networks.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(config.optimizer, networks.to(fabric.device))
    return Prepared(networks=networks, optimizer=optimizer, average=MovingAverage(networks, config.ema_decay) if config.ema_decay else None)


class TrainingStep:
    """The steps of one stage; step t is a function of the seed, t and the weights."""

    def __init__(
        self,
        fabric: Fabric,
        moved: Prepared,
        images: TrainingImages,
        settings: StageSettings,
        mark: Mark = _unmarked,
    ) -> None:
        """Wraps what is moved for its device and precision.

        Args:
            moved: networks and optimizer; to continue, their state is loaded before.
            mark: called after each part of a step: waiting, augmentation, forward, backward, optimizer, everything else.
        """
        self.fabric, self.moved, self.settings, self.mark = fabric, moved, settings, mark
        self.config = settings.config
        self.views: int = moved.networks.objective.views  # type: ignore[assignment]
        batches: int = moved.networks.objective.batches  # type: ignore[assignment]
        self.total = self.config.epochs * steps_per_epoch(len(images.rows), self.config.batch_size)
        """Steps of the whole stage."""
        self.networks, self.optimizer = fabric.setup(moved.networks, moved.optimizer)
        self.read = BatchReader(images.images, images.rows, images.labels, self.stream, fabric.device, batches=batches, end=self.total)
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

    def load(self, step: int) -> tuple[Float[Tensor, "view row 3 size size"], Int64[Tensor, " row"]]:
        """Random variations of the images of a step, and their classes."""
        self.mark("everything else")
        images, labels = self.read(step)
        self.mark("waiting")
        # On a CPU these are many small operations, for which two threads wait for each other longer than they compute.
        with one_thread() if images.device.type == "cpu" else nullcontext():
            views = self._augment(images, self.stream(step))
        self.mark("augmentation")
        return views, labels

    def update(self, step: int, views: Float[Tensor, "view row 3 size size"], labels: Int64[Tensor, " row"]) -> LossTerms:
        """Forward, backward and the move of the weights on images that are ready."""
        # Dropout is the one draw that torch takes from its global generator.
        torch.manual_seed(seed_for(self.settings.seed, self.config.stage, "dropout", step, self.fabric.global_rank))
        self.moved.networks.stream = self.stream(step)
        self.rate = set_learning_rate(self.optimizer, self.config.optimizer, step, self.total)
        self.mark("everything else")
        terms: LossTerms = self.networks(views, labels)
        self.mark("forward")
        self.fabric.backward(terms.total)
        self.mark("backward")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.moved.average is not None:
            self.moved.average.update_parameters(self.moved.networks)
        self.mark("optimizer")
        return LossTerms(terms.total.detach(), terms.parts)

    def _augment(self, images: Tensor, stream: StepStream) -> Float[Tensor, "view row 3 size size"]:
        """The views of each batch of the step side by side; every view of every batch has random numbers of its own."""
        data, channels_last = self.settings.data, self.settings.channels_last
        views = torch.empty(
            (self.views * len(images), 3, data.size, data.size),
            device=images.device,
            memory_format=torch.channels_last if channels_last else torch.contiguous_format,
        ).unflatten(0, (self.views, len(images)))
        for batch, part in enumerate(images.split(stream.local_size)):
            rows = slice(batch * stream.local_size, (batch + 1) * stream.local_size)
            for view in range(self.views):
                views[view, rows] = augment(part, data, stream, batch * self.views + view)
        return views
