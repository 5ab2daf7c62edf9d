"""One's own network as a backbone, by name: `my_package.nets:build`, or an entry point of the group `s2m2.backbones`.

The object is a function or class that returns any `nn.Module` from normalized images "batch 3 size size" to features "batch dim". It
is called without arguments, or with `image_size` (pixels) if it has a parameter of that name. To publish it under a short name:

    [project.entry-points."s2m2.backbones"]
    my_net = "my_package.nets:build"

A network with an attribute `stages`, a sequence of modules that give its features one after the other, is mixed before each of them
in manifold mixup. Any other is one stage: its images and its features can be mixed. Its initial weights are its own, seeded by the run.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from s2m2.errors import InputError
from s2m2.models.backbone import Backbone, features_of_blank
from s2m2.models.layers import evaluation_mode
from s2m2.random import generator_for
from s2m2.recipe.parts import BACKBONE_GROUP, entry_point_paths, load_object


def load_network(name: str) -> Callable[..., Any]:
    """The function or class of a custom backbone.

    Raises:
        InputError: no such entry point, module or object.
    """
    path = name if ":" in name else entry_point_paths(BACKBONE_GROUP).get(name)
    if path is None:
        raise InputError(f"--model.backbone {name} is no backbone of s2m2, and no package has it as an entry point of {BACKBONE_GROUP}")
    try:
        loaded = load_object(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"--model.backbone {name} cannot be imported: {_one_line(error)}") from error
    if not callable(loaded):
        raise InputError(f"--model.backbone {name} is a {type(loaded).__name__}, not a function or class that returns a network")
    return loaded


def custom_backbone(name: str, image_size: int, generator: torch.Generator | None = None) -> Backbone:
    """A custom network as a backbone, on the CPU.

    Args:
        name: `module:object`, or an entry point of `s2m2.backbones`.
        image_size: size of the images, in pixels.
        generator: seeds the initial weights, which the network samples from torch's global generator; that one is restored.
            Without one the stream is fixed.

    Raises:
        InputError: the object cannot be loaded or called, or does not return such a network.
    """
    build = load_network(name)
    seed = int(torch.randint(2**62, (1,), generator=generator or generator_for(0, "backbone")))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            network = build(image_size=image_size) if "image_size" in inspect.signature(build).parameters else build()
        except Exception as error:  # any, as the code is not ours
            raise InputError(f"--model.backbone {name} cannot be built: {type(error).__name__}: {_one_line(error)}") from error
    if not isinstance(network, nn.Module):
        raise InputError(f"--model.backbone {name} returns a {type(network).__name__}, not an nn.Module")
    if any(values.is_meta or values.device.type != "cpu" for values in network.parameters()):
        raise InputError(f"--model.backbone {name} returns a network that is not on the CPU")
    try:
        features = features_of_blank(network, image_size)
    except Exception as error:
        raise InputError(f"--model.backbone {name} takes no images of --data.image_size {image_size}: {_one_line(error)}") from error
    if not isinstance(features, torch.Tensor) or features.ndim != 2:
        shape = tuple(features.shape) if isinstance(features, torch.Tensor) else type(features).__name__
        raise InputError(f'--model.backbone {name} gives {shape} for one image, not features "batch dim"')
    return _as_stages(name, network, features.shape[1], image_size)


def _as_stages(name: str, network: nn.Module, feature_dim: int, image_size: int) -> Backbone:
    if isinstance(network, Backbone):
        return network
    stages = getattr(network, "stages", None)
    if not isinstance(stages, Sequence | nn.ModuleList | nn.Sequential) or not all(isinstance(stage, nn.Module) for stage in stages):
        return Backbone([network], feature_dim)
    backbone = Backbone(list(stages), feature_dim)
    images = torch.rand(2, 3, image_size, image_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), evaluation_mode(network):
        try:
            same = torch.allclose(backbone.eval()(images), network(images), rtol=1e-3, atol=1e-4)
        except Exception as error:
            raise InputError(f"--model.backbone {name} has stages that do not follow each other: {_one_line(error)}") from error
    if not same:
        raise InputError(f"--model.backbone {name} has stages that do not give its features one after the other; name them otherwise")
    return backbone.train()


def _one_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
