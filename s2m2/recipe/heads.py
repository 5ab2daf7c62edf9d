"""Names of the few-shot heads."""

from typing import Literal

HeadName = Literal["cosine", "nearest_mean"]
