"""The objective of each stage from its settings."""

from collections.abc import Callable

from torch import nn

from s2m2.errors import InputError
from s2m2.functional.rotation import TURNS
from s2m2.models.backbone import Backbone
from s2m2.models.heads import CosineHead, LinearHead
from s2m2.recipe import ModelConfig, Recipe
from s2m2.recipe.training import ObjectiveName
from s2m2.training.exemplar import Exemplar
from s2m2.training.manifold_mixup import Inner
from s2m2.training.objective import Gather
from s2m2.training.rotation import Rotation
from s2m2.training.supervised import Supervised


def class_head(config: ModelConfig, feature_dim: int, classes: int) -> nn.Module:
    """The classifier over base classes."""
    return CosineHead(feature_dim, classes, config.scale) if config.head == "cosine" else LinearHead(feature_dim, classes)


def pretrain_objective(recipe: Recipe, feature_dim: int, classes: int, gather: Gather | None = None) -> Inner:
    """The objective of stage 1.

    Args:
        gather: joins features over processes, where there are several.
    """
    head = class_head(recipe.model, feature_dim, classes)
    builders: dict[ObjectiveName, Callable[[], Inner]] = {
        "supervised": lambda: Supervised(head),
        "rotation": lambda: Rotation(head, LinearHead(feature_dim, TURNS), recipe.pretrain),
        "exemplar": lambda: Exemplar(head, recipe.pretrain, gather),
    }
    return builders[recipe.pretrain.objective]()


def check_mix_stages(recipe: Recipe, backbone: Backbone) -> None:
    """Raise `InputError` if stage 2 shall mix at a stage that the backbone does not have."""
    beyond = [stage for stage in recipe.finetune.mix_stages or () if stage > len(backbone.stages)]
    if beyond:
        raise InputError(f"--finetune.mix_stages has {beyond[0]}, but {recipe.model.backbone} has stages 0 to {len(backbone.stages)}")
