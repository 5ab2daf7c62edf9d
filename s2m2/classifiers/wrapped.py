"""Any scikit-learn classifier as a few-shot classifier."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from sklearn.base import clone
from torch import Tensor

from s2m2.classifiers.base import FewShotTasks, InductiveClassifier
from s2m2.errors import InputError

PLAIN = (bool, int, float, str, type(None))
"""Types of settings that results keep as they are."""


@dataclass(kw_only=True, eq=False, repr=False)
class WrappedEstimator(InductiveClassifier):
    """An estimator with `fit` and `predict_proba`, of which a copy is fitted to each task, one after the other.

    Scores are logarithms of its probabilities. An estimator with a `random_state` of None gets one for each task, by its key.
    """

    estimator: Any
    """It stays unfitted itself."""

    @property
    def name(self) -> str:  # type: ignore[override]
        """Of the estimator's class."""
        return type(self.estimator).__name__

    @property
    def title(self) -> str:  # type: ignore[override]
        """Of the estimator's class."""
        return type(self.estimator).__name__

    def settings(self) -> dict[str, Any]:
        """The parameters of the estimator, as text where they are no plain values."""
        parameters = self.estimator.get_params() if hasattr(self.estimator, "get_params") else {}
        return {name: value if isinstance(value, PLAIN) else repr(value) for name, value in parameters.items()}

    def fit_tasks(self, tasks: FewShotTasks, generator: torch.Generator) -> "FittedEstimators":
        """Fit a copy to each task."""
        support, labels = tasks.support.cpu().numpy(), tasks.labels.cpu().numpy()
        seeds = tasks.random_keys(generator).remainder(2**31 - 1).tolist()
        estimators = [self._copy(seed).fit(*task) for seed, *task in zip(seeds, support, labels, strict=True)]
        return FittedEstimators(estimators=tuple(estimators), ways=tasks.ways)

    def _copy(self, seed: int) -> Any:
        copy = clone(self.estimator, safe=False)
        if hasattr(copy, "get_params") and copy.get_params().get("random_state", 0) is None:
            copy.set_params(random_state=seed)
        return copy


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedEstimators:
    """A fitted estimator for each task."""

    estimators: tuple[Any, ...]
    ways: int

    def scores(self, query: Float[Tensor, "task query dim"]) -> Float[Tensor, "task query way"]:
        """Logarithms of the probabilities.

        Raises:
            InputError: the estimator gives no probability for each class.
        """
        pairs = zip(self.estimators, query.cpu().numpy(), strict=True)
        probabilities = np.stack([estimator.predict_proba(one) for estimator, one in pairs])
        if probabilities.shape[-1] != self.ways:
            name = type(self.estimators[0]).__name__
            raise InputError(
                f"classifier {name} gives {probabilities.shape[-1]} probabilities a query, not one for each of {self.ways} classes"
            )
        smallest = torch.finfo(query.dtype).tiny
        return torch.from_numpy(probabilities).to(query).clamp(min=smallest).log()
