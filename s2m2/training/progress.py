"""The progress of a stage: losses of a window of steps, early stopping, and the texts that a person watches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.distributed as dist

from s2m2.console import duration
from s2m2.runs.checkpoint import Progress
from s2m2.training.objectives import LossTerms


def losses_by_step(window: Sequence[LossTerms], processes: int) -> dict[str, list[float]]:
    """The loss and its parts at every step, means over processes; waits for the device."""
    names = list(window[0].parts)
    by_step = torch.stack([torch.stack([terms.total.float(), *(terms.parts[name].float() for name in names)]) for terms in window])
    if processes > 1:
        dist.all_reduce(by_step)
        by_step /= processes
    return dict(zip(["loss", *names], by_step.T.tolist(), strict=True))


def finite_steps(losses: Mapping[str, Sequence[float]]) -> int:
    """The number of steps before the first whose loss is not finite."""
    finite = torch.tensor(losses["loss"]).isfinite()
    return len(finite) if bool(finite.all()) else int((~finite).nonzero()[0])


def after_validation(progress: Progress, score: float, epoch: int) -> Progress:
    """The progress after a validation: a new best, or one more validation waited. An equal score is no new best."""
    if score > progress.best_score:
        return replace(progress, best_score=score, best_epoch=epoch, waited=0)
    return replace(progress, waited=progress.waited + 1)


def out_of_patience(progress: Progress, patience: int) -> bool:
    """Whether early stopping ends the stage (S2M2, Algorithm 1, with patience); patience 0 never does."""
    return 0 < patience <= progress.waited


@dataclass(frozen=True, kw_only=True)
class StageStatus:
    """The latest metrics of a stage, and the texts about them."""

    stage: str
    epochs: int
    """Epochs of the stage."""
    total: int
    """Steps of the stage."""
    losses: Mapping[str, float] = field(default_factory=dict)
    speed: float = 0.0
    """Images/s."""
    score: float | None = None
    """Last validation score, a fraction."""
    interval: float = 0.0
    """Half width of its 95% interval."""
    expected: float | None = None
    """The score that the recipe should give there, a fraction; None: not known."""

    def trained(self, losses: Mapping[str, float], speed: float) -> "StageStatus":
        """After some steps."""
        return replace(self, losses=dict(losses), speed=speed)

    def validated(self, score: float, interval: float, expected: float | None = None) -> "StageStatus":
        """After a validation."""
        return replace(self, score=score, interval=interval, expected=expected)

    def line(self, progress: Progress) -> tuple[str, str]:
        """The two texts of the progress line: the current epoch, then losses and validation."""
        epoch = min(progress.step * self.epochs // self.total + 1, self.epochs)
        parts = [*self._losses(), *([f"validation {self._score(progress)}"] if self.score is not None else [])]
        return f"{self.stage} epoch {epoch}/{self.epochs}", ", ".join(parts)

    def record(self, progress: Progress, epoch: int) -> str:
        """The line that stays on the screen, or in a file, after a validation."""
        speed = [f"{self.speed:,.0f} images/s"] if self.losses else []
        left = (
            [f"{duration(progress.seconds / progress.step * (self.total - progress.step))} left"] if 0 < progress.step < self.total else []
        )
        expected = [f"expected {self.expected:.2%}"] if self.expected is not None else []
        parts = [f"validation {self._score(progress)}", *expected, *self._losses(), *speed, *left]
        return f"{self.stage} epoch {epoch}/{self.epochs}: {', '.join(parts)}"

    def _losses(self) -> list[str]:
        return [f"{name.replace('_', ' ')} {value:.3f}" for name, value in self.losses.items()]

    def _score(self, progress: Progress) -> str:
        best = "best so far" if progress.waited == 0 else f"best {progress.best_score:.2%} after epoch {progress.best_epoch}"
        return f"{self.score:.2%} ± {self.interval:.2%} ({best})"
