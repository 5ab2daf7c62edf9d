"""The objective of each stage from its settings."""

from collections.abc import Callable

from torch import nn

from s2m2.errors import InputError
from s2m2.functional.rotation import ROTATIONS
from s2m2.models.backbone import Backbone
from s2m2.models.heads import CosineHead, LinearHead
from s2m2.recipe import ModelConfig, Recipe
from s2m2.recipe.mixing import MixConfig
from s2m2.recipe.training import ObjectiveName
from s2m2.training.exemplar import Exemplar
from s2m2.training.finetuning import MixedFinetuning
from s2m2.training.mixup import Mixup
from s2m2.training.objective import Gather
from s2m2.training.rotation import Rotation
from s2m2.training.supervised import Supervised

Pretraining = Supervised | Rotation | Exemplar | Mixup


def class_head(config: ModelConfig, feature_dim: int, classes: int) -> nn.Module:
    """The classifier over base classes."""
    return CosineHead(feature_dim, classes, config.scale) if config.head == "cosine" else LinearHead(feature_dim, classes)


def pretrain_objective(recipe: Recipe, feature_dim: int, classes: int, gather: Gather | None = None) -> Pretraining:
    """The objective of stage 1.

    Args:
        gather: joins features over processes, where there are several.
    """
    head = class_head(recipe.model, feature_dim, classes)
    builders: dict[ObjectiveName, Callable[[], Pretraining]] = {
        "supervised": lambda: Supervised(head, recipe.pretrain),
        "rotation": lambda: Rotation(head, LinearHead(feature_dim, ROTATIONS), recipe.pretrain),
        "mixup": lambda: Mixup(head, recipe.pretrain.mix),
        "exemplar": lambda: Exemplar(head, recipe.pretrain, gather),
    }
    return builders[recipe.pretrain.objective]()


def finetune_objective(recipe: Recipe, objective: Pretraining) -> MixedFinetuning:
    """The objective of stage 2, with that of stage 1 and its heads beside the mixed images."""
    beside = Supervised(objective.class_head, recipe.pretrain) if isinstance(objective, Mixup) else objective
    return MixedFinetuning(beside, recipe.finetune)


def check_mix_stages(at: str, config: MixConfig, backbone: Backbone) -> None:
    """Raise `InputError` if images shall be mixed at a stage that the backbone does not have; the settings' place is `at`."""
    beyond = [stage for stage in config.stages or () if stage > len(backbone.stages)]
    if beyond:
        raise InputError(f"--{at}.stages has {beyond[0]}, but the backbone has stages 0 to {len(backbone.stages)}")
