"""Backbones small enough for tests that run them."""

from s2m2.models import Backbone, build_backbone
from s2m2.recipe import ModelConfig
from s2m2.recipe.model import BackboneName
from s2m2.seeding import generator_for


def tiny_backbone(name: BackboneName, image_size: int = 28, seed: int = 0, dropout: float = 0.0) -> Backbone:
    """A backbone of four channels."""
    return build_backbone(ModelConfig(backbone=name, width=4, dropout=dropout), image_size, generator_for(seed, "backbone"))
