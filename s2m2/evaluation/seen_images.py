"""Images of tasks that the network was trained on: a dataset of novel classes may hold images of the base classes."""

import numpy as np
from jaxtyping import Int64

from s2m2.console import count, first_named
from s2m2.data.catalog import ImageDatasets
from s2m2.data.dataset import ImageDataset, Split


def seen_images(base: ImageDataset, other: ImageDataset, split: Split | None) -> Int64[np.ndarray, " item"]:
    """Indices of the images of another dataset that are, pixel by pixel, images of the base classes.

    One row of each image is compared first, so that few images are read whole. Images that were stored at another size are not found.

    Args:
        split: of the other dataset; None: all its images.
    """
    if other.images.shape[1:] != base.images.shape[1:]:
        return np.empty(0, dtype=np.int64)
    trained = base.indices("base")
    indices = other.indices(split) if split is not None else np.arange(len(other.images))
    row = base.images.shape[1] // 2
    of_base, of_other = _rows(base, trained, row), _rows(other, indices, row)
    alike = np.flatnonzero(np.isin(of_other, of_base))
    candidates = np.isin(of_base, of_other[alike])
    known = {base.images[index].tobytes() for index in trained[candidates]} if len(alike) else set()
    return np.array([index for index in indices[alike] if other.images[index].tobytes() in known], dtype=np.int64)


def _rows(dataset: ImageDataset, indices: Int64[np.ndarray, " item"], row: int) -> np.ndarray:
    """One row of pixels of each image, as values that can be compared and sorted."""
    pixels = np.ascontiguousarray(dataset.images[indices, row]).reshape(len(indices), -1)
    return pixels.view(np.dtype((np.void, pixels.shape[1]))).ravel()


def warning_of_seen(datasets: ImageDatasets, split: Split) -> str:
    """A sentence on images of the tasks that the network was trained on, with their classes and numbers; empty without any."""
    others = {"": (datasets.of(split), split), "query ": (datasets.queries, None)}
    sentences = []
    for role, (dataset, part) in others.items():
        if dataset is None or dataset.digest == datasets.base.digest or part == "base":
            continue
        seen = seen_images(datasets.base, dataset, part)
        if len(seen):
            names = list(dict.fromkeys(dataset.class_names[number] for number in dataset.labels[seen]))
            whole = len(dataset.images) if part is None else len(dataset.indices(part))
            sentences.append(
                f"{len(seen):,} of {count(whole, f'{role}image')} of {dataset.name} were trained on, "
                f"so scores on them are not of new classes: classes {first_named(names)}; images {first_named([str(i) for i in seen])}"
            )
    return ". ".join(sentences)
