"""Features in float64, a few dimensions at a time."""

from collections.abc import Iterator

from jaxtyping import Float, Float64
from torch import Tensor

from s2m2.functional.linear import where_doubles_are

CHUNK = 2**24
"""Numbers that are converted to float64 at once: 128 MB."""


def double_pieces(features: Float[Tensor, "item dim"]) -> Iterator[Float64[Tensor, "item piece"]]:
    """All dimensions in turn, so many at a time that no copy of all features is made; with gradient.

    They are on the CPU where the device of the features has no float64.
    """
    for piece in features.split(max(CHUNK // max(len(features), 1), 1), dim=1):
        yield where_doubles_are(piece).double()
