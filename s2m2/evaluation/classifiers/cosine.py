"""The cosine classifier of S2M2, fitted to the support features of each task."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from s2m2.functional.cosine import FitSettings, fit_cosine
from s2m2.recipe import CosineClassifierConfig


@dataclass(frozen=True, kw_only=True)
class CosineClassifier:
    """A fresh cosine classifier for every task (Mangla et al., WACV 2020, section 3.3)."""

    config: CosineClassifierConfig

    def __call__(
        self,
        support: Float[Tensor, "task way shot dim"],
        query: Float[Tensor, "task way query dim"],
        generator: torch.Generator,
    ) -> Float[Tensor, "task way query way"]:
        """Fit, and return the logits of the queries.

        The directions start as a linear layer's weights, uniform in +-1 / sqrt(dim), and the norms as their lengths. The support
        items of a task are shuffled once by its own permutation; then all tasks go through the same fresh orders, so that every
        task meets a fresh uniform order of its own in every epoch.
        """
        (tasks, ways, shots, dim), items, device = support.shape, support[0, ..., 0].numel(), generator.device
        orders = torch.rand(self.config.epochs, items, generator=generator, device=device).argsort(dim=1)
        draws = torch.rand(tasks, ways * dim + items, generator=generator, device=device)
        initial = draws[:, : ways * dim].mul_(2).sub_(1).mul_(dim**-0.5).unflatten(1, (ways, dim)).to(support)
        shuffles = draws[:, ways * dim :].argsort(dim=1).to(support.device)
        rows = (shuffles + items * torch.arange(tasks, device=support.device)[:, None]).flatten()
        shuffled = support.flatten(0, 2).index_select(0, rows).unflatten(0, (tasks, items))
        weights = fit_cosine(initial, shuffled, shuffles // shots, orders, self._settings())
        return weights.logits(query.flatten(1, 2), self.config.scale).unflatten(1, query.shape[1:3])

    def _settings(self) -> FitSettings:
        config = self.config
        return FitSettings(
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            momentum=config.momentum,
            dampening=config.dampening,
            weight_decay=config.weight_decay,
            scale=config.scale,
        )
