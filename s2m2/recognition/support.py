"""The labeled images of an `ImageClassifier`: features, labels, small copies, and changes that can be undone."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from PIL import Image
from torch import Tensor

from s2m2.errors import InputError
from s2m2.recognition.class_names import Label, sort_labels

THUMBNAIL = 112
"""Edge of the small copies, in pixels."""
QUALITY = 80
"""Of their JPEG files."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change of labels: images added (from None), moved, or taken out (to None)."""

    action: str
    """What was done, in words: `added 3 images of Green Kingfisher`."""
    items: tuple[int, ...]
    before: tuple[Label | None, ...]
    after: tuple[Label | None, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"action": self.action, "items": list(self.items), "before": list(self.before), "after": list(self.after)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Change":
        """The inverse of `to_dict`."""
        return cls(action=values["action"], **{key: tuple(values[key]) for key in ("items", "before", "after")})


@dataclass(frozen=True, kw_only=True, eq=False)
class Support:
    """Labeled images. Items are only ever appended; one that is taken out keeps its place with the label None, so that it can return."""

    features: Float32[Tensor, "item dim"]
    labels: tuple[Label | None, ...]
    names: tuple[str, ...]
    """Name of each image's file, or its position in the call."""
    digests: tuple[str, ...]
    """SHA-256 of each image as the network sees it."""
    thumbnails: tuple[bytes, ...]
    """JPEG of each image, empty where there is none."""
    changes: tuple[Change, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def active(self) -> list[int]:
        """Items that have a label."""
        return [item for item, label in enumerate(self.labels) if label is not None]

    def classes(self) -> list[Label]:
        """The classes, sorted."""
        return sort_labels({label for label in self.labels if label is not None})

    def check_classes(self) -> None:
        """Raise `InputError` for fewer than two classes."""
        if len(self.classes()) < 2:
            raise InputError("this would leave one class only; two are needed at least")

    @cached_property
    def ways(self) -> list[int]:
        """Class of each item as a position in `classes()`; -1 for one that was taken out."""
        positions = {label: way for way, label in enumerate(self.classes())}
        return [-1 if label is None else positions[label] for label in self.labels]

    @cached_property
    def _directions(self) -> Float32[Tensor, "labeled dim"]:
        return F.normalize(self.features[self.active], dim=-1)

    def nearest(self, features: Float32[Tensor, "image dim"], number: int = 1) -> list[list[int]]:
        """For each image the labeled items with the greatest cosines, up to a number of them, the nearest first."""
        active = self.active
        order = (F.normalize(features, dim=-1) @ self._directions.T).topk(min(number, len(active)), dim=-1).indices
        return [[active[position] for position in row] for row in order.tolist()]

    def items_of(self, label: Label) -> list[int]:
        """Items of a class."""
        return [item for item, own in enumerate(self.labels) if own == label]

    def item_with(self, digest: str) -> int | None:
        """The labeled item of an equal image."""
        return self._by_digest.get(digest)

    @cached_property
    def _by_digest(self) -> dict[str, int]:
        """Labeled items by the digest of their image, the first of equal ones."""
        return {self.digests[item]: item for item in reversed(self.active)}

    def take(self, items: Sequence[int]) -> "Support":
        """Some of the items, without history."""
        return Support(
            features=self.features[list(items)],
            labels=tuple(self.labels[item] for item in items),
            names=tuple(self.names[item] for item in items),
            digests=tuple(self.digests[item] for item in items),
            thumbnails=tuple(self.thumbnails[item] for item in items),
        )

    def added(self, more: "Support", action: str) -> "Support":
        """With more items, as one change."""
        items = tuple(range(len(self), len(self) + len(more)))
        change = Change(action=action, items=items, before=(None,) * len(items), after=more.labels)
        return Support(
            features=torch.cat([self.features, more.features]),
            labels=self.labels + more.labels,
            names=self.names + more.names,
            digests=self.digests + more.digests,
            thumbnails=self.thumbnails + more.thumbnails,
            changes=(*self.changes, change),
        )

    def relabeled(self, items: Sequence[int], label: Label | None, action: str) -> "Support":
        """With another label for some items; None takes them out."""
        change = Change(action=action, items=tuple(items), before=tuple(self.labels[item] for item in items), after=(label,) * len(items))
        return replace(self._with_labels(change.items, change.after), changes=(*self.changes, change))

    def undone(self) -> "Support":
        """Without the last change."""
        *changes, last = self.changes
        return replace(self._with_labels(last.items, last.before), changes=tuple(changes))

    def _with_labels(self, items: Iterable[int], labels: Iterable[Label | None]) -> "Support":
        changed = list(self.labels)
        for item, label in zip(items, labels, strict=True):
            changed[item] = label
        return replace(self, labels=tuple(changed))


def thumbnail(image: UInt8[np.ndarray, "height width 3"]) -> bytes:
    """A small JPEG of a whole image."""
    small = Image.fromarray(np.ascontiguousarray(image))
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
