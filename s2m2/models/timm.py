"""Any model of timm as a backbone: pooled features, without the classifier (extra `timm`)."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from s2m2.errors import InputError
from s2m2.models.backbone import Backbone, features_of_blank
from s2m2.random import generator_for
from s2m2.recipe import ModelConfig
from s2m2.recipe.data import MIN_SIZE

MAX_RATIO = 2.0
"""Of `data.resize_ratio`."""


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
        image_size: size of the images, in pixels; models for one fixed size are built for this one.
        generator: seeds the initial weights, which timm samples from torch's global generator; that one is restored. Without
            one the stream is fixed, and the weights of the settings are not loaded, as the caller loads others.

    Raises:
        InputError: timm or the model is missing, the model takes no such images, or its weights do not fit or cannot be downloaded.
    """
    timm = _import_timm()
    name = str(config.timm)
    _check_name(timm, name)
    options: dict[str, Any] = {"num_classes": 0}
    if generator is not None and config.pretrained:
        options["pretrained"] = True
    elif generator is not None and config.weights is not None:
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": _read_weights(Path(config.weights))}}
    seed = int(torch.randint(2**62, (1,), generator=generator or generator_for(0, "backbone")))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _create(lambda **sized: timm.create_model(name, **options, **sized), config, image_size)
    _check_patches(model, name, image_size)
    backbone = Backbone([TimmStage(model)], _feature_dim(model, name, image_size))
    if config.weights is not None and generator is not None:
        model.pretrained_cfg.pop("state_dict")  # type: ignore[operator, union-attr]  # timm would keep a copy of all weights there
        _check_loaded(model, options["pretrained_cfg_overlay"]["state_dict"], config.weights)
    return backbone


@dataclass(frozen=True, kw_only=True)
class WeightsPreprocessing:
    """How images were prepared that weights were trained on."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    image_size: int
    """Size of the square, in pixels."""
    resize_ratio: float
    """Size that an image is resized to before the center crop, as a multiple of `image_size`."""


def preprocessing_of_weights(config: ModelConfig) -> WeightsPreprocessing | None:
    """What timm says of the weights that a model starts with; None where it starts with random ones, or timm knows nothing.

    Raises:
        InputError: timm or the model is missing.
    """
    if config.backbone != "timm" or not (config.weights or config.pretrained):
        return None
    timm = _import_timm()
    _check_name(timm, str(config.timm))
    stated = timm.get_pretrained_cfg(config.timm)
    if stated is None:
        return None
    mean, std = (tuple(float(value) for value in values) for values in (stated.mean, stated.std))
    if len(mean) != 3 or len(std) != 3:
        return None
    ratio = min(max(1 / float(stated.crop_pct or 1), 1.0), MAX_RATIO)
    return WeightsPreprocessing(mean=mean, std=std, image_size=int(stated.input_size[-1]), resize_ratio=round(ratio, 4))


def _check_name(timm: Any, name: str) -> None:
    if not timm.is_model(name):
        raise InputError(f"--model.timm is {name}, which timm {timm.__version__} does not have; `timm.list_models()` lists them")


def _check_patches(model: nn.Module, name: str, image_size: int) -> None:
    """Raise `InputError` for a size that the patches of a transformer do not divide: it would never see the right and lower edge."""
    for part in model.modules():
        patch = getattr(part, "patch_size", None)
        if type(part).__name__ != "PatchEmbed" or getattr(part, "dynamic_img_pad", False) or not isinstance(patch, tuple):
            continue
        if image_size % patch[0]:
            smaller = image_size - image_size % patch[0]
            sizes = " or ".join(str(size) for size in (smaller, smaller + patch[0]) if size >= MIN_SIZE)
            raise InputError(
                f"--data.image_size {image_size} is no multiple of the {patch[0]} pixels of a patch of --model.timm {name}, which would "
                f"not see the right and lower edge; --data.image_size {sizes} fits"
            )
        return


def _import_timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise InputError("--model.backbone is timm, which needs the extra timm: pip install 's2m2[timm]'") from error
    return timm


def _create(build: Callable[..., nn.Module], config: ModelConfig, image_size: int) -> nn.Module:
    """The model, for the size of the images if it takes one."""
    logging.getLogger("timm").setLevel(logging.ERROR)  # what does not fit is an error here
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


def _feature_dim(model: nn.Module, name: str, image_size: int) -> int:
    try:
        shape = features_of_blank(model, image_size).shape
    except Exception as error:  # each architecture has its own way to refuse a size
        raise InputError(f"--model.timm {name} takes no images of --data.image_size {image_size}: {_one_line(error)}") from error
    if len(shape) != 2:
        raise InputError(f"--model.timm {name} gives features of {len(shape) - 1} axes, not one vector per image")
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


def _check_loaded(model: nn.Module, weights: Mapping[str, Tensor], path: str) -> None:
    """Raise `InputError` unless every tensor of the model came from the file: timm silently skips what a file lacks."""
    state = model.state_dict()
    for name, value in state.items():
        if name not in weights:
            raise InputError(f"--model.weights {path} lacks {name}, which --model.timm has")
        if value.shape == weights[name].shape and not torch.equal(value, weights[name].to(value.dtype)):
            raise InputError(f"--model.weights {path} was not loaded into {name}")
    heads = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    for name in weights.keys() - state.keys():
        if not name.startswith(tuple(f"{head}." for head in heads)):
            raise InputError(f"--model.weights {path} has {name}, which --model.timm does not have")


def _one_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
