"""The cosine classifier of S2M2, fitted to the support features of each task."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from s2m2.evaluation.tasks import FewShotTasks
from s2m2.functional.cosine import FitSettings, fit_cosine
from s2m2.recipe import CosineClassifierConfig


@dataclass(frozen=True, kw_only=True)
class CosineClassifier:
    """A fresh cosine classifier for every task (Mangla et al., WACV 2020, section 3.3)."""

    config: CosineClassifierConfig

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Fit, and return the logits of the queries.

        The directions start as a linear layer's weights, uniform in +-1 / sqrt(dim), and the norms as their lengths. The support
        items of a task are shuffled once by its own permutation; then all tasks go through the same fresh orders, so that every
        task meets a fresh uniform order of its own in every epoch.
        """
        (count, items, dim), ways, device = tasks.support.shape, tasks.ways, generator.device
        orders = torch.rand(self.config.epochs, items, generator=generator, device=device).argsort(dim=1)
        draws = torch.rand(count, ways * dim + items, generator=generator, device=device)
        initial = draws[:, : ways * dim].mul_(2).sub_(1).mul_(dim**-0.5).unflatten(1, (ways, dim)).to(tasks.support)
        shuffles = draws[:, ways * dim :].argsort(dim=1).to(tasks.support.device)
        rows = (shuffles + items * torch.arange(count, device=tasks.support.device)[:, None]).flatten()
        shuffled = tasks.support.flatten(0, 1).index_select(0, rows).unflatten(0, (count, items))
        weights = fit_cosine(initial, shuffled, tasks.labels.gather(1, shuffles), orders, self._settings())
        return weights.logits(tasks.query, self.config.scale)

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
