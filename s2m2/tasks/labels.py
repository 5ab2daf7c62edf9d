"""Labels and features of users as NumPy arrays: the same kinds for the task sampler, the evaluation and `fit`."""

from numbers import Real
from typing import Any

import numpy as np
from torch import Tensor

from s2m2.errors import InputError

MAX_WHOLE = 2**53
"""Up to here a float is exactly one whole number."""


def as_array(values: Any, name: str) -> np.ndarray:
    """Values as an array. Tensors of half precision become float32, as NumPy has no bfloat16.

    Raises:
        InputError: they are no array; the message names the argument.
    """
    try:
        if not isinstance(values, Tensor):
            return np.asarray(values)
        values = values.detach().cpu()
        return (values.float() if values.is_floating_point() and values.itemsize < 4 else values).numpy()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name} is no array: {' '.join(str(error).split())}") from error


def label_array(labels: Any, name: str = "labels") -> np.ndarray:
    """Labels as a one-dimensional array of whole numbers, truth values or text.

    A column counts as one axis, floats that are whole as whole numbers, and bytes as text.

    Raises:
        InputError: they are something else, or there is none; the message names the argument.
    """
    given = array = as_array(labels, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind in "OT":
        array = _from_objects(array)
    if array.dtype.kind == "f" and bool((np.abs(array) <= MAX_WHOLE).all()) and bool((array == np.floor(array)).all()):
        array = array.astype(np.int64)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    if array.ndim != 1 or array.dtype.kind not in "iubU":
        # The words with a colon are what scikit-learn's checks of estimators look for.
        kind = f"{name} of shape {given.shape} and type {given.dtype}"
        raise InputError(f"{kind}. Unknown label type: a label is a whole number or text, one an image")
    if not len(array):
        raise InputError(f"{name} is empty")
    return array


def _from_objects(array: np.ndarray) -> np.ndarray:
    """An array of objects by the type that all of them have; unchanged where there is none."""
    listed = array.ravel().tolist()
    if all(isinstance(label, str) for label in listed):
        return array.astype(str)
    return np.array(listed).reshape(array.shape) if all(isinstance(label, Real) for label in listed) else array
