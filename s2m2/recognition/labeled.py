"""Labeled images, or features in their place, become a `Support`: unreadable and repeated ones are left out and noted."""
# ruff: noqa: N803 (scikit-learn's names)

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from s2m2.console import count
from s2m2.errors import InputError
from s2m2.io import expanded
from s2m2.recognition.class_names import Label, matched_labels, sort_labels
from s2m2.recognition.extractors import FEATURES
from s2m2.recognition.read_ahead import FeatureBatch
from s2m2.recognition.sources import labeled_images, plain_labels, skipped_note
from s2m2.recognition.support import Support


def read_labeled(
    X: Any, y: Any, known: Sequence[Label], feature_batches: Callable[[Iterable[Any]], Iterable[FeatureBatch]]
) -> tuple[Support, tuple[str, ...]]:
    """The images of a fit with their features, and a note on what was left out, a sentence each.

    Args:
        X: a folder of class folders or a csv list without `y`, else images of any kind.
        known: classes that the model has.
        feature_batches: features of images, with digests and small copies.

    Raises:
        InputError: there are no classes, a class has no readable image, or equal images have different labels.
    """
    source = labeled_images(X, y)
    source = replace(source, labels=matched_labels(source.labels, known))
    batches = list(feature_batches(source.images))
    images = [image for batch in batches for image in batch.images]
    skipped = [image.reason for image in images if image.reason]
    readable = [(image, label) for image, label in zip(images, source.labels, strict=True) if not image.reason]
    if lost := sort_labels(set(source.labels) - {label for _, label in readable}):
        reason = next(image.reason for image, label in zip(images, source.labels, strict=True) if label == lost[0])
        raise InputError(f"class {lost[0]} has no image that can be read: {reason}")
    support = Support(
        features=torch.cat([batch.features for batch in batches]),
        labels=tuple(label for _, label in readable),
        names=tuple(_name_below(X if y is None else None, image.name) for image, _ in readable),
        digests=tuple(image.digest for image, _ in readable),
        thumbnails=tuple(image.thumbnail for image, _ in readable),
    )
    kept = _distinct_items(support)
    notes = [*source.notes, *([skipped_note(skipped)] if skipped else [])]
    if len(kept) < len(support):
        notes.append(f"{count(len(support) - len(kept), 'image')} left out, as the same image is there already")
    return support.take(kept), tuple(notes)


def _distinct_items(support: Support) -> list[int]:
    """The first of equal images; equal ones with different labels are refused."""
    first: dict[str, int] = {}
    for item, digest in enumerate(support.digests):
        other = first.setdefault(digest, item)
        if support.labels[other] != support.labels[item]:
            names = f"{support.names[other]} ({support.labels[other]}) and {support.names[item]} ({support.labels[item]})"
            raise InputError(f"{names} are the same image with different labels; keep the right one")
    return sorted(first.values())


def _name_below(source: Any, name: str) -> str:
    """The name of an image from the folder on that was fitted, so that no path of this machine is saved."""
    if not isinstance(source, str | Path):
        return name
    path = expanded(source)
    root = path if path.is_dir() else path.parent
    return Path(name).relative_to(root).as_posix() if Path(name).is_relative_to(root) else name


def without_paths(note: str) -> str:
    """A note without names of files; empty where nothing is left."""
    short = note if not re.search(r"[/\\]", note) else note.partition(": ")[0]
    return "" if re.search(r"[/\\]", short) else short


def feature_rows(values: Any, dim: int | None = None) -> Float32[Tensor, "image dim"]:
    """Features of a user's own.

    Raises:
        InputError: they are no table of finite numbers, or have another dimension than the model's.
    """
    array = values.detach().cpu().float().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.number) or not len(array):
        raise InputError(f"X must hold features image x dim where the backbone is {FEATURES}, but has shape {array.shape}")
    if dim is not None and array.shape[1] != dim:
        raise InputError(f"X has {array.shape[1]} features an image, but the model was fitted to {dim}")
    if not np.isfinite(array).all():
        raise InputError("X has features that are not finite")
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def support_of_features(X: Any, y: Any, known: Sequence[Label] = ()) -> Support:
    """A user's own features and their labels in place of images.

    Args:
        known: classes that the model has.

    Raises:
        InputError: as `feature_rows`, or there are not as many labels as rows.
    """
    features, labels = feature_rows(X), matched_labels(plain_labels(y), known)
    if len(labels) != len(features):
        raise InputError(f"y has {len(labels):,} labels, but X has {len(features):,} rows")
    return Support(
        features=features,
        labels=labels,
        names=tuple(f"X[{row}]" for row in range(len(labels))),
        digests=tuple(hashlib.sha256(row.numpy().tobytes()).hexdigest() for row in features),
        thumbnails=(b"",) * len(labels),
    )
