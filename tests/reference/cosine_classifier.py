"""The cosine classifier of one task, written with autograd and `torch.optim.SGD`, in float64 (S2M2, section 3.3)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2m2.classifiers.base import FewShotTasks
from s2m2.classifiers.cosine import CosineClassifier
from tests.reference.evaluate import each


class CosineModel(nn.Module):
    """logits = scale * g_c * (x / (||x|| + 1e-5)) . (v_c / ||v_c||)."""

    def __init__(self, initial: Tensor, scale: float) -> None:
        super().__init__()
        self.direction = nn.Parameter(initial.detach().double().clone())
        self.norm = nn.Parameter(self.direction.detach().norm(dim=1))
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        unit = features / (features.norm(dim=1, keepdim=True) + 1e-5)
        return self.scale * self.norm * (unit @ (self.direction / self.direction.norm(dim=1, keepdim=True)).T)


def fit(initial: Tensor, support: Tensor, labels: Tensor, orders: Tensor, settings: CosineClassifier) -> CosineModel:
    """Fit to the support "item dim" of one task, whose items are taken in the given order of each epoch."""
    model = CosineModel(initial, settings.scale)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        dampening=settings.dampening,
        weight_decay=settings.weight_decay,
    )
    for order in orders.tolist():
        while order:
            batch, order = order[: settings.batch_size], order[settings.batch_size :]
            optimizer.zero_grad()
            F.cross_entropy(model(support[batch].double()), labels[batch]).backward()
            optimizer.step()
    return model


def classify(tasks: FewShotTasks, generator: torch.Generator, config: CosineClassifier) -> Tensor:
    """Scores "task query way", one task after the other; the random numbers are those of the fast one, in its order."""
    _, items, dim = tasks.support.shape
    orders = torch.rand(config.epochs, items, generator=generator).argsort(dim=1)
    scores = []
    for support, labels, query in each(tasks):
        numbers = torch.rand(tasks.ways * dim + items, generator=generator)
        initial = (2 * numbers[: tasks.ways * dim].reshape(tasks.ways, dim) - 1) / dim**0.5
        shuffle = numbers[tasks.ways * dim :].argsort()
        model = fit(initial, support[shuffle], labels[shuffle], orders, config)
        with torch.no_grad():
            scores.append(model(query))
    return torch.stack(scores)
