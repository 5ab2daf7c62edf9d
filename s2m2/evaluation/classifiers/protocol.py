"""The seam between the evaluation and a few-shot head."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class FewShotClassifier(Protocol):
    """A head: it meets the support features of a block of tasks and scores their query features.

    Row c of the way axis of `support` is class c of a task, and so is entry c of the last axis of the scores; the largest is the
    prediction. A head looks at each task and each query alone. What it draws comes from `generator`, in such an order that the
    first tasks of a block are scored alike however many follow.
    """

    def __call__(
        self,
        support: Float[Tensor, "task way shot dim"],
        query: Float[Tensor, "task way query dim"],
        generator: torch.Generator,
    ) -> Float[Tensor, "task way query way"]:
        """Scores of the queries, one for each class of their task."""
        ...
