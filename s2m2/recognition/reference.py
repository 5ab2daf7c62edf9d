"""`Reference`: features of classes that are not the user's, from which few-shot tasks like the user's are sampled for calibration."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from safetensors import safe_open
from torch import Tensor

from s2m2.data.catalog import load_dataset
from s2m2.errors import InputError
from s2m2.io import expanded
from s2m2.recognition.extractors import EMBEDDED, Extractor
from s2m2.recognition.read_ahead import feature_batches
from s2m2.recognition.sources import labeled_images
from s2m2.runs.provenance import read_provenance
from s2m2.tasks.labels import as_array, label_array

PACKAGED = "reference/{}.safetensors"
"""Reference of a backbone that comes with the package; made by `benchmarks/make_reference.py`."""
MAX_CLASSES, MAX_IMAGES = 200, 20
"""Classes, and images of a class, that a reference is made of at most."""
MIN_CLASSES, MIN_IMAGES = 3, 2
"""Of fewer, no task can be sampled."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """Features of labeled images of other classes, in one domain or several; a task has classes of one domain."""

    features: Float32[Tensor, "item dim"]
    labels: Int64[Tensor, " item"]
    domains: tuple[int, ...]
    """Domain of each class."""
    source: str
    """What it is made of, in words."""

    def members(self) -> list[Float32[Tensor, "_ dim"]]:
        """Features of each class."""
        return [self.features[self.labels == label] for label in range(len(self.domains))]

    def to_tensors(self) -> dict[str, Tensor]:
        """The tensors of a file."""
        return {"features": self.features, "labels": self.labels.to(torch.int32)}

    def to_dict(self) -> dict[str, str]:
        """Its metadata."""
        return {"domains": json.dumps(self.domains), "source": self.source}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> "Reference":
        """The inverse of `to_tensors` and `to_dict`; `scales` of the features are those of `quantize`.

        Raises:
            ValueError: the tensors are no reference.
        """
        features, labels = tensors["features"].float() * tensors.get("scales", torch.ones(1)), tensors["labels"].long()
        domains = tuple(json.loads(about["domains"]))
        if features.ndim != 2 or len(features) != len(labels) or not features.isfinite().all():
            raise ValueError("its reference has no finite features with a label each")
        counts = torch.bincount(labels, minlength=len(domains))
        if not domains or len(counts) > len(domains) or bool((counts < MIN_IMAGES).any()):
            raise ValueError("its reference has labels that are not its classes")
        return cls(features=features, labels=labels, domains=domains, source=about["source"])


def reference_for(source: Any, extractor: Extractor | None, batch_size: int) -> Reference | None:
    """The reference of a model; None where there is none.

    Args:
        source: a folder of class folders or a csv list; features and labels; a `Reference`; None: what comes with the backbone.
        extractor: None where the model is fitted to features.

    Raises:
        InputError: the source has too few classes or images.
    """
    if isinstance(source, Reference):
        return source
    if isinstance(source, tuple | list) and len(source) == 2:
        return _of_features(*source)
    if source is not None and not isinstance(source, str | Path):
        raise InputError("reference must be a folder of class folders, a csv list, or a pair of features and labels")
    if extractor is None:
        if source is not None:
            raise InputError("reference must be a pair of features and labels where the backbone is features")
        return None
    if source is not None:
        return _of_images(expanded(source), extractor, batch_size)
    if extractor.name == EMBEDDED and files("s2m2.recognition").joinpath(PACKAGED.format(EMBEDDED)).is_file():
        return read_packaged(EMBEDDED)
    return _of_run(extractor, batch_size) if extractor.loaded is not None else None


def read_packaged(name: str) -> Reference:
    """The reference that comes with a backbone: bytes, and the scale of each feature."""
    with as_file(files("s2m2.recognition").joinpath(PACKAGED.format(name))) as path, safe_open(path, "pt") as stored:
        return Reference.from_tensors({key: stored.get_tensor(key) for key in ("features", "scales", "labels")}, stored.metadata())


def quantize(features: Float32[Tensor, "item dim"]) -> dict[str, Tensor]:
    """Features as bytes: each feature in 255 levels up to its maximum. None may be negative."""
    scales = features.amax(0).clamp_min(1e-12) / 255
    return {"features": (features / scales).round().to(torch.uint8), "scales": scales}


def _of_features(features: Any, labels: Any) -> Reference:
    values, names = as_array(features, "reference features"), label_array(labels, "reference labels")
    if values.ndim != 2 or len(values) != len(names) or not np.isfinite(values).all():
        raise InputError(f"reference has features of shape {values.shape} and {len(names)} labels; it needs finite rows, a label for each")
    ways, counts = np.unique(names, return_counts=True)
    parts = [torch.from_numpy(values[names == way][:MAX_IMAGES]).float() for way in ways[counts >= MIN_IMAGES][:MAX_CLASSES]]
    if len(parts) < MIN_CLASSES:
        raise InputError(f"reference has {len(parts)} classes of {MIN_IMAGES} rows or more, but {MIN_CLASSES} are needed")
    return _reference(parts, f"{len(parts)} classes of one's own features")


def _of_images(source: Path, extractor: Extractor, batch_size: int) -> Reference:
    listed = labeled_images(source)
    by_class: dict[str, list[Path]] = {}
    for image, label in zip(listed.images, listed.labels, strict=True):
        by_class.setdefault(str(label), []).append(image)
    chosen = {name: images[:MAX_IMAGES] for name, images in list(by_class.items())[:MAX_CLASSES]}
    parts: list[Tensor] = []
    for images in chosen.values():
        parts.append(torch.cat([batch.features for batch in feature_batches(images, extractor, batch_size=batch_size)]))
    parts = [part for part in parts if len(part) >= MIN_IMAGES]
    if len(parts) < MIN_CLASSES:
        raise InputError(f"reference {source} has {len(parts)} classes of {MIN_IMAGES} readable images, but {MIN_CLASSES} are needed")
    return _reference(parts, f"{len(parts)} classes of {source.resolve().name}")


def _of_run(extractor: Extractor, batch_size: int) -> Reference | None:
    """The validation classes of a run, where its images are at hand."""
    loaded = extractor.loaded
    assert loaded is not None
    data, digest = loaded.recipe.data, read_provenance(loaded.run).get("data", {}).get("digest")
    if data.download is not None or loaded.run.imported.is_file():
        return None
    try:
        dataset = load_dataset(data.path)
    except InputError:
        return None
    if digest not in (None, dataset.digest):
        return None
    parts = []
    for number in dataset.splits["validation"][:MAX_CLASSES]:
        images = [np.array(dataset.images[index]) for index in np.flatnonzero(dataset.labels == number)[:MAX_IMAGES]]
        parts.append(torch.cat([batch.features for batch in feature_batches(images, extractor, batch_size=batch_size)]))
    return _reference(parts, f"{len(parts)} validation classes of {Path(data.path).name}") if len(parts) >= MIN_CLASSES else None


def _reference(parts: list[Tensor], source: str) -> Reference:
    labels = torch.arange(len(parts)).repeat_interleave(torch.tensor([len(part) for part in parts]))
    return Reference(features=torch.cat(parts), labels=labels, domains=(0,) * len(parts), source=source)
