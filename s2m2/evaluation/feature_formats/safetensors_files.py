"""`.safetensors` files, ours and those of others: tensors by name."""

from functools import partial
from pathlib import Path

import numpy as np
from safetensors import safe_open

from s2m2.evaluation.feature_formats.contents import Contents, StoredArray
from s2m2.tasks.labels import as_array

KINDS = {"F16": "f", "F32": "f", "F64": "f", "BF16": "f", "I8": "i", "I16": "i", "I32": "i", "I64": "i", "U8": "u", "BOOL": "i"}
"""Kind of the elements by their type, as the format writes it."""


def read_safetensors(path: Path) -> Contents:
    """The tensors of a file; none is larger than it, which the library checks."""
    arrays = {}
    with safe_open(path, framework="pt") as stored:
        for name in stored.keys():  # noqa: SIM118 (not a mapping)
            part = stored.get_slice(name)
            kind, shape = part.get_dtype(), tuple(part.get_shape())
            arrays[name] = StoredArray(shape=shape, type=kind, kind=KINDS.get(kind, "O"), load=partial(_load, path, name))
    return Contents(arrays=arrays)


def _load(path: Path, name: str) -> np.ndarray:
    with safe_open(path, framework="pt") as stored:
        return as_array(stored.get_tensor(name), name)
