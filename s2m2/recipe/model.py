"""Settings of the network."""

from dataclasses import dataclass
from typing import Literal

from s2m2.recipe.checks import check

BackboneName = Literal["conv4", "resnet12", "resnet18", "wrn28_10", "timm"]


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which backbone a run trains."""

    backbone: BackboneName = "conv4"
    """Architecture. S2M2's numbers are those of wrn28_10; timm: the model of that library that model.timm names (extra `timm`)."""
    timm: str | None = None
    """Name of a model of timm, `resnet50` say, with backbone timm. It is one stage: images and features can be mixed, nothing between."""
    weights: str | None = None
    """File of timm's weights for it, .safetensors, that training starts from. null: random ones, or those of model.pretrained."""
    pretrained: bool = False
    """Start from the weights that timm downloads for it. They may have seen the classes that are called novel here."""
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
        timm = self.backbone == "timm"
        check(
            bool(self.timm) == timm, "model.timm", self.timm, "a name of a timm model with backbone timm" if timm else "null but with timm"
        )
        check(timm or self.weights is None, "model.weights", self.weights, "null but with backbone timm")
        check(timm or not self.pretrained, "model.pretrained", self.pretrained, "false but with backbone timm")
        check(not (self.pretrained and self.weights), "model.weights", self.weights, "null with --model.pretrained true")
        check(not timm or self.width is None, "model.width", self.width, "null with backbone timm, whose name says it")
        check(self.width is None or self.width >= 4, "model.width", self.width, "4 or more channels, or null")
        check(0 <= self.dropout < 1, "model.dropout", self.dropout, "at least 0 and below 1")
        check(self.dropout == 0 or self.backbone == "wrn28_10", "model.dropout", self.dropout, "0 but with wrn28_10")
        check(self.scale > 0, "model.scale", self.scale, "above 0")
