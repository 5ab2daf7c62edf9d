"""Networks: images to features, features to logits. No data, no files, no training."""

from collections.abc import Callable

import torch

from s2m2.models.backbone import Backbone
from s2m2.models.conv4 import conv4
from s2m2.models.custom import custom_backbone, load_network
from s2m2.models.layers import CosineHead, LinearHead, initialize
from s2m2.models.resnet import resnet12, resnet18
from s2m2.models.timm import timm_backbone
from s2m2.models.wide_resnet import wrn28_10
from s2m2.random import generator_for
from s2m2.recipe import ModelConfig

__all__ = ["BUILDERS", "Backbone", "CosineHead", "LinearHead", "build_backbone", "initialize", "resolve_backbone"]

BUILDERS: dict[str, Callable[[ModelConfig, int], Backbone]] = {
    "conv4": lambda config, image_size: conv4(image_size, config.width),
    "resnet12": lambda config, _: resnet12(config.width),
    "resnet18": lambda config, _: resnet18(config.width),
    "wrn28_10": lambda config, _: wrn28_10(config.width, config.dropout),
}
"""Built-in backbones, without initial weights."""

Builder = Callable[[ModelConfig, int, torch.Generator | None], Backbone]
"""Settings, image size in pixels and a generator of initial weights to a backbone on the CPU."""


def resolve_backbone(name: str) -> Builder:
    """The builder of a backbone by name: a built-in one, `timm`, `my_package.nets:build`, or an entry point (`s2m2.models.custom`).

    Raises:
        InputError: no such backbone.
    """
    if name == "timm":
        return timm_backbone  # with its own initial weights, as custom ones
    if name in BUILDERS:
        return _build_own
    load_network(name)
    return lambda config, image_size, generator: custom_backbone(name, image_size, generator)


def build_backbone(config: ModelConfig, image_size: int, generator: torch.Generator | None = None) -> Backbone:
    """The backbone of a recipe, on the CPU.

    Args:
        config: architecture, width and dropout.
        image_size: size of the images, in pixels.
        generator: source of the initial weights (CPU). Without one they come from a fixed stream, and the pretrained weights of a timm
            model are not loaded, for callers that load others.

    Raises:
        InputError: the backbone cannot be built, or its weights do not fit.
    """
    return resolve_backbone(config.backbone)(config, image_size, generator)


def _build_own(config: ModelConfig, image_size: int, generator: torch.Generator | None) -> Backbone:
    # Built without memory, as constructors sample from the global generator, and then given storage and weights.
    with torch.device("meta"):
        backbone = BUILDERS[config.backbone](config, image_size)
    backbone.to_empty(device="cpu")
    initialize(backbone, generator or generator_for(0, "backbone"))
    return backbone
