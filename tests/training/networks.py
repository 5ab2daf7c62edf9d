"""Tiny networks, batches and steps for tests of training."""

from collections.abc import Callable

import torch
from lightning_fabric import Fabric
from torch import Tensor

from s2m2.data.dataset import ImageDataset, LabeledImages
from s2m2.models import Backbone, build_backbone
from s2m2.random import StepStream, generator_for
from s2m2.recipe import DataConfig, FinetuneConfig, ModelConfig, PretrainConfig, Recipe, TrainingConfig
from s2m2.recipe.training import ObjectiveName
from s2m2.training.objectives import finetune_objective, pretrain_objective
from s2m2.training.step import Mark, StageSettings, TrainingStep, prepare
from tests.models.tiny import tiny_backbone

BATCH, CLASSES = 16, 5


def tiny_recipe(objective: ObjectiveName = "rotation", width: int = 4) -> Recipe:
    """Both stages on images of 28 pixels, 32 a step."""
    return Recipe(
        data=DataConfig(image_size=28, resize_ratio=1.15),
        model=ModelConfig(backbone="conv4", width=width),
        pretrain=PretrainConfig(batch_size=32, objective=objective),
        finetune=FinetuneConfig(batch_size=32),
    )


def step_maker(dataset: ImageDataset, recipe: Recipe, config: TrainingConfig, accelerator: str = "cpu") -> Callable[[Mark], TrainingStep]:
    """Makes the steps of one stage of a recipe; all that it makes share their weights."""
    backbone = build_backbone(recipe.model, 28, generator_for(0, "backbone"))
    objective = pretrain_objective(recipe, backbone.feature_dim, len(dataset.splits["base"]))
    if config.stage == "finetune":
        objective = finetune_objective(recipe, objective)
    indices, settings = torch.from_numpy(dataset.indices("base")), StageSettings.of(recipe, config)
    labels, proportions = torch.from_numpy(dataset.labels)[indices], dataset.proportion_tensor()
    images = LabeledImages(images=dataset.image_tensor(), indices=indices, labels=labels, proportions=proportions)
    fabric = Fabric(accelerator=accelerator, devices=1)
    return lambda mark: TrainingStep(fabric, prepare(fabric, backbone, objective, settings), images, settings, mark)


def batch(views: int = 1) -> tuple[Tensor, Tensor]:
    """Views "view batch 3 size size" and labels of a batch of random images."""
    generator = generator_for(0, "batch")
    return torch.randn(views, BATCH, 3, 32, 32, generator=generator), torch.randint(CLASSES, (BATCH,), generator=generator)


def stream(step: int = 0, rank: int = 0, world_size: int = 1) -> StepStream:
    """The randomness of one step over that batch."""
    return StepStream(seed=0, stage="test", step=step, batch_size=BATCH, rank=rank, world_size=world_size)


def network() -> Backbone:
    """A small backbone in evaluation mode, where batch statistics do not tie images together."""
    backbone = tiny_backbone("conv4", image_size=32)
    return backbone.eval()
