"""`FeatureSet`: the features of labeled images; their extraction, and cache files by fingerprint."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from s2m2.data.chunks import check_images
from s2m2.errors import InputError
from s2m2.io import parse_json, replace_file
from s2m2.models.layers import evaluation_mode
from s2m2.runs.checkpoint import fingerprint_of

FEATURES_FORMAT = "1"
TENSORS = ("features", "labels", "indices")
"""Tensors of a feature file."""
OLD_NAMES = {"rows": "indices"}
"""Names of tensors in files of s2m2 0.1.0."""
MAX_GATHERED = 2**28
"""Feature values that are collected on a GPU until extraction is complete: 1 GB."""

Transform = Callable[[UInt8[Tensor, "batch height width 3"]], Float[Tensor, "batch 3 size size"]]
"""From stored images to the input of a network: resized, cropped, normalized."""
ImageTransform = Callable[[UInt8[Tensor, "batch height width 3"], Int64[Tensor, " batch"]], Float[Tensor, "batch 3 size size"]]
"""The same with a transform for each image: the second argument has their positions among the extracted images."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureSet:
    """Features of labeled images: all that an evaluation needs of them."""

    features: Float32[Tensor, "image dim"]
    labels: Int64[Tensor, " image"]
    """Class number of each image, an index of `class_names`."""
    indices: Int64[Tensor, " image"]
    """Index of each image in the image dataset."""
    class_names: tuple[str, ...]
    """Names of all classes of the image dataset."""
    fingerprint: str
    """SHA-256 over the weights and everything else that shaped the features, hexadecimal."""
    support_features: Float32[Tensor, "image dim"] | None = None
    """Features of the images as support, such as means over several crops; None: the same. Not stored in files."""
    for_queries: Bool[Tensor, " image"] | None = None
    """Images that queries are sampled from, all others being for support; None: any image may be either. Not stored in files."""


