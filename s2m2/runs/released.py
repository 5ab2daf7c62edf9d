"""Torch files as S2M2's authors released them, read without running anything that they may ask for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from s2m2.errors import InputError

ZIP_MAGIC, OLD_TORCH_MAGIC = b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""First bytes of a torch file, and of one written before torch 1.6."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ReleasedCheckpoint:
    """What a released torch file holds."""

    epoch: int
    """Epochs trained, as the file counts them."""
    state: Mapping[str, Tensor]
    rotate: Mapping[str, Tensor] | None
    """State of the rotation head; most files have none."""


def is_torch_file(path: Path) -> bool:
    """Whether a file begins as torch files do.

    Raises:
        InputError: the file cannot be read.
    """
    return first_bytes(path, 32).startswith((ZIP_MAGIC, OLD_TORCH_MAGIC))


def first_bytes(path: Path, count: int) -> bytes:
    """The first bytes of a file.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def read_released(path: Path) -> ReleasedCheckpoint:
    """Read a torch file that holds `epoch`, `state` and sometimes `rotate`.

    Raises:
        InputError: the file cannot be read, holds anything but tensors and plain values, or lacks what a released file has.
    """
    first_bytes(path, 1)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # What torch raises for a damaged file depends on where it is damaged.
        named = re.search(r"GLOBAL (\S+)", str(error))
        if named is not None:
            raise InputError(f"{path} is refused: it names {named[1]}; only tensors and plain values are read") from error
        raise InputError(f"{path} is no torch file, or is damaged or cut short") from error
    if not isinstance(content, dict) or not isinstance(content.get("state"), dict):
        raise InputError(f"{path} is no checkpoint of the authors: it has no dict under the name state")
    state, rotate = (_tensors(path, name, content.get(name)) for name in ("state", "rotate"))
    return ReleasedCheckpoint(epoch=_epoch(path, content.get("epoch", 0)), state=state or {}, rotate=rotate)


def _epoch(path: Path, value: Any) -> int:
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise InputError(f"{path} has no number of epochs under the name epoch")
    return int(value)


def _tensors(path: Path, name: str, value: Any) -> dict[str, Tensor] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InputError(f"{path} has no dict under the name {name}")
    for key, tensor in value.items():
        if not isinstance(key, str) or not isinstance(tensor, Tensor):
            raise InputError(f"{path} has {key!r} under the name {name}, which is no tensor with a name")
    return dict(value)
