"""The trained backbone of a run, of an imported run or of an export, ready to be given images."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from s2m2.data.augment import evaluation_view
from s2m2.errors import InputError
from s2m2.evaluation.features import extract_features, fingerprint_of
from s2m2.models import Backbone, build_backbone
from s2m2.recipe import DataConfig, Recipe, read_recipe
from s2m2.runs.checkpoint import load_best, load_outcome
from s2m2.runs.directory import RunDirectory

STAGES = ("pretrain", "finetune")
"""Training stages in their order."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedBackbone:
    """A network with trained weights, and how it sees images.

    `network` is an ordinary module from normalized images, float32 "image 3 size size", to features, "image dim"; it may be moved to
    another device. `view` makes its images of stored ones, and `features` does both.
    """

    network: Backbone
    """In evaluation mode; of `network.feature_dim` features."""
    recipe: Recipe
    """What lies in the folder as `recipe.yaml`."""
    stage: str
    """Training stage that the weights are the best of: `pretrain` or `finetune`."""

    @property
    def data(self) -> DataConfig:
        """How it sees images: `image_size` in pixels, `resize_ratio` before the center crop, `mean` and `std` of red, green and blue."""
        return self.recipe.data

    def view(self, images: UInt8[Tensor, "image height width 3"]) -> Float[Tensor, "image 3 size size"]:
        """What the network sees of RGB images of any one size: resized, the center cropped, normalized."""
        return evaluation_view(images, self.data)

    def features(self, images: UInt8[Tensor, "image height width 3"], batch_size: int = 256) -> Float32[Tensor, "image dim"]:
        """Features of RGB images of any one size, on the CPU, as `s2m2 evaluate` makes them; computed where the network is.

        Raises:
            InputError: a feature is not finite.
        """
        device = next(self.network.parameters()).device
        view = partial(evaluation_view, config=self.data)
        return extract_features(self.network, images, torch.arange(len(images)), view, batch_size=batch_size, device=device)

    def fingerprint_on(self, digest: str, split: str) -> str:
        """The fingerprint that results of these weights state for a split of the dataset of a digest."""
        return fingerprint_of(self.network.state_dict(), digest, split, seen_as(self.data))


def load_backbone(folder: Path | str, stage: str | None = None) -> TrainedBackbone:
    """The backbone of a run directory, an import or an export, on the CPU and in evaluation mode.

    Args:
        folder: what `s2m2 evaluate --run` takes.
        stage: `pretrain` or `finetune`; None: the last one that is finished.

    Raises:
        InputError: the folder is no run, the stage is not finished, or its weights are damaged.
    """
    run = RunDirectory(Path(folder))
    if not run.recipe.is_file():
        raise InputError(f"{folder} is no run directory: it has no {run.recipe.name}")
    finished = [name for name in STAGES if load_outcome(run.outcome(name)) is not None]
    if not finished or stage not in (None, *finished):
        raise InputError(f"{folder} has not finished {f'the stage {stage}' if stage else 'any training stage'}")
    recipe = read_recipe(run.recipe)
    if recipe.data.image_size is None or recipe.data.resize_ratio is None:
        raise InputError(f"{run.recipe} does not state data.image_size and data.resize_ratio, so its run has not begun")
    chosen = stage or finished[-1]
    return TrainedBackbone(network=trained_backbone(recipe, run, chosen).eval(), recipe=recipe, stage=chosen)


def trained_backbone(recipe: Recipe, run: RunDirectory, stage: str) -> Backbone:
    """The network of a run with the best weights of a stage, on the CPU.

    Raises:
        InputError: the weights are missing or damaged.
    """
    backbone = build_backbone(recipe.model, recipe.data.size)
    load_best(run.best(stage), backbone)
    return backbone


def seen_as(data: DataConfig) -> str:
    """What tells one way to see images at evaluation from another."""
    return repr((data.image_size, data.resize_ratio, data.mean, data.std))
