"""Any model of timm as a backbone: its pooled features, without its classifier (the extra `timm`)."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from s2m2.errors import InputError
from s2m2.models.backbone import Backbone
from s2m2.recipe import ModelConfig
from s2m2.seeding import generator_for


class TimmStage(nn.Module):
    """A model of timm without its classifier, as the one stage of a backbone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Float[Tensor, "batch 3 size size"]) -> Float[Tensor, "batch dim"]:
        """Pooled features."""
        return self.model(images)


def timm_backbone(config: ModelConfig, image_size: int, generator: torch.Generator | None = None) -> Backbone:
    """A model of timm as a backbone of one stage, on the CPU.

    Args:
        image_size: side of the images, in pixels; models that are built for one size are built for this one.
        generator: seeds the initial weights, which timm draws from torch's global generator; that one is as before afterwards. Without
            one the stream is fixed, and the weights that the settings name are not loaded, as others will be.

    Raises:
        InputError: timm is not installed or has no such model, the model takes no such images, or its weights do not fit or cannot
            be downloaded.
    """
    timm = _import_timm()
    name = str(config.timm)
    if not timm.is_model(name):
        raise InputError(f"--model.timm is {name}, which timm {timm.__version__} does not have; `timm.list_models()` lists them")
    options: dict[str, Any] = {"num_classes": 0}
    if generator is not None and config.pretrained:
        options["pretrained"] = True
    elif generator is not None and config.weights is not None:
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": _read_weights(Path(config.weights))}}
    seed = int(torch.randint(2**62, (1,), generator=generator or generator_for(0, "backbone")))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _create(lambda **sized: timm.create_model(name, **options, **sized), config, image_size)
    backbone = Backbone([TimmStage(model)], _feature_dim(model, name, image_size))
    if config.weights is not None and generator is not None:
        model.pretrained_cfg.pop("state_dict")  # type: ignore[operator, union-attr]  # timm would keep a copy of all weights there
        _check_loaded(model, options["pretrained_cfg_overlay"]["state_dict"], config.weights)
    return backbone


def _import_timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise InputError("--model.backbone is timm, which takes the extra timm: pip install 's2m2[timm]'") from error
    return timm


def _create(build: Callable[..., nn.Module], config: ModelConfig, image_size: int) -> nn.Module:
    """The model, built for the size of the images where it is built for one at all."""
    logging.getLogger("timm").setLevel(logging.ERROR)  # what does not fit is an error here, and nothing else is of interest
    try:
        try:
            return build(img_size=image_size)
        except TypeError as error:
            if "img_size" not in str(error):
                raise
            return build()
    except Exception as error:  # timm and what it downloads with raise many kinds, all with the same meaning here
        source = config.weights or ("its downloaded weights" if config.pretrained else f"images of {image_size} pixels")
        raise InputError(f"--model.timm {config.timm} cannot be built with {source}: {_one_line(error)}") from error


@torch.no_grad()
def _feature_dim(model: nn.Module, name: str, image_size: int) -> int:
    """Numbers of a feature, found out with an empty image in evaluation mode."""
    modes = {module: module.training for module in model.modules()}
    try:
        shape = model.eval()(torch.zeros(1, 3, image_size, image_size)).shape
    except Exception as error:  # each architecture has its own way to refuse a size
        raise InputError(f"--model.timm {name} takes no images of --data.image_size {image_size}: {_one_line(error)}") from error
    finally:
        for module, mode in modes.items():
            module.training = mode
    if len(shape) != 2:
        raise InputError(f"--model.timm {name} gives features of {len(shape) - 1} axes, not one vector an image")
    return shape[1]


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"--model.weights {path} cannot be read as .safetensors: {_one_line(error)}") from error
    for name, value in state.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise InputError(f"--model.weights {path} has values in {name} that are not finite")
    return state


def _check_loaded(model: nn.Module, given: Mapping[str, Tensor], path: str) -> None:
    """Raise `InputError` unless every tensor of the model came from the file: timm leaves out in silence what a file does not have."""
    state = model.state_dict()
    for name, value in state.items():
        if name not in given:
            raise InputError(f"--model.weights {path} lacks {name}, which --model.timm has")
        if value.shape == given[name].shape and not torch.equal(value, given[name].to(value.dtype)):
            raise InputError(f"--model.weights {path} was not loaded into {name}")
    heads = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    for name in given.keys() - state.keys():
        if not name.startswith(tuple(f"{head}." for head in heads)):
            raise InputError(f"--model.weights {path} has {name}, which --model.timm does not have")


def _one_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
