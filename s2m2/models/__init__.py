"""Networks: images to features, features to logits. No data, no files, no training."""

from collections.abc import Callable

import torch

from s2m2.models.backbone import Backbone
from s2m2.models.conv import conv4
from s2m2.models.heads import CosineHead, LinearHead
from s2m2.models.initialize import initialize
from s2m2.models.resnet import resnet12, resnet18
from s2m2.models.timm_model import timm_backbone
from s2m2.models.wide_resnet import wrn28_10
from s2m2.recipe import ModelConfig
from s2m2.recipe.model import BackboneName
from s2m2.seeding import generator_for

__all__ = ["BUILDERS", "Backbone", "CosineHead", "LinearHead", "build_backbone", "initialize"]

# timm's models bring their own initial weights, so `build_backbone` does not make them in this way.
BUILDERS: dict[BackboneName, Callable[[ModelConfig, int], Backbone]] = {
    "conv4": lambda config, image_size: conv4(image_size, config.width),
    "resnet12": lambda config, _: resnet12(config.width),
    "resnet18": lambda config, _: resnet18(config.width),
    "wrn28_10": lambda config, _: wrn28_10(config.width, config.dropout),
}


def build_backbone(config: ModelConfig, image_size: int, generator: torch.Generator | None = None) -> Backbone:
    """The backbone of a recipe, on the CPU.

    A model of timm may start from weights that it names, where a generator is given.

    Args:
        config: names the architecture, its width and its dropout.
        image_size: side of the images, in pixels.
        generator: draws the initial weights (CPU). Without one they come from a fixed stream, for callers that load others over them.

    Raises:
        InputError: a model of timm cannot be had, or its weights do not fit.
    """
    if config.backbone == "timm":
        return timm_backbone(config, image_size, generator)
    # Built without memory, as constructors draw from the global generator, and only then given storage and weights.
    with torch.device("meta"):
        backbone = BUILDERS[config.backbone](config, image_size)
    backbone.to_empty(device="cpu")
    initialize(backbone, generator or generator_for(0, "backbone"))
    return backbone
