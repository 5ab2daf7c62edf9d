"""The one loop of both stages: CPU, one GPU, or several processes; a run that was killed at any moment resumes.

Step t is a function of the seed, t and the weights, so resuming means loading the last checkpoint and going on. Nothing in an epoch
waits for the device, except every `LOG_EVERY` steps to read the losses.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, cast

import torch
from lightning_fabric import Fabric

from s2m2.console import ProgressLine, console, progress_line
from s2m2.data.augment import evaluation_view
from s2m2.data.batches import fetch, local_batch, steps_per_epoch
from s2m2.data.dataset import LabeledImages
from s2m2.io import remove_leftovers
from s2m2.models.backbone import Backbone
from s2m2.random import StepStream, generator_for, seed_for
from s2m2.runs.checkpoint import Outcome, load_last, load_outcome, save_best, save_last, save_outcome, settle_best
from s2m2.runs.directory import RunDirectory
from s2m2.runs.logging import MetricLog
from s2m2.runs.watch import Watch
from s2m2.training.batch_norm import reestimate_statistics
from s2m2.training.compiling import uncompiled
from s2m2.training.objectives import LossTerms, Objective
from s2m2.training.progress import StageStatus, after_validation, finite_steps, losses_by_step, out_of_patience
from s2m2.training.step import Networks, StageSettings, TrainingStep, prepare

LOG_EVERY = 50
"""Steps between two readings of the losses."""


class Score(NamedTuple):
    """A score of validation tasks, a fraction."""

    mean: float
    interval: float
    """Half width of the 95% interval of the mean over tasks."""


Validate = Callable[[Backbone], Score]
"""Score of a backbone on validation classes."""


def train_stage(
    fabric: Fabric,
    run: RunDirectory,
    backbone: Backbone,
    objective: Objective,
    images: LabeledImages,
    settings: StageSettings,
    validate: Validate,
    watch: Watch | None = None,
) -> Outcome:
    """Train one stage to its end, from its last checkpoint if there is one; a finished stage is left as it is.

    Args:
        watch: compares validation scores with those that the recipe should give; on the first process.

    Raises:
        InputError: a checkpoint or setting that cannot be used.
        FloatingPointError: a loss is not finite; the message names the step and the last good checkpoint.
    """
    stage = settings.config.stage
    finished = load_outcome(run.outcome(stage))
    if finished is not None:
        return finished
    return _Stage(fabric, run, backbone, objective, images, settings, validate, watch).train()


class _Stage:
    """One start of one stage."""

    def __init__(
        self,
        fabric: Fabric,
        run: RunDirectory,
        backbone: Backbone,
        objective: Objective,
        images: LabeledImages,
        settings: StageSettings,
        validate: Validate,
        watch: Watch | None,
    ) -> None:
        self.fabric, self.run, self.settings, self.validate, self.watch = fabric, run, settings, validate, watch
        self.config, self.name = settings.config, settings.config.stage
        self.steps = steps_per_epoch(len(images.indices), self.config.batch_size)
        self.backbone, self.objective = backbone, objective
        self.indices = images.indices
        prepared = prepare(fabric, backbone, objective, settings)
        self.bare, self.average = prepared.networks, prepared.average
        self.progress = load_last(run.last(self.name), backbone, objective, prepared.optimizer, self.average)
        if fabric.is_global_zero:
            remove_leftovers(run.best(self.name).parent, older_than=0.0)  # nobody else writes there, by the lock of training
            settle_best(run.coming(self.name), run.best(self.name), self.progress)
        self.step = TrainingStep(fabric, prepared, images, settings)
        self.status = StageStatus(stage=self.name, epochs=self.config.epochs, total=self.step.total)
        self.started, self.saved = time.monotonic() - self.progress.seconds, time.monotonic()

    def train(self) -> Outcome:
        """All epochs, or fewer with early stopping."""
        total, batch, first = self.step.total, self.config.batch_size, self.fabric.is_global_zero
        with (
            MetricLog(self.run, self.name, self.progress.step, writes=first, loggers=self.settings.loggers) as log,
            progress_line(self.name, total * batch, "images", shown=first, done=self.progress.step * batch) as line,
        ):
            if self.settings.validate_start and self.progress.step == 0:
                self._validate(log, line, epoch=0)
            while self.progress.step < total and not out_of_patience(self.progress, self.config.patience):
                epoch = self._train_epoch(log, line)
                if epoch % self.config.validation.every == 0 or self.progress.step == total:
                    self._validate(log, line, epoch)
                    self._save([])  # at once: the best weights and their score belong together
                elif self._is_time_to_save():
                    self._save([])
        outcome = Outcome(
            epochs=self.progress.step // self.steps,
            best_epoch=self.progress.best_epoch,
            best_score=self.progress.best_score,
            stopped_early=self.progress.step < total,
            seconds=round(self.progress.seconds, 1),
            weights=self.progress.best_weights,
        )
        if self.fabric.is_global_zero:
            save_outcome(self.run.outcome(self.name), outcome)
        self.fabric.barrier()
        return outcome

    def _train_epoch(self, log: MetricLog, line: ProgressLine) -> int:
        """The rest of the current epoch; returns the number of epochs done."""
        epoch = self.progress.step // self.steps
        window: list[LossTerms] = []
        since = time.monotonic()
        self.step.networks.train()
        for step in range(self.progress.step, (epoch + 1) * self.steps):
            window.append(self.step(step))
            self.progress = replace(self.progress, step=step + 1, seconds=time.monotonic() - self.started)
            line.advance(self.config.batch_size)
            at_end = (step + 1) % self.steps == 0
            if at_end or (step + 1) % LOG_EVERY == 0:
                self._log_window(log, line, window, since)
                window, since = [], time.monotonic()
            if not at_end and self._is_time_to_save():
                self._save(window)
        return epoch + 1

    def _log_window(self, log: MetricLog, line: ProgressLine, window: list[LossTerms], since: float) -> None:
        """Log means over the last steps; the one place where training waits for the device."""
        step = self.progress.step
        losses = losses_by_step(window, self.fabric.world_size)
        finite = finite_steps(losses)
        if finite < len(window):
            raise self._not_finite("loss", step - len(window) + finite + 1)
        means = {name: sum(values) / len(values) for name, values in losses.items()}
        speed = round(len(window) * self.config.batch_size / (time.monotonic() - since), 1)
        log.write("train", step, step / self.steps, **means, learning_rate=self.step.rate, images_per_second=speed)
        self.status = self.status.trained(means, speed)
        line.tell(*self.status.line(self.progress))

    def _not_finite(self, what: str, step: int) -> FloatingPointError:
        last = self.run.last(self.name)
        checkpoint = f"the last good checkpoint is {last}" if last.exists() else "there was no checkpoint yet"
        hint = f"a lower --{self.name}.optimizer.learning_rate in a new --run directory may help"
        return FloatingPointError(f"the {what} of {self.name} is not finite at step {step}; {checkpoint}; {hint}")

    def _weights_finite(self) -> bool:
        # By the norm: weights so large that it overflows are finite, yet the next loss will not be.
        return all(bool(torch.linalg.vector_norm(values.float()).isfinite()) for values in self.bare.state_dict().values())

    def _validate(self, log: MetricLog, line: ProgressLine, epoch: int) -> None:
        """Score on validation classes; the first process decides for all."""
        if not self._weights_finite():
            raise self._not_finite("update", self.progress.step)
        networks = cast(Networks, self.average.module) if self.average is not None else self.bare
        if self.config.bn_recalibration_images:
            self._reestimate_statistics(networks.backbone, epoch)
        mean, interval = map(float, self.fabric.broadcast(tuple(self.validate(networks.backbone))))
        self.progress = replace(after_validation(self.progress, mean, epoch), seconds=time.monotonic() - self.started)
        log.write("validation", self.progress.step, float(epoch), score=mean, interval=interval, best=self.progress.best_score)
        self.status = self.status.validated(mean, interval, self.watch.expected(self.name, epoch) if self.watch is not None else None)
        line.tell(*self.status.line(self.progress))
        if not self.fabric.is_global_zero:
            return
        if self.progress.waited == 0:
            metadata = {"stage": self.name, "epoch": epoch, "validation_score": mean}
            checksum = save_best(self.run.coming(self.name), networks.backbone, networks.objective, metadata)
            self.progress = replace(self.progress, best_weights=checksum)
        console.print(self.status.record(self.progress, epoch), soft_wrap=True)
        warning = self.watch.warning(self.name, epoch, mean, interval) if self.watch is not None else ""
        if warning:
            console.print(warning, soft_wrap=True)

    def _reestimate_statistics(self, backbone: Backbone, epoch: int) -> None:
        """Statistics of batch normalization from un-augmented base images."""
        size, seed = self.config.batch_size, self.settings.seed
        images = self.step.read.images
        order = torch.randperm(len(self.indices), generator=generator_for(seed, self.name, "statistics", epoch))
        count = min(self.config.bn_recalibration_images, len(order)) // size
        stream = StepStream(
            seed=seed, stage=self.name, step=epoch, batch_size=size, rank=self.fabric.global_rank, world_size=self.fabric.world_size
        )
        batches = (self.indices[local_batch(order, position, stream)] for position in range(count))
        views = (evaluation_view(fetch(images, batch, self.fabric.device), self.settings.data) for batch in batches)
        with uncompiled(self.settings.compiled):
            reestimate_statistics(backbone, views, seed_for(seed, self.name, "statistics dropout", epoch, self.fabric.global_rank))

    def _is_time_to_save(self) -> bool:
        return time.monotonic() - self.saved > self.settings.checkpoint_seconds

    def _save(self, window: list[LossTerms]) -> None:
        """Write the state to resume from, unless weights or unread losses are not finite; the next reading reports that."""
        good = self._weights_finite() and all(bool(terms.total.isfinite()) for terms in window)
        if self.fabric.is_global_zero and good:
            save_last(self.run.last(self.name), self.backbone, self.objective, self.step.optimizer, self.progress, self.average)
            settle_best(self.run.coming(self.name), self.run.best(self.name), self.progress)
        self.saved = time.monotonic()
