"""A network layer by layer: the representation of the same images in each, and the entanglement and flatness of its classes."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from s2m2.analysis.geometry import (
    MinLoss,
    class_spectrum,
    min_soft_nearest_neighbor_loss,
    singletons,
    soft_nearest_neighbor_loss,
)
from s2m2.data.batches import fetch
from s2m2.errors import InputError
from s2m2.models.backbone import Backbone
from s2m2.models.layers import evaluation_mode

MAX_DIRECTIONS = 64
"""Directions of a spectrum that are kept."""
Measured = TypeVar("Measured")


@dataclass(frozen=True, kw_only=True)
class LayerMeasures:
    """One layer."""

    layer: int
    """0: the input; s: the output of stage s. It is the number of the stage to mix at."""
    name: str
    dim: int
    """Values per image."""
    entanglement: float
    """Soft nearest neighbor loss, in nats; 0: the neighbors of every image are of its own class."""
    temperature: float
    """Of that loss, in units of the squared distance."""
    effective_rank: float
    """exp of the entropy of the fractions of variance in a class, mean over classes."""
    largest_fraction: float
    """Fraction of a class's variance in its first principal direction."""
    directions: float
    """Directions that hold 95% of a class's variance."""
    within: float
    """Variance within classes as a fraction of the total variance."""
    fractions: tuple[float, ...]
    """Fractions of variance by direction, largest first; at most 64."""
    flat_classes: int
    """Classes without variance, left out of the spectrum."""


@dataclass(frozen=True, kw_only=True)
class Representation:
    """All layers, on the same images."""

    images: int
    classes: int
    left_out: int
    """Images without another of their class, which have no entanglement."""
    chance: float
    """Soft nearest neighbor loss of an uninformative representation, in nats: the limit at high temperature."""
    layers: tuple[LayerMeasures, ...]


def measure_representation(
    backbone: Backbone,
    images: UInt8[Tensor, "image height width 3"],
    indices: Int64[Tensor, " index"],
    labels: Int64[Tensor, " index"],
    view: Callable[[Tensor], Tensor],
    *,
    temperature: float | None = None,
    batch_size: int,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Representation:
    """Entanglement and flatness of every layer of a network on the images `indices`; memory as in `map_layers`.

    Args:
        labels: class of each of these images.
        temperature: of the soft nearest neighbor loss; None: the minimizing one of each layer.

    Raises:
        InputError: the network gives values that are not finite.
        ValueError: no two images are of one class.
    """
    device_labels = labels.to(device)

    def measure(layer: int, values: Float[Tensor, "index dim"]) -> LayerMeasures:
        return measure_layer(layer, values, device_labels, temperature)

    layers = map_layers(backbone, images, indices, view, measure, batch_size=batch_size, device=device, progress=progress)
    return Representation(
        images=len(indices),
        classes=len(labels.unique()),
        left_out=int(singletons(labels).sum()),
        chance=chance_entanglement(labels),
        layers=tuple(layers),
    )


def measure_layer(
    layer: int, values: Float[Tensor, "index dim"], labels: Int64[Tensor, " index"], temperature: float | None = None
) -> LayerMeasures:
    """The measures of one layer from its values."""
    if temperature is None:
        entanglement = min_soft_nearest_neighbor_loss(values, labels)
    else:
        entanglement = MinLoss(loss=float(soft_nearest_neighbor_loss(values, labels, temperature)), temperature=temperature)
    spectrum = class_spectrum(values, labels)
    return LayerMeasures(
        layer=layer,
        name=layer_name(layer),
        dim=values.shape[1],
        entanglement=entanglement.loss,
        temperature=entanglement.temperature,
        effective_rank=spectrum.effective_rank,
        largest_fraction=spectrum.largest_fraction,
        directions=spectrum.directions,
        within=spectrum.within,
        fractions=tuple(spectrum.fractions[:MAX_DIRECTIONS].tolist()),
        flat_classes=spectrum.left_out,
    )


def chance_entanglement(labels: Int64[Tensor, " index"]) -> float:
    """The mean of log((items - 1) / (others of the class)) over items with others of their class."""
    _, counts = labels.unique(return_counts=True)
    sizes = counts[counts >= 2].tolist()
    return sum(size * math.log((len(labels) - 1) / (size - 1)) for size in sizes) / sum(sizes)


@torch.inference_mode()
def map_layers(
    backbone: Backbone,
    images: UInt8[Tensor, "image height width 3"],
    indices: Int64[Tensor, " index"],
    view: Callable[[Tensor], Tensor],
    measure: Callable[[int, Tensor], Measured],
    *,
    batch_size: int,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> list[Measured]:
    """A measure of each layer of a network in evaluation mode, from the input on.

    Layer 0 is the network's input, layer s the output of stage s, and the last one the features: where `Mix(stage=layer)` mixes. Each
    layer is computed from the one before, so that an image passes each stage once. Memory: the values of all images in two layers, on
    the device; 163,840 values per image in the largest layer of WRN-28-10.

    Args:
        backbone: on `device`; every module gets its own mode, training or evaluation, back.
        images: may be a memory map.
        view: stored images "batch height width 3" to the network's input.
        measure: called with the number of the layer and its values, flattened to "index dim".
        progress: called with the number of images of each batch and stage: the images times the layers in all.

    Raises:
        InputError: a value is not finite.
    """
    batches = torch.arange(len(indices)).split(batch_size)
    report = progress if progress is not None else lambda _: None
    stages: list[Callable[[Tensor], Tensor]] = [
        lambda batch: view(fetch(images, indices[batch.cpu()], torch.device(device))),
        *backbone.stages,
    ]
    measured = []
    with evaluation_mode(backbone):
        values = torch.arange(len(indices))
        for layer, stage in enumerate(stages):
            values = _apply(stage, values, batches, report)
            if not bool(values.isfinite().all()):
                raise InputError("the network gives values that are not finite; its weights are unusable")
            measured.append(measure(layer, values.flatten(1).float()))
    return measured


def layer_name(layer: int) -> str:
    """A layer in words."""
    return f"stage {layer}" if layer else "input"


def _apply(stage: Callable[[Tensor], Tensor], values: Tensor, batches: Sequence[Tensor], progress: Callable[[int], None]) -> Tensor:
    """The output of a stage, batch by batch, without a second copy of it."""
    output: Tensor | None = None
    for batch in batches:
        part = stage(values[batch[0] : batch[-1] + 1])
        if output is None:
            output = part.new_empty(len(values), *part.shape[1:])
        output[batch[0] : batch[-1] + 1] = part
        progress(len(batch))
    assert output is not None
    return output
