"""`load`: the trained backbone of a run directory or an export, and its features of images of any kind."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from PIL import Image
from torch import Tensor, nn

from s2m2.arguments import described, device_argument, whole_number
from s2m2.data.augment import evaluation_view
from s2m2.data.catalog import load_dataset
from s2m2.data.inputs import read_image, split_images
from s2m2.errors import InputError
from s2m2.io import parse_json
from s2m2.models import Backbone, build_backbone
from s2m2.models.layers import evaluation_mode
from s2m2.recipe import DataConfig, Recipe, read_recipe
from s2m2.runs.checkpoint import fingerprint_of, load_best, load_outcome, read_tensors
from s2m2.runs.directory import STAGES, RunDirectory
from s2m2.runs.named_weights import meant, trained_folder
from s2m2.runs.trained_images import trained_digest

AnyImages = str | Path | Image.Image | np.ndarray | Tensor | Iterable[Any]
"""One image or several; see `LoadedBackbone.features`."""


class LoadedBackbone(nn.Module):
    """A trained backbone with its preprocessing.

    As a module it maps normalized images "image 3 size size" to features "image dim"; `features` takes images of any kind.

    Attributes:
        backbone: the network, a list of stages.
        recipe: the recipe of its run.
        stage: training stage of the weights, `pretrain` or `finetune`.
    """

    def __init__(self, backbone: Backbone, recipe: Recipe, stage: str, run: RunDirectory) -> None:
        super().__init__()
        self.backbone = backbone
        self.recipe, self.stage, self.run = recipe, stage, run
        self.eval()

    @property
    def feature_dim(self) -> int:
        """Numbers per image."""
        return self.backbone.feature_dim

    @property
    def image_size(self) -> int:
        """Edge of the square that the network sees, in pixels."""
        return self.recipe.data.size

    @cached_property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the base classes, in the order of the classifier's outputs; None where the images of the run are not available."""
        stated = read_tensors(self.run.best(self.stage))[1].get("classes")
        if stated is not None:
            return tuple(parse_json(stated))
        data, digest = self.recipe.data, trained_digest(self.run)
        if data.download is not None or self.run.imported.is_file():
            return None
        try:
            dataset = load_dataset(data.path)
        except InputError:
            return None
        return tuple(dataset.class_names[number] for number in dataset.splits["base"]) if digest in (None, dataset.digest) else None

    def fingerprint_on(self, digest: str, split: str) -> str:
        """The fingerprint that results of these weights state for a split of the dataset with a digest."""
        return fingerprint_of(self.backbone.state_dict(), digest, split, evaluation_key(self.recipe.data))

    def forward(self, images: Float[Tensor, "image 3 size size"]) -> Float[Tensor, "image dim"]:
        """Features of normalized images.

        Raises:
            InputError: they are no such tensor; `features` takes images of other kinds.
        """
        if not isinstance(images, Tensor) or images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            given = f"{images.dtype} of shape {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
            raise InputError(f'images is {given}, but must be normalized, a tensor "image 3 size size"; features(images) takes others')
        return self.backbone(images)

    def features(self, images: AnyImages, batch_size: int = 256, device: torch.device | str | None = None) -> Any:
        """Features of images, float32 "image dim", as `s2m2 evaluate` computes them. Equal images give equal features in any form.

        Every image is resized to `recipe.data.resized_size` pixels squared (an image that is not square is squeezed, as `s2m2 prepare`
        does), its center of `image_size` is cropped, and its channels are normalized.

        Args:
            images: one image or several of any sizes. uint8, or floats from 0 to 1 (rounded to 256 levels); NumPy or torch; channels
                last or first, where an ambiguous 3 x W x 3 counts as last in NumPy and as first in torch; a path, a Pillow image, or
                a list of any of these.
            batch_size: images in one pass of the network.
            device: where to compute; the module is moved there. None: where it is.

        Returns:
            A tensor on the device of the images where tensors came in, else a NumPy array; one image gives one row.

        Raises:
            InputError: an image cannot be used (it is named), or features are not finite.
        """
        batch_size = whole_number("batch_size", batch_size, 1)
        if device is not None:
            self.to(device_argument("device", device))
        images = list(images) if isinstance(images, Iterator) else images
        example = next(iter(images), None) if isinstance(images, list | tuple) else images
        singles = split_images(images)
        features = np.empty((len(singles), self.feature_dim), dtype=np.float32)
        with evaluation_mode(self), torch.no_grad():
            for start in range(0, len(singles), batch_size):
                names = [f"images[{start + offset}]" if len(singles) > 1 else "images" for offset in range(batch_size)]
                pixels = [read_image(image, name) for image, name in zip(singles[start : start + batch_size], names, strict=False)]
                features[start : start + batch_size] = self.backbone(self.prepare(pixels)).float().cpu().numpy()
        if not np.isfinite(features).all():
            raise InputError("the network gives features that are not finite; its weights are of no use")
        return torch.from_numpy(features).to(example.device) if isinstance(example, Tensor) else features

    def prepare(self, images: list[UInt8[np.ndarray, "_ _ 3"]]) -> Float32[Tensor, "image 3 size size"]:
        """Normalized images for `forward`, on the device of the network, from RGB images of any sizes."""
        device = next(self.parameters()).device
        prepared = torch.empty(len(images), 3, self.image_size, self.image_size, device=device)
        for shape in dict.fromkeys(image.shape for image in images):
            indices = [index for index, image in enumerate(images) if image.shape == shape]
            batch = torch.from_numpy(np.stack([images[index] for index in indices])).to(device)
            prepared[indices] = evaluation_view(batch, self.recipe.data)
        return prepared


