"""`FeatureTable`: the features of a split, extracted once for given weights and pictures, and kept under their fingerprint."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Float32, Int64, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from s2m2.errors import InputError
from s2m2.files import replacing

FEATURES_FORMAT = "1"

Transform = Callable[[UInt8[Tensor, "batch height width 3"]], Float[Tensor, "batch 3 side side"]]
"""What a network sees of stored pictures: resized, cropped, normalised."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureTable:
    """What a few-shot head knows of the pictures of a split."""

    features: Float32[Tensor, "row dim"]
    labels: Int64[Tensor, " row"]
    """Class number of each row, an index of `class_names`."""
    rows: Int64[Tensor, " row"]
    """Number of each row's picture in the image table."""
    class_names: tuple[str, ...]
    """Names of all classes of the image table."""
    fingerprint: str
    """SHA-256 over the weights and whatever else shaped the features, hexadecimal."""


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
    """Features of the pictures `rows` in evaluation mode, on the CPU, in the order of `rows`.

    Args:
        backbone: on `device`; every module gets its own mode, training or evaluation, back.
        images: may be a memory map; a batch is read at a time.
        progress: told the number of pictures of each batch when it is done.

    Raises:
        InputError: a feature is not finite.
    """
    features, done = torch.empty(0), torch.zeros(len(rows), dtype=torch.bool)
    for places in torch.arange(len(rows)).split(batch_size):
        with torch.inference_mode(), evaluation_mode(backbone):
            values = backbone(transform(images[rows[places]].to(device))).float().cpu()
        if not bool(values.isfinite().all()):
            raise InputError("the network gives features that are not finite; its weights are of no use")
        if not done.any():
            features = torch.empty(len(rows), values.shape[1])
        features[places] = values
        done[places] = True
        if progress is not None:
            progress(len(places))
    assert done.all(), "a picture has no features"
    return features


def pixel_features(
    images: UInt8[Tensor, "image height width 3"],
    rows: Int64[Tensor, " row"],
    transform: Transform,
    *,
    batch_size: int,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Float32[Tensor, "row dim"]:
    """The pictures themselves, as a network would see them, as features: what a head reaches without any network."""
    return extract_features(nn.Flatten(), images, rows, transform, batch_size=batch_size, device=device, progress=progress)


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and every module of it back into its own mode at the end."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def fingerprint_of(state: Mapping[str, Tensor], *texts: str) -> str:
    """SHA-256, hexadecimal, over names, types, shapes and values of tensors, in whatever order they come, and over texts in theirs."""
    names = sorted(state)
    header = [[name, str(state[name].dtype), list(state[name].shape)] for name in names]
    digest = hashlib.sha256(json.dumps([header, texts]).encode())
    for name in names:
        digest.update(state[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_features(path: Path, table: FeatureTable) -> None:
    """Write a table as safetensors, whole or not at all."""
    tensors = _tensors(table)
    metadata = {
        "format": FEATURES_FORMAT,
        "fingerprint": table.fingerprint,
        "class_names": json.dumps(table.class_names),
        "content": fingerprint_of(tensors, *table.class_names),
    }
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def load_features(path: Path, fingerprint: str) -> FeatureTable | None:
    """The table that was saved under a fingerprint; None where there is none, or a damaged one, or one of another fingerprint.

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
        return FeatureTable(**tensors, class_names=class_names, fingerprint=fingerprint)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None


def _consistent(tensors: Mapping[str, Tensor], classes: int) -> bool:
    features, labels, rows = (tensors[name] for name in ("features", "labels", "rows"))
    types = (features.dtype, labels.dtype, rows.dtype) == (torch.float32, torch.int64, torch.int64)
    shapes = features.ndim == 2 and labels.shape == rows.shape == features.shape[:1]
    return types and shapes and bool(((labels >= 0) & (labels < classes)).all())


def _tensors(table: FeatureTable) -> dict[str, Tensor]:
    return {"features": table.features.contiguous(), "labels": table.labels.contiguous(), "rows": table.rows.contiguous()}
