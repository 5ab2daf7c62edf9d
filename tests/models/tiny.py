"""Backbones small enough for tests that run them."""

from s2m2.models import Backbone, build_backbone
from s2m2.random import generator_for
from s2m2.recipe import ModelConfig


def tiny_backbone(name: str, image_size: int = 28, seed: int = 0, dropout: float = 0.0) -> Backbone:
    """A backbone of four channels."""
    return build_backbone(ModelConfig(backbone=name, width=4, dropout=dropout), image_size, generator_for(seed, "backbone"))
