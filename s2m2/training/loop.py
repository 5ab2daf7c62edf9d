"""The one loop of both stages: CPU, one GPU, or several processes; it survives a kill at any moment.

What happens at step t is a function of the seed and t alone, so continuing means loading the last checkpoint and going on. Nothing
in an epoch waits for the device, except every `LOG_EVERY` steps to read the losses.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import torch
import torch.distributed as dist
from jaxtyping import Float, Int64
from lightning_fabric import Fabric
from torch import Tensor, nn

from s2m2.console import Advance, console, progress_bar
from s2m2.data.augment import augment, evaluation_view
from s2m2.data.batches import epoch_order, fetch, local_batch, resident, steps_per_epoch
from s2m2.models.backbone import Backbone
from s2m2.runs.checkpoint import Outcome, load_last, load_outcome, save_best, save_last, save_outcome
from s2m2.runs.directory import RunDirectory
from s2m2.runs.metrics import MetricLog
from s2m2.seeding import StepStream, generator_for, seed_for
from s2m2.training.averaging import moving_average
from s2m2.training.batch_norm import reestimate_statistics, share_statistics
from s2m2.training.objective import LossTerms
from s2m2.training.optimizer import build_optimizer, set_learning_rate
from s2m2.training.stage import BasePictures, Networks, StageSettings
from s2m2.training.stopping import judge, out_of_patience

LOG_EVERY = 50
"""Steps between two looks at the losses."""

Validate = Callable[[Backbone], float]
"""Score of a backbone on validation classes, a fraction."""


def train_stage(
    fabric: Fabric,
    run: RunDirectory,
    backbone: Backbone,
    objective: nn.Module,
    pictures: BasePictures,
    settings: StageSettings,
    validate: Validate,
) -> Outcome:
    """Train one stage to its end, from wherever an earlier start has left it; a finished one is not touched.

    Raises:
        InputError: a checkpoint or setting that cannot be used.
        FloatingPointError: a loss is not finite; the message names the step and the last good checkpoint.
    """
    stage = settings.config.stage
    finished = load_outcome(run.outcome(stage))
    if finished is not None:
        return finished
    return _Stage(fabric, run, backbone, objective, pictures, settings, validate).train()


class _Stage:
    """One start of one stage: what its epochs share."""

    def __init__(
        self,
        fabric: Fabric,
        run: RunDirectory,
        backbone: Backbone,
        objective: nn.Module,
        pictures: BasePictures,
        settings: StageSettings,
        validate: Validate,
    ) -> None:
        self.fabric, self.run, self.settings, self.validate = fabric, run, settings, validate
        self.config, self.name = settings.config, settings.config.stage
        self.steps = steps_per_epoch(len(pictures.rows), self.config.batch_size)
        self.backbone, self.objective = backbone, objective
        self.views: int = objective.views  # type: ignore[assignment]
        self.batches: int = objective.batches  # type: ignore[assignment]
        self.images = resident(pictures.images, fabric.device)
        self.rows, self.labels = (values.to(fabric.device) for values in (pictures.rows, pictures.labels))
        self.bare = Networks(backbone, objective)
        if fabric.world_size > 1:
            share_statistics(self.bare, fabric.device)
        if settings.channels_last:
            self.bare.to(memory_format=torch.channels_last)
        optimizer = build_optimizer(self.config.optimizer, self.bare.to(fabric.device))
        self.average = moving_average(self.bare, self.config.average) if self.config.average else None
        self.progress = load_last(run.last(self.name), backbone, objective, optimizer, self.average)
        self.networks, self.optimizer = fabric.setup(self.bare, optimizer)
        self.started, self.saved = time.monotonic() - self.progress.seconds, time.monotonic()

    def train(self) -> Outcome:
        """Epoch after epoch until the last one or the end of patience."""
        total = self.config.epochs * self.steps
        with (
            MetricLog(self.run, self.name, self.progress.step, writes=self.fabric.is_global_zero) as log,
            progress_bar(
                self.name,
                total * self.config.batch_size,
                "pictures",
                shown=self.fabric.is_global_zero,
                done=self.progress.step * self.config.batch_size,
            ) as advance,
        ):
            if self.settings.validate_start and self.progress.step == 0:
                self._judge(log, epoch=0)
            while self.progress.step < total and not out_of_patience(self.progress, self.config.patience):
                epoch = self._train_epoch(log, advance)
                if epoch % self.config.validation.every == 0 or self.progress.step == total:
                    self._judge(log, epoch)
                self._save([])
        outcome = Outcome(
            epochs=self.progress.step // self.steps,
            best_epoch=self.progress.best_epoch,
            best_score=self.progress.best_score,
            stopped_early=self.progress.step < total,
            seconds=round(self.progress.seconds, 1),
        )
        if self.fabric.is_global_zero:
            save_outcome(self.run.outcome(self.name), outcome)
        self.fabric.barrier()
        return outcome

    def _train_epoch(self, log: MetricLog, advance: Advance) -> int:
        """The rest of the current epoch; returns how many epochs are done then."""
        epoch = self.progress.step // self.steps
        orders = [
            epoch_order(len(self.rows), self.settings.seed, self.name, epoch, batch).to(self.fabric.device) for batch in range(self.batches)
        ]
        window: list[LossTerms] = []
        since = time.monotonic()
        self.networks.train()
        for step in range(self.progress.step, (epoch + 1) * self.steps):
            rate = set_learning_rate(self.optimizer, self.config.optimizer, step, self.config.epochs * self.steps)
            window.append(self._step(step, orders))
            self.progress = replace(self.progress, step=step + 1, seconds=time.monotonic() - self.started)
            advance(self.config.batch_size)
            at_end = (step + 1) % self.steps == 0
            if at_end or (step + 1) % LOG_EVERY == 0:
                self._log_window(log, window, since, learning_rate=rate)
                window, since = [], time.monotonic()
            if not at_end and time.monotonic() - self.saved > self.settings.checkpoint_seconds:
                self._save(window)
        return epoch + 1

    def _step(self, step: int, orders: Sequence[Int64[Tensor, " item"]]) -> LossTerms:
        fabric, settings = self.fabric, self.settings
        stream = StepStream(
            seed=settings.seed,
            stage=self.name,
            step=step,
            batch_size=self.config.batch_size,
            rank=fabric.global_rank,
            world_size=fabric.world_size,
        )
        # Dropout is the one draw that torch takes from its global generator.
        torch.manual_seed(seed_for(settings.seed, self.name, "dropout", step, fabric.global_rank))
        items = [local_batch(order, step % self.steps, stream) for order in orders]
        labels = torch.cat([self.labels[chosen] for chosen in items])
        views = torch.cat([self._views(chosen, stream, batch) for batch, chosen in enumerate(items)], dim=1)
        if settings.channels_last:
            views = views.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, views.shape[:2])
        self.bare.stream = stream
        terms: LossTerms = self.networks(views, labels)
        fabric.backward(terms.total)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update_parameters(self.bare)
        return LossTerms(terms.total.detach(), terms.parts)

    def _views(self, items: Int64[Tensor, " item"], stream: StepStream, batch: int) -> Float[Tensor, "view item 3 side side"]:
        """Random variations of the pictures of one batch of a step."""
        images = fetch(self.images, self.rows[items], self.fabric.device)
        numbers = range(batch * self.views, (batch + 1) * self.views)
        return torch.stack([augment(images, self.settings.data, stream, number) for number in numbers])

    def _log_window(self, log: MetricLog, window: list[LossTerms], since: float, learning_rate: float) -> None:
        """Log means over the steps since a moment; the one place where training waits for the device."""
        names = list(window[0].parts)
        figures_by_step = torch.stack(
            [torch.stack([terms.total.float(), *(terms.parts[name].float() for name in names)]) for terms in window]
        )
        if self.fabric.world_size > 1:
            dist.all_reduce(figures_by_step)
            figures_by_step /= self.fabric.world_size
        losses = figures_by_step[:, 0]
        step = self.progress.step
        if not bool(losses.isfinite().all()):
            raise self._not_finite("loss", step - len(window) + int((~losses.isfinite()).nonzero()[0]) + 1)
        loss, *parts = figures_by_step.mean(dim=0).tolist()
        speed = round(len(window) * self.config.batch_size / (time.monotonic() - since), 1)
        figures = dict(zip(names, parts, strict=True))
        log.write("train", step, step / self.steps, loss=loss, **figures, learning_rate=learning_rate, images_per_second=speed)

    def _not_finite(self, what: str, step: int) -> FloatingPointError:
        last = self.run.last(self.name)
        kept = f"the last good checkpoint is {last}" if last.exists() else "there was no checkpoint yet"
        hint = f"a lower --{self.name}.optimizer.learning_rate in a new --run directory may help"
        return FloatingPointError(f"the {what} of {self.name} is not finite at step {step}; {kept}; {hint}")

    def _weights_finite(self) -> bool:
        # By the norm: weights so large that it overflows are finite, yet the next loss will not be.
        return all(bool(torch.linalg.vector_norm(values.float()).isfinite()) for values in self.bare.state_dict().values())

    def _judge(self, log: MetricLog, epoch: int) -> None:
        """Score on validation classes; the first process decides for all."""
        if not self._weights_finite():
            raise self._not_finite("update", self.progress.step)
        judged = cast(Networks, self.average.module) if self.average is not None else self.bare
        if self.config.statistics_pictures:
            self._reestimate_statistics(judged.backbone, epoch)
        score = self.validate(judged.backbone)
        score = float(self.fabric.broadcast(score))
        self.progress = replace(judge(self.progress, score, epoch), seconds=time.monotonic() - self.started)
        log.write("validation", self.progress.step, float(epoch), score=score, best=self.progress.best_score)
        if not self.fabric.is_global_zero:
            return
        if self.progress.waited == 0:
            save_best(
                self.run.best(self.name), judged.backbone, judged.objective, {"stage": self.name, "epoch": epoch, "validation_score": score}
            )
        mark = "best so far" if self.progress.waited == 0 else f"best {self.progress.best_score:.2%} after epoch {self.progress.best_epoch}"
        console.print(f"{self.name} epoch {epoch}/{self.config.epochs}: validation {score:.2%} ({mark})")

    def _reestimate_statistics(self, backbone: Backbone, epoch: int) -> None:
        """Statistics of batch normalisation from base pictures as evaluation sees them."""
        size, seed = self.config.batch_size, self.settings.seed
        order = torch.randperm(len(self.rows), generator=generator_for(seed, self.name, "statistics", epoch)).to(self.fabric.device)
        count = min(self.config.statistics_pictures, len(order)) // size
        stream = StepStream(
            seed=seed, stage=self.name, step=epoch, batch_size=size, rank=self.fabric.global_rank, world_size=self.fabric.world_size
        )
        rows = (self.rows[local_batch(order, position, stream)] for position in range(count))
        views = (evaluation_view(fetch(self.images, chosen, self.fabric.device), self.settings.data) for chosen in rows)
        reestimate_statistics(backbone, views, seed_for(seed, self.name, "statistics dropout", epoch, self.fabric.global_rank))

    def _save(self, window: list[LossTerms]) -> None:
        """Write the state to continue from, unless weights or the losses not looked at yet are spoilt: the next look will say so."""
        good = self._weights_finite() and all(bool(terms.total.isfinite()) for terms in window)
        if self.fabric.is_global_zero and good:
            save_last(self.run.last(self.name), self.backbone, self.objective, self.optimizer, self.progress, self.average)
        self.saved = time.monotonic()
