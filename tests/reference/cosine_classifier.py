"""The cosine classifier of one task, written with autograd and `torch.optim.SGD`, in float64 (S2M2, section 3.3)."""

from collections.abc import Iterator

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
    """Scores "task query way", one task after the other; the random numbers are those of the fast one, from the keys of the tasks."""
    _, items, dim = tasks.support.shape
    keys = tasks.keys if tasks.keys is not None else torch.randint(2**63 - 1, (len(tasks),), generator=generator)
    scores = []
    for key, (support, labels, query) in zip(keys.tolist(), each(tasks), strict=True):
        numbers = splitmix64(key)
        initial = [[2 * (next(numbers) >> 40) / 2**24 - 1 for _ in range(dim)] for _ in range(tasks.ways)]
        orders = []
        for _ in range(config.epochs):
            # The order of the numbers as signed ones.
            places = [(next(numbers) + 2**63) % 2**64 for _ in range(items)]
            orders.append(sorted(range(items), key=places.__getitem__))
        model = fit(torch.tensor(initial, dtype=torch.float64) / dim**0.5, support, labels, torch.tensor(orders), config)
        with torch.no_grad():
            scores.append(model(query))
    return torch.stack(scores)


def splitmix64(state: int) -> Iterator[int]:
    """The outputs of SplitMix64 (Steele, Lea and Flood, 2014, figure 14 with the later multipliers), whole numbers below 2^64."""
    state %= 2**64
    while True:
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        value = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
        yield value ^ (value >> 31)
