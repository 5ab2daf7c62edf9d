"""What a row of `metrics.jsonl` says of itself."""

from typing import Literal

Kind = Literal["train", "validation"]
"""Figures of the steps since the last row, or of the weights after them."""
PLACE = ("stage", "kind", "step", "epoch")
"""What a row has besides figures."""