def load(source: Path | str, *, stage: str | None = None) -> LoadedBackbone:
    """The trained backbone of a run directory, an export or named weights, on the CPU and in evaluation mode.

    Args:
        source: directory of a run, an imported run, or a folder written by `s2m2 export`; or, as text, a name of weights in the
            repository, such as "cifar_fs_resnet12". `./NAME`, and a `Path`, is always a folder.
        stage: `pretrain` or `finetune`; None: the last finished one.

    Raises:
        InputError: there is no such run or name, the stage is not finished, or its weights are damaged or are not those of the name.
    """
    run = RunDirectory(trained_folder(source))
    recipe, stage = read_finished(run, stage)
    return LoadedBackbone(read_backbone(recipe, run, stage), recipe, stage, run)


def read_finished(run: RunDirectory, stage: str | None = None) -> tuple[Recipe, str]:
    """The recipe of a trained run and its stage: the named one, or the last finished one.

    Raises:
        InputError: the directory is no run, or the stage is not finished.
    """
    if stage not in (None, *STAGES):
        raise InputError(f"stage is {described(stage)}, but must be {' or '.join(STAGES)}")
    if not run.path.exists():
        raise InputError(f"there is no run directory or export {run.path}{meant(run.path)}")
    if not run.recipe.is_file():
        raise InputError(f"{run.path} is no run directory: it has no {run.recipe.name}")
    finished = [name for name in STAGES if load_outcome(run.outcome(name)) is not None]
    if not finished or stage not in (None, *finished):
        raise InputError(f"{run.path} has not finished {f'the stage {stage}' if stage else 'any training stage'}")
    recipe = read_recipe(run.recipe)
    if recipe.data.image_size is None or recipe.data.resize_ratio is None:
        raise InputError(f"{run.recipe} does not state data.image_size and data.resize_ratio, so its run has not begun")
    return recipe, stage or finished[-1]


def read_backbone(recipe: Recipe, run: RunDirectory, stage: str) -> Backbone:
    """The network of a run with the best weights of a stage, on the CPU.

    Raises:
        InputError: the weights are missing or damaged.
    """
    backbone = build_backbone(recipe.model, recipe.data.size)
    load_best(run.best(stage), backbone)
    return backbone


def evaluation_key(data: DataConfig) -> str:
    """Identifies the preprocessing of evaluation, for fingerprints of features."""
    return repr((data.image_size, data.resize_ratio, *data.normalization))
