"""Settings of the few-shot evaluation."""

from dataclasses import dataclass, field
from typing import Literal

from s2m2.recipe.checks import check, check_counts
from s2m2.recipe.training import HeadName

FeaturesName = Literal["pixels", "pretrain", "finetune"]


@dataclass(frozen=True, kw_only=True)
class CosineClassifierConfig:
    """How the cosine classifier is fitted to the support pictures of one task (defaults: S2M2's protocol)."""

    epochs: int = 200
    """Passes over the support pictures; fixed in advance, never chosen by looking at the accuracy."""
    batch_size: int = 4
    """Support pictures a step, in random order."""
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
    """Which few-shot tasks are scored, with which heads, on which features."""

    split: Literal["novel", "validation", "base"] = "novel"
    """Classes that the tasks are drawn from. Choose settings on validation, report on novel."""
    ways: tuple[int, ...] = (5,)
    """Classes of a task; several values are scored one after the other."""
    shots: tuple[int, ...] = (1, 5)
    """Labelled pictures a class; several values are scored one after the other."""
    queries: int = 15
    """Pictures a class to recognise."""
    tasks: int = 10_000
    """Tasks averaged."""
    seed: int = 0
    """Seed of the tasks and heads, apart from that of training, so that different trainings meet the same tasks."""
    heads: tuple[HeadName, ...] = ("cosine", "nearest_mean")
    """Few-shot heads: the paper's cosine classifier, the nearest class mean."""
    features: tuple[FeaturesName, ...] = ("pretrain", "finetune")
    """What the heads see: raw pixels, or the features of the best weights of a training stage."""
    cosine: CosineClassifierConfig = field(default_factory=CosineClassifierConfig)

    def __post_init__(self) -> None:
        check_counts("evaluate.ways", self.ways, least=2)
        check_counts("evaluate.shots", self.shots)
        check(self.queries >= 1, "evaluate.queries", self.queries, "1 or more")
        check(self.tasks >= 2, "evaluate.tasks", self.tasks, "2 or more, as an interval needs")
        for name in ("heads", "features"):
            values = getattr(self, name)
            check(bool(values) and len(set(values)) == len(values), f"evaluate.{name}", list(values), "one or more different names")
