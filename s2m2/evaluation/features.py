"""`FeatureSet`: the features of a split, extracted once for given weights and images, and kept under their fingerprint."""

import hashlib
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

from s2m2.errors import InputError
from s2m2.files import replacing
from s2m2.models.modes import evaluation_mode

FEATURES_FORMAT = "1"
MAX_GATHERED = 2**28
"""Numbers of features that may lie on a GPU until all are there: 1 GB."""

Transform = Callable[[UInt8[Tensor, "batch height width 3"]], Float[Tensor, "batch 3 size size"]]
"""What a network sees of stored images: resized, cropped, normalized."""
RowTransform = Callable[[UInt8[Tensor, "batch height width 3"], Int64[Tensor, " batch"]], Float[Tensor, "batch 3 size size"]]
"""The same where it differs from image to image: the second argument has their places among the rows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureSet:
    """What a few-shot classifier knows of the images of a split."""

    features: Float32[Tensor, "row dim"]
    labels: Int64[Tensor, " row"]
    """Class number of each row, an index of `class_names`."""
    rows: Int64[Tensor, " row"]
    """Number of each row's image in the image dataset."""
    class_names: tuple[str, ...]
    """Names of all classes of the image dataset."""
    fingerprint: str
    """SHA-256 over the weights and whatever else shaped the features, hexadecimal."""
    support_features: Float32[Tensor, "row dim"] | None = None
    """What the images show as support, the mean over several crops, say; None where it is the same. Files do not hold it."""
    for_queries: Bool[Tensor, " row"] | None = None
    """Rows that queries are drawn from, all others being for support; None: any row may be either. Files do not hold it."""


