"""A network layer by layer: the values of the same images before its first stage and after each."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from s2m2.errors import InputError
from s2m2.models.backbone import Backbone
from s2m2.models.modes import evaluation_mode

Measured = TypeVar("Measured")


@torch.inference_mode()
def map_layers(
    backbone: Backbone,
    images: UInt8[Tensor, "image height width 3"],
    rows: Int64[Tensor, " row"],
    view: Callable[[Tensor], Tensor],
    measure: Callable[[int, Tensor], Measured],
    *,
    batch_size: int,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> list[Measured]:
    """What a measure finds in each layer of a network, in evaluation mode, from the input on.

    Layer 0 is the images as the network sees them, layer s the output of stage s, and the last one the features: the places where
    `Mix(stage=layer)` mixes. A layer is computed from the one before, so that an image passes each stage once. Memory: the values of
    all images in two layers, on the device; 163,840 numbers an image in the largest layer of WRN-28-10.

    Args:
        backbone: on `device`; every module gets its own mode, training or evaluation, back.
        images: may be a memory map.
        view: stored images "batch height width 3" to what the network sees.
        measure: is given the number of the layer and its values, flattened to "row dim".
        progress: told the number of images of each batch when it has passed a stage, so the images times the layers in all.

    Raises:
        InputError: a value is not finite.
    """
    parts = torch.arange(len(rows)).split(batch_size)
    told = progress if progress is not None else lambda _: None
    steps: list[Callable[[Tensor], Tensor]] = [lambda places: view(images[rows[places.cpu()]].to(device)), *backbone.stages]
    found = []
    with evaluation_mode(backbone):
        values = torch.arange(len(rows))
        for layer, step in enumerate(steps):
            values = _in_parts(step, values, parts, told)
            _check_finite(values)
            found.append(measure(layer, values.flatten(1).float()))
    return found


def layer_name(layer: int) -> str:
    """A layer as a reader calls it."""
    return f"stage {layer}" if layer else "input"


def _in_parts(step: Callable[[Tensor], Tensor], values: Tensor, parts: Sequence[Tensor], progress: Callable[[int], None]) -> Tensor:
    """What a step makes of values, part by part, without a second copy of the result."""
    after: Tensor | None = None
    for part in parts:
        chunk = step(values[part[0] : part[-1] + 1])
        if after is None:
            after = chunk.new_empty(len(values), *chunk.shape[1:])
        after[part[0] : part[-1] + 1] = chunk
        progress(len(part))
    assert after is not None
    return after


def _check_finite(values: Tensor) -> None:
    if not bool(values.isfinite().all()):
        raise InputError("the network gives values that are not finite; its weights are of no use")
