"""Checks of a training stage before its start: batches that devices can share, images that can be mixed."""

from s2m2.data.batches import split_base, steps_per_epoch
from s2m2.data.dataset import ImageDataset
from s2m2.errors import InputError
from s2m2.models import build_backbone
from s2m2.recipe import FinetuneConfig, PretrainConfig, Recipe
from s2m2.training.batch_norm import check_shareable
from s2m2.training.objectives import check_mix_stages


def check_stage(recipe: Recipe, config: PretrainConfig | FinetuneConfig, dataset: ImageDataset) -> None:
    """Raise `InputError` if the batches of a stage cannot be made, shared or mixed.

    Args:
        dataset: the images of the base classes.
    """
    at, processes = config.stage, recipe.runtime.devices * recipe.runtime.nodes
    steps_per_epoch(len(split_base(dataset, recipe.data, recipe.seed).indices), config.batch_size)
    if config.batch_size % processes:
        raise InputError(f"--{at}.batch_size is {config.batch_size}, which {processes} devices cannot share equally")
    per_device = config.batch_size // processes
    if config.mix.num_images > max(per_device, 2):
        raise InputError(f"--{at}.mix.num_images is {config.mix.num_images}, but a step has {per_device} images on each device")
    if isinstance(config, FinetuneConfig):
        _check_auxiliary(recipe, config, per_device, processes)
    backbone = build_backbone(recipe.model, recipe.data.size)
    check_mix_stages(f"{at}.mix", config.mix, backbone)
    if processes > 1:
        check_shareable(backbone)


def _check_auxiliary(recipe: Recipe, config: FinetuneConfig, per_device: int, processes: int) -> None:
    """Raise `InputError` if the losses of stage 1 cannot be computed on a part of each batch."""
    stride = config.auxiliary_stride
    if processes > 1 and per_device % stride:
        raise InputError(f"--finetune.auxiliary_stride is {stride}, which does not divide the {per_device} images of a step on each device")
    if recipe.pretrain.objective == "exemplar" and config.batch_size <= stride:
        raise InputError(f"--finetune.batch_size is {config.batch_size} and every {stride}th image is compared; exemplar needs two")
