"""What a call left behind, without what differs between equal calls: times, and the order of random names."""

import csv
import hashlib
import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from benchmarks.soak.runner import fresh_copy as fresh_copy

VOLATILE = {
    "seconds",
    "created",
    "started",
    "images_per_second",
    "tasks_per_second",
    "versions",
    "hardware",
    "provenance",
    "command",
    "date",
    "s2m2",
    "sha256",
    "checksum",
    "digest",
    "files",
    "time",
}
"""Keys of JSON files that may differ between equal calls, or that follow from other files."""
LOGS = ("events.out.tfevents", "metrics.jsonl", ".lock", "console.log", "provenance.json", "recipe.yaml")
"""Names of files, or their beginnings or ends, that say when something was done."""
DRAWN = (".html", ".png", ".svg", ".md", ".log")
"""Endings of what is drawn from the other files."""


def outcome(folder: Path, also: Collection[str] = ()) -> dict[str, str]:
    """A digest of the content of each file below a folder; of one that is drawn, that it is there.

    Args:
        also: keys of JSON files that may differ, beside `VOLATILE`.
    """
    result = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not any(path.name.startswith(log) or path.name.endswith(log) for log in LOGS):
            try:
                result[name] = "drawn" if path.suffix in DRAWN else _digest(path, VOLATILE.union(also))
            except (OSError, ValueError, RuntimeError, SafetensorError, UnpicklingError) as error:
                result[name] = f"unreadable: {type(error).__name__}"
    return result


def grow_old(folder: Path) -> None:
    """As if hours had passed: what is being written belongs to no living process any more."""
    for path in folder.rglob(".*.partial"):
        os.utime(path, (0, 0))


def leftovers(folder: Path) -> list[str]:
    """Temporary files and folders that a finished call has no reason to leave."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.name.endswith((".partial", ".tmp", ".temporary")) or (path.name.startswith(".") and not path.name.endswith(".lock"))
    )


def _digest(path: Path, volatile: Collection[str]) -> str:
    if path.suffix == ".json":
        return _hashed(_stable(json.loads(path.read_text()), volatile))
    if path.suffix == ".safetensors":
        return _hashed(_tensors(load_file(path)))
    if path.suffix == ".pt":
        return _hashed(_tensors(torch.load(path, weights_only=True)))
    if path.suffix == ".csv":
        rows = csv.DictReader(path.open(encoding="utf-8", errors="surrogateescape"))
        return _hashed([_stable(row, volatile) for row in rows])
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _stable(value: Any, volatile: Collection[str]) -> Any:
    if isinstance(value, dict):
        return {key: _stable(item, volatile) for key, item in sorted(value.items()) if key not in volatile}
    return [_stable(item, volatile) for item in value] if isinstance(value, list) else value


def _tensors(value: Any) -> Any:
    """Nested containers with a digest in place of each tensor."""
    if isinstance(value, torch.Tensor):
        return hashlib.sha256(value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()).hexdigest()
    if isinstance(value, Mapping):
        return {str(key): _tensors(item) for key, item in sorted(value.items(), key=lambda pair: str(pair[0])) if str(key) not in VOLATILE}
    return [_tensors(item) for item in value] if isinstance(value, list | tuple) else value


def _hashed(value: Any) -> str:
    return hashlib.sha256(repr(value).encode("utf-8", "surrogateescape")).hexdigest()