def extract_features(
    backbone: nn.Module,
    images: UInt8[Tensor, "stored height width 3"],
    indices: Int64[Tensor, " image"],
    transform: Transform,
    *,
    batch_size: int,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Float32[Tensor, "image dim"]:
    """Features of the images at `indices` in evaluation mode, on the CPU, in the order of `indices`.

    A batch is read while the previous one is computed, and the host waits for a GPU at the end only.

    Args:
        backbone: on `device`; the mode of every module, training or evaluation, is restored.
        images: may be a memory map; a batch is read at a time.
        progress: called with the number of images of each finished batch; on a GPU, of each submitted one.

    Raises:
        InputError: a feature is not finite.
    """
    view: ImageTransform = lambda batch, _: transform(batch)  # noqa: E731 (a name for a type)
    return extract_views(backbone, images, indices, (view,), batch_size=batch_size, device=device, progress=progress)


def extract_views(
    backbone: nn.Module,
    images: UInt8[Tensor, "stored height width 3"],
    indices: Int64[Tensor, " image"],
    views: Sequence[ImageTransform],
    *,
    batch_size: int,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Float32[Tensor, "image dim"]:
    """As `extract_features`, the mean over several views of each image: augmented shots (Bendou et al., 2022, arXiv 2201.09699)."""
    device = torch.device(device)
    # The memory format in which a GPU's convolutions are fastest, whatever that of the weights; a CPU gains nothing.
    order = torch.channels_last if device.type == "cuda" else torch.preserve_format
    parts, features = torch.arange(len(indices)).split(batch_size), torch.empty(0)
    with evaluation_mode(backbone), ThreadPoolExecutor(1, thread_name_prefix="images") as reader:
        waiting = reader.submit(_read, images, indices[parts[0]], device)
        for number, positions in enumerate(parts):
            batch = waiting.result().to(device, non_blocking=True)
            if number + 1 < len(parts):
                waiting = reader.submit(_read, images, indices[parts[number + 1]], device)
            with torch.inference_mode():
                inputs = (view(batch, positions).to(memory_format=order) for view in views)
                values = sum(backbone(one).float() for one in inputs) / len(views)
            if number == 0:
                _check_finite(values)
                features = torch.empty(len(indices), values.shape[1], device=_home(len(indices) * values.shape[1], device))
            features[positions[0] : positions[-1] + 1] = values
            if progress is not None:
                progress(len(positions))
    _check_finite(features)
    return features.cpu()


def support_and_queries(support: FeatureSet, queries: FeatureSet, offset: int) -> FeatureSet:
    """One feature set of two sources, for tasks with support from the first and queries from the second.

    Args:
        offset: added to the indices of the queries, so that they differ from those of the support.
    """
    supports = [support.features if support.support_features is None else support.support_features, queries.features]
    return FeatureSet(
        features=torch.cat([support.features, queries.features]),
        labels=torch.cat([support.labels, queries.labels]),
        indices=torch.cat([support.indices, queries.indices + offset]),
        class_names=support.class_names,
        fingerprint=fingerprint_of({}, "support and queries", support.fingerprint, queries.fingerprint),
        support_features=torch.cat(supports) if support.support_features is not None else None,
        for_queries=torch.arange(len(support.indices) + len(queries.indices)) >= len(support.indices),
    )


def concatenate(sets: Sequence[FeatureSet]) -> FeatureSet:
    """Concatenated features of several networks for the same images, those of each scaled to unit norm: an ensemble.

    EASY concatenates its networks (Bendou et al., 2022, arXiv 2201.09699); after scaling, each has the same weight in every cosine and
    distance.
    """
    first = sets[0]
    assert all(torch.equal(one.indices, first.indices) for one in sets), "features of other images"
    several = any(one.support_features is not None for one in sets)
    supports = [one.features if one.support_features is None else one.support_features for one in sets]
    return replace(
        first,
        features=_concatenate_unit([one.features for one in sets]),
        support_features=_concatenate_unit(supports) if several else None,
        fingerprint=fingerprint_of({}, "ensemble", *(one.fingerprint for one in sets)),
    )


def _concatenate_unit(features: Sequence[Float32[Tensor, "image _"]]) -> Float32[Tensor, "image dim"]:
    return torch.cat([F.normalize(values, dim=1) for values in features], dim=1)


def _read(images: UInt8[Tensor, "stored height width 3"], indices: Int64[Tensor, " batch"], device: torch.device) -> Tensor:
    """A batch of images, in pinned memory for a GPU."""
    check_images(images, indices)
    batch = images[indices.to(images.device)]
    return batch.pin_memory() if device.type == "cuda" and batch.device.type == "cpu" else batch


def _home(values: int, device: torch.device) -> torch.device:
    """Where features are collected: on the device if they fit, as every copy to the host is a wait."""
    return device if values <= MAX_GATHERED else torch.device("cpu")


def _check_finite(features: Tensor) -> None:
    if not bool(features.isfinite().all()):
        raise InputError("the network gives features that are not finite; its weights are of no use")


def save_features(path: Path, features: FeatureSet) -> None:
    """Write features as safetensors, whole or not at all."""
    tensors = {name: getattr(features, name).contiguous() for name in TENSORS}
    metadata = {
        "format": FEATURES_FORMAT,
        "fingerprint": features.fingerprint,
        "class_names": json.dumps(features.class_names),
        "content": fingerprint_of(tensors, *features.class_names),
    }
    with replace_file(path, need=sum(values.nbytes for values in tensors.values())) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def load_features(path: Path, fingerprint: str) -> FeatureSet | None:
    """Features saved under a fingerprint; None where the file is missing, damaged or has another fingerprint.

    The file states the SHA-256 of its content, which is checked. An unusable cache is no error, as the features can be extracted again.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata() or {}
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a mapping)
        class_names = tuple(parse_json(metadata["class_names"]))
        if (metadata["format"], metadata["fingerprint"]) != (FEATURES_FORMAT, fingerprint):
            return None
        if metadata["content"] != fingerprint_of(tensors, *class_names):
            return None
        tensors = {OLD_NAMES.get(name, name): values for name, values in tensors.items()}
        return FeatureSet(**tensors, class_names=class_names, fingerprint=fingerprint) if _consistent(tensors, len(class_names)) else None
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None


def _consistent(tensors: Mapping[str, Tensor], classes: int) -> bool:
    features, labels, indices = (tensors[name] for name in TENSORS)
    types = (features.dtype, labels.dtype, indices.dtype) == (torch.float32, torch.int64, torch.int64)
    shapes = features.ndim == 2 and labels.shape == indices.shape == features.shape[:1]
    return types and shapes and bool(((labels >= 0) & (labels < classes)).all())
