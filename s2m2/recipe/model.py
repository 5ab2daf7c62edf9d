"""Settings of the network."""

from dataclasses import dataclass
from typing import Literal

from s2m2.recipe.checks import check

BackboneName = Literal["conv4", "resnet12", "resnet18", "wrn28_10"]


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which backbone a run trains."""

    backbone: BackboneName = "conv4"
    """Architecture. S2M2's numbers are those of wrn28_10."""
    width: int | None = None
    """Channels of the first stage; the later ones keep their proportion to it. null: the architecture's own
    (conv4 64, resnet12 64, resnet18 64, wrn28_10 160)."""
    dropout: float = 0.0
    """Probability that dropout, inside the blocks of wrn28_10, zeroes a value. S2M2 uses 0.5."""
    head: Literal["cosine", "linear"] = "cosine"
    """Classifier over the base classes while training."""
    scale: float = 2.0
    """Multiplier of the cosine classifier's logits before the softmax (S2M2: 2 up to 200 classes, else 10)."""

    def __post_init__(self) -> None:
        check(self.width is None or self.width >= 4, "model.width", self.width, "4 or more channels, or null")
        check(0 <= self.dropout < 1, "model.dropout", self.dropout, "at least 0 and below 1")
        check(self.dropout == 0 or self.backbone == "wrn28_10", "model.dropout", self.dropout, "0 but with wrn28_10")
        check(self.scale > 0, "model.scale", self.scale, "above 0")