def extract_features(
    backbone: nn.Module,
    images: UInt8[Tensor, "image height width 3"],
    rows: Int64[Tensor, " row"],
    transform: Transform,
    *,
    batch_size: int,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Float32[Tensor, "row dim"]:
    """Features of the images `rows` in evaluation mode, on the CPU, in the order of `rows`.

    A batch is read while the one before it is computed on, and a GPU is waited for at the end alone.

    Args:
        backbone: on `device`; every module gets its own mode, training or evaluation, back.
        images: may be a memory map; a batch is read at a time.
        progress: told the number of images of each batch when it is done; on a GPU, when it is under way.

    Raises:
        InputError: a feature is not finite.
    """
    view: RowTransform = lambda batch, _: transform(batch)  # noqa: E731 (a name for a type)
    return extract_views(backbone, images, rows, (view,), batch_size=batch_size, device=device, progress=progress)


def extract_views(
    backbone: nn.Module,
    images: UInt8[Tensor, "image height width 3"],
    rows: Int64[Tensor, " row"],
    views: Sequence[RowTransform],
    *,
    batch_size: int,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Float32[Tensor, "row dim"]:
    """As `extract_features`, the mean over several views of each image: augmented shots (Bendou et al., 2022, arXiv 2201.09699)."""
    device = torch.device(device)
    # The order in which a GPU's convolutions are fastest, whatever the weights have; on a CPU nothing is gained.
    order = torch.channels_last if device.type == "cuda" else torch.preserve_format
    parts, features = torch.arange(len(rows)).split(batch_size), torch.empty(0)
    with evaluation_mode(backbone), ThreadPoolExecutor(1, thread_name_prefix="images") as reader:
        waiting = reader.submit(_read, images, rows[parts[0]], device)
        for number, places in enumerate(parts):
            batch = waiting.result().to(device, non_blocking=True)
            if number + 1 < len(parts):
                waiting = reader.submit(_read, images, rows[parts[number + 1]], device)
            with torch.inference_mode():
                seen = (view(batch, places).to(memory_format=order) for view in views)
                values = sum(backbone(one).float() for one in seen) / len(views)
            if number == 0:
                _check_finite(values)
                features = torch.empty(len(rows), values.shape[1], device=_home(len(rows) * values.shape[1], device))
            features[places[0] : places[-1] + 1] = values
            if progress is not None:
                progress(len(places))
    _check_finite(features)
    return features.cpu()


def pixel_features(
    images: UInt8[Tensor, "image height width 3"],
    rows: Int64[Tensor, " row"],
    transform: Transform,
    *,
    batch_size: int,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Float32[Tensor, "row dim"]:
    """The images themselves, as a network would see them, as features: what a classifier reaches without any network."""
    return extract_features(nn.Flatten(), images, rows, transform, batch_size=batch_size, device=device, progress=progress)


def support_and_queries(support: FeatureSet, queries: FeatureSet, first_row: int) -> FeatureSet:
    """The features of two sources in one dataset, whose tasks take support from the one and queries from the other.

    Args:
        first_row: what is added to the rows of the queries, so that they differ from those of the support.
    """
    supports = [support.features if support.support_features is None else support.support_features, queries.features]
    return FeatureSet(
        features=torch.cat([support.features, queries.features]),
        labels=torch.cat([support.labels, queries.labels]),
        rows=torch.cat([support.rows, queries.rows + first_row]),
        class_names=support.class_names,
        fingerprint=fingerprint_of({}, "support and queries", support.fingerprint, queries.fingerprint),
        support_features=torch.cat(supports) if support.support_features is not None else None,
        for_queries=torch.arange(len(support.rows) + len(queries.rows)) >= len(support.rows),
    )


def concatenate(datasets: Sequence[FeatureSet]) -> FeatureSet:
    """Features of several networks for the same images side by size, those of each scaled to unit norm: an ensemble.

    EASY joins its networks by concatenation (Bendou et al., 2022, arXiv 2201.09699); scaled first, each of them has the same say in
    every cosine and distance.
    """
    first = datasets[0]
    assert all(torch.equal(dataset.rows, first.rows) for dataset in datasets), "features of other images"
    several = any(dataset.support_features is not None for dataset in datasets)
    supports = [dataset.features if dataset.support_features is None else dataset.support_features for dataset in datasets]
    return replace(
        first,
        features=_unit_norm_beside([dataset.features for dataset in datasets]),
        support_features=_unit_norm_beside(supports) if several else None,
        fingerprint=fingerprint_of({}, "ensemble", *(dataset.fingerprint for dataset in datasets)),
    )


def _unit_norm_beside(features: Sequence[Float32[Tensor, "row _"]]) -> Float32[Tensor, "row dim"]:
    return torch.cat([F.normalize(values, dim=1) for values in features], dim=1)


def _read(images: UInt8[Tensor, "image height width 3"], rows: Int64[Tensor, " batch"], device: torch.device) -> Tensor:
    """Images in memory from which a GPU copies while it computes."""
    batch = images[rows.to(images.device)]
    return batch.pin_memory() if device.type == "cuda" and batch.device.type == "cpu" else batch


def _home(numbers: int, device: torch.device) -> torch.device:
    """Where features are gathered: on the device while there are few, as every copy to the host would make it wait."""
    return device if numbers <= MAX_GATHERED else torch.device("cpu")


def _check_finite(features: Tensor) -> None:
    if not bool(features.isfinite().all()):
        raise InputError("the network gives features that are not finite; its weights are of no use")


def fingerprint_of(state: Mapping[str, Tensor], *texts: str) -> str:
    """SHA-256, hexadecimal, over names, types, shapes and values of tensors, in whatever order they come, and over texts in theirs."""
    names = sorted(state)
    header = [[name, str(state[name].dtype), list(state[name].shape)] for name in names]
    digest = hashlib.sha256(json.dumps([header, texts]).encode())
    for name in names:
        digest.update(state[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_features(path: Path, dataset: FeatureSet) -> None:
    """Write a dataset as safetensors, whole or not at all."""
    tensors = _tensors(dataset)
    metadata = {
        "format": FEATURES_FORMAT,
        "fingerprint": dataset.fingerprint,
        "class_names": json.dumps(dataset.class_names),
        "content": fingerprint_of(tensors, *dataset.class_names),
    }
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def load_features(path: Path, fingerprint: str) -> FeatureSet | None:
    """The dataset that was saved under a fingerprint; None where there is none, or a damaged one, or one of another fingerprint.

    What is read is what was written: the file states the SHA-256 of its content. A cache that cannot be used is no error, as the
    features can be extracted again.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata() or {}
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a mapping)
        class_names = tuple(json.loads(metadata["class_names"]))
        if (metadata["format"], metadata["fingerprint"]) != (FEATURES_FORMAT, fingerprint):
            return None
        if metadata["content"] != fingerprint_of(tensors, *class_names) or not _consistent(tensors, len(class_names)):
            return None
        return FeatureSet(**tensors, class_names=class_names, fingerprint=fingerprint)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None


def _consistent(tensors: Mapping[str, Tensor], classes: int) -> bool:
    features, labels, rows = (tensors[name] for name in ("features", "labels", "rows"))
    types = (features.dtype, labels.dtype, rows.dtype) == (torch.float32, torch.int64, torch.int64)
    shapes = features.ndim == 2 and labels.shape == rows.shape == features.shape[:1]
    return types and shapes and bool(((labels >= 0) & (labels < classes)).all())


def _tensors(dataset: FeatureSet) -> dict[str, Tensor]:
    return {"features": dataset.features.contiguous(), "labels": dataset.labels.contiguous(), "rows": dataset.rows.contiguous()}
