"""What is measured of the representation in each layer: how entangled its classes are, and how flat."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from s2m2.analysis.layers import layer_name, map_layers
from s2m2.functional.soft_nearest_neighbors import LeastLoss, alone, least_soft_nearest_neighbor_loss, soft_nearest_neighbor_loss
from s2m2.functional.spectrum import class_spectrum
from s2m2.models.backbone import Backbone

SHOWN_DIRECTIONS = 64
"""Directions of a spectrum that are kept."""


@dataclass(frozen=True, kw_only=True)
class LayerMeasures:
    """One layer."""

    layer: int
    """0: the input; s: the output of stage s. It is the number of the stage to mix at."""
    name: str
    dim: int
    """Numbers an image."""
    entanglement: float
    """Soft nearest neighbor loss, in nats: 0 where every class keeps to itself."""
    temperature: float
    """At which it was measured, in units of the squared distance."""
    effective_rank: float
    """exp of the entropy of the shares of variance in a class, mean over classes."""
    largest_share: float
    """Share of a class's variance in its first principal direction."""
    directions: float
    """Directions that hold 95% of a class's variance."""
    within: float
    """Variance within classes as a share of all variance."""
    shares: tuple[float, ...]
    """Shares of variance, the largest first; the first 64."""
    flat_classes: int
    """Classes without any variance, which the spectrum leaves out."""


@dataclass(frozen=True, kw_only=True)
class Representation:
    """All layers, on the same images."""

    images: int
    classes: int
    left_out: int
    """Images without another of their class among them, which have no entanglement."""
    chance: float
    """Soft nearest neighbor loss of a representation that says nothing, in nats: the limit of a high temperature."""
    layers: tuple[LayerMeasures, ...]


def measure_representation(
    backbone: Backbone,
    images: UInt8[Tensor, "image height width 3"],
    rows: Int64[Tensor, " row"],
    labels: Int64[Tensor, " row"],
    view: Callable[[Tensor], Tensor],
    *,
    temperature: float | None = None,
    batch_size: int,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Representation:
    """Entanglement and flatness of every layer of a network, on the images `rows`; see `map_layers` for the memory it takes.

    Args:
        labels: class of each of the images.
        temperature: of the soft nearest neighbor loss; None: the one that makes it least, in each layer.

    Raises:
        InputError: the network gives values that are not finite.
        ValueError: no two images are of one class.
    """
    known = labels.to(device)

    def measure(layer: int, values: Float[Tensor, "row dim"]) -> LayerMeasures:
        return measure_layer(layer, values, known, temperature)

    layers = map_layers(backbone, images, rows, view, measure, batch_size=batch_size, device=device, progress=progress)
    return Representation(
        images=len(rows),
        classes=len(labels.unique()),
        left_out=int(alone(labels).sum()),
        chance=chance_entanglement(labels),
        layers=tuple(layers),
    )


def measure_layer(
    layer: int, values: Float[Tensor, "row dim"], labels: Int64[Tensor, " row"], temperature: float | None = None
) -> LayerMeasures:
    """The measures of one layer from its values."""
    if temperature is None:
        found = least_soft_nearest_neighbor_loss(values, labels)
    else:
        found = LeastLoss(loss=float(soft_nearest_neighbor_loss(values, labels, temperature)), temperature=temperature)
    spectrum = class_spectrum(values, labels)
    return LayerMeasures(
        layer=layer,
        name=layer_name(layer),
        dim=values.shape[1],
        entanglement=found.loss,
        temperature=found.temperature,
        effective_rank=spectrum.effective_rank,
        largest_share=spectrum.largest_share,
        directions=spectrum.directions,
        within=spectrum.within,
        shares=tuple(spectrum.shares[:SHOWN_DIRECTIONS].tolist()),
        flat_classes=spectrum.left_out,
    )


def chance_entanglement(labels: Int64[Tensor, " row"]) -> float:
    """The mean of log((items - 1) / (others of the class)), over items that have others of their class."""
    _, counts = labels.unique(return_counts=True)
    several = counts[counts >= 2].tolist()
    return sum(count * math.log((len(labels) - 1) / (count - 1)) for count in several) / sum(several)
