"""The settings of the images that a recipe leaves open: from the weights that a run starts with, else from the dataset."""

from dataclasses import replace

from s2m2.data.dataset import ImageDataset
from s2m2.data.standard_datasets import resolve_size
from s2m2.models.timm import WeightsPreprocessing, preprocessing_of_weights
from s2m2.recipe import DataConfig, Recipe


def resolve_images(recipe: Recipe, dataset: ImageDataset) -> tuple[Recipe, str]:
    """The recipe with numbers for everything that shapes what the network sees, and a line on what came from timm's weights.

    Stated numbers stay. Weights of timm bring those that they were trained with; their size, only where the images are stored as large.

    Args:
        dataset: the images of the base classes.

    Returns:
        The line is empty where nothing came from weights.

    Raises:
        InputError: timm or the model is missing, or the stored images are too small (`resolve_size`).
    """
    weights = preprocessing_of_weights(recipe.model)
    data = _of_weights(recipe.data, weights, min(dataset.images.shape[1:3])) if weights is not None else recipe.data
    note = _note(recipe, data) if weights is not None else ""
    data = resolve_size(data, dataset)
    mean, std = data.normalization
    return replace(recipe, data=replace(data, mean=mean, std=std)), note


def _of_weights(data: DataConfig, weights: WeightsPreprocessing, stored: int) -> DataConfig:
    """Settings with those of the weights in place of null."""
    return replace(
        data,
        mean=data.mean or weights.mean,
        std=data.std or weights.std,
        image_size=data.image_size or (weights.image_size if weights.image_size <= stored else None),
        resize_ratio=data.resize_ratio or weights.resize_ratio,
    )


def _note(recipe: Recipe, data: DataConfig) -> str:
    """What the weights decided."""
    parts = []
    for name in ("mean", "std", "image_size", "resize_ratio"):
        value = getattr(data, name)
        if getattr(recipe.data, name) is None and value is not None:
            numbers = " ".join(f"{one:.4g}" for one in (value if isinstance(value, tuple) else (value,)))
            parts.append(f"--data.{name} {numbers}")
    return f"as the weights of {recipe.model.timm} were trained: {', '.join(parts)}" if parts else ""
