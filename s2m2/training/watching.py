"""What a person is told of a stage while it trains, and the figures that are logged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import torch
import torch.distributed as dist

from s2m2.runs.checkpoint import Progress
from s2m2.training.objective import LossTerms


def figures_of(window: Sequence[LossTerms], processes: int) -> dict[str, list[float]]:
    """The loss and its parts at every step, means over processes; waits for the device."""
    names = list(window[0].parts)
    by_step = torch.stack([torch.stack([terms.total.float(), *(terms.parts[name].float() for name in names)]) for terms in window])
    if processes > 1:
        dist.all_reduce(by_step)
        by_step /= processes
    return dict(zip(["loss", *names], by_step.T.tolist(), strict=True))


def finite_steps(figures: Mapping[str, Sequence[float]]) -> int:
    """How many steps there are before the first one whose loss is not finite."""
    finite = torch.tensor(figures["loss"]).isfinite()
    return len(finite) if bool(finite.all()) else int((~finite).nonzero()[0])


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The last figures of a stage."""

    stage: str
    epochs: int
    """Epochs of the stage."""
    total: int
    """Steps of the stage."""
    losses: Mapping[str, float] = field(default_factory=dict)
    speed: float = 0.0
    """Images a second."""
    score: float | None = None
    """Of the last validation, a fraction."""
    interval: float = 0.0
    """Half width of its 95% interval."""

    def trained(self, losses: Mapping[str, float], speed: float) -> "Seen":
        """After some steps."""
        return replace(self, losses=dict(losses), speed=speed)

    def validated(self, score: float, interval: float) -> "Seen":
        """After a validation."""
        return replace(self, score=score, interval=interval)

    def line(self, progress: Progress) -> tuple[str, str]:
        """The two texts of the progress line: which epoch is under way, then losses and validation."""
        epoch = min(progress.step * self.epochs // self.total + 1, self.epochs)
        parts = [*self._losses(), *([f"validation {self._score(progress)}"] if self.score is not None else [])]
        return f"{self.stage} epoch {epoch}/{self.epochs}", ", ".join(parts)

    def record(self, progress: Progress, epoch: int) -> str:
        """The line that stays on the screen, or in a file, after a validation."""
        speed = [f"{self.speed:,.0f} images/s"] if self.losses else []
        left = (
            [f"{duration(progress.seconds / progress.step * (self.total - progress.step))} left"] if 0 < progress.step < self.total else []
        )
        parts = [f"validation {self._score(progress)}", *self._losses(), *speed, *left]
        return f"{self.stage} epoch {epoch}/{self.epochs}: {', '.join(parts)}"

    def _losses(self) -> list[str]:
        return [f"{name.replace('_', ' ')} {value:.3f}" for name, value in self.losses.items()]

    def _score(self, progress: Progress) -> str:
        best = "best so far" if progress.waited == 0 else f"best {progress.best_score:.2%} after epoch {progress.best_epoch}"
        return f"{self.score:.2%} ± {self.interval:.2%} ({best})"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds."""
    return str(timedelta(seconds=round(seconds)))
