# shim
from typing import Any

from torch import Tensor

from s2m2.training.loop import Score as Score
from s2m2.training.loop import Validate as Validate
from s2m2.training.step import Networks as Networks
from s2m2.training.step import StageSettings as StageSettings
from s2m2.training.step import TrainingImages as _TrainingImages

__all__ = ["Networks", "Score", "StageSettings", "TrainingImages", "Validate"]


class TrainingImages(_TrainingImages):
    """Takes `rows` for `indices`."""

    def __init__(self, *, rows: Tensor | None = None, **fields: Any) -> None:
        super().__init__(**fields if rows is None else {**fields, "indices": rows})

    @property
    def rows(self) -> Tensor:
        """As `indices`."""
        return self.indices
