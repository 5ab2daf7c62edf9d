"""The seam between the evaluation and a few-shot classifier."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from s2m2.evaluation.tasks import FewShotTasks


@runtime_checkable
class FewShotClassifier(Protocol):
    """A classifier: it meets the support features of a block of tasks and scores their query features.

    Entry c of the last axis of the scores is way c of a task; the largest is the prediction, and the softmax of the scores is what
    the classifier gives as probabilities. A classifier looks at each task alone, and an inductive one at each query alone. What it draws comes
    from `generator`, in such an order that the first tasks of a block are scored alike however many follow. It leaves the features
    as they are.
    """

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Scores of the queries, one for each way of their task."""
        ...
