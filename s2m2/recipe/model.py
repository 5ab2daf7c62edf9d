"""Settings of the network."""

from dataclasses import dataclass
from typing import Literal, get_args

from s2m2.recipe.parts import BackboneName as BackboneName
from s2m2.recipe.parts import check_backbone
from s2m2.recipe.ranges import Channels, FromZeroBelowOne, PositiveFloat, check, check_ranges


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The backbone, and the head that it is trained with."""

    backbone: str = "conv4"
    """Architecture: conv4, resnet12, resnet18, wrn28_10 (S2M2's), timm (the model named by model.timm; extra `timm`), one of your own
    as module:object, or an installed entry point of group s2m2.backbones."""
    timm: str | None = None
    """Name of a timm model, such as resnet50, for backbone timm. It counts as one stage: mixing at the input or the features only."""
    weights: str | None = None
    """File of timm weights, .safetensors, to start training from. null: random weights, or those of model.pretrained."""
    pretrained: bool = False
    """Start from the weights that timm downloads. They may have been trained on the novel classes."""
    width: Channels | None = None
    """Channels of the first stage; later stages keep their proportion to it. null: the architecture's own (conv4 64, resnet12 64,
    resnet18 64, wrn28_10 160)."""
    dropout: FromZeroBelowOne = 0.0
    """Dropout probability inside the blocks of wrn28_10. S2M2: 0.5, CIFAR-FS 0.9."""
    head: Literal["cosine", "linear"] = "cosine"
    """Classification head over the base classes during training. S2M2: cosine."""
    scale: PositiveFloat = 2.0
    """Multiplier of the cosine head's logits before the softmax. S2M2: 2 for up to 200 base classes, else 10."""

    def __post_init__(self) -> None:
        check_ranges(self, "model")
        check_backbone("model.backbone", self.backbone)
        if self.backbone == "timm":
            check(bool(self.timm), "model.timm", self.timm, "the name of a timm model with backbone timm")
            check(self.width is None, "model.width", self.width, "null with backbone timm, whose name says it")
            check(not (self.pretrained and self.weights), "model.weights", self.weights, "null with --model.pretrained true")
        else:
            check(self.timm is None, "model.timm", self.timm, "null except with backbone timm")
            check(self.weights is None, "model.weights", self.weights, "null except with backbone timm")
            check(not self.pretrained, "model.pretrained", self.pretrained, "false except with backbone timm")
        built_in_without = self.backbone in get_args(BackboneName) and self.backbone != "wrn28_10"
        check(self.dropout == 0 or not built_in_without, "model.dropout", self.dropout, "0 except with wrn28_10")
