"""What the tests of the transductive classifiers share."""

from collections.abc import Callable

import torch
from torch import Tensor

from s2m2.classifiers.base import FewShotClassifier, FewShotTasks
from s2m2.random import generator_for
from tests.reference.evaluate import changed, each, made_up_tasks, made_up_unequal_tasks
from tests.reference.transductive import Array, log_probabilities

Twin = Callable[[Array, Array, Array, int], Array]


def positive(tasks: FewShotTasks) -> FewShotTasks:
    """The tasks as a ReLU would have left them, with no feature that is all 0."""
    return changed(tasks, lambda features: features.relu() + 0.01)


EVEN = positive(made_up_tasks(3, ways=3, shots=2, queries=6, dim=40))
"""Fewer items than dimensions."""
ONE_SHOT = positive(made_up_tasks(3, ways=4, shots=1, queries=5, dim=12))
"""More items than dimensions."""
UNEQUAL = positive(made_up_unequal_tasks(3, dim=12))


def scores_of(classifier: FewShotClassifier, tasks: FewShotTasks) -> Tensor:
    return classifier(tasks, generator_for(0))


def assert_equals_twin(
    classifier: FewShotClassifier, twin: Twin, tasks: FewShotTasks, tolerance: float = 1e-8, single: float = 2e-3
) -> None:
    """Fail unless the classifier gives the probabilities of its twin in float64, and close ones and its predictions in float32."""
    expected = [
        torch.from_numpy(log_probabilities(twin(support.numpy(), labels.numpy(), query.numpy(), tasks.ways)))
        for support, labels, query in each(tasks)
    ]
    exact = scores_of(classifier, changed(tasks, Tensor.double)).log_softmax(-1)
    torch.testing.assert_close(exact, torch.stack(expected), rtol=tolerance, atol=tolerance)
    scores = scores_of(classifier, tasks)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores.double().log_softmax(-1), torch.stack(expected), rtol=single, atol=single)
    assert torch.equal(scores.argmax(-1), torch.stack(expected).argmax(-1))


def clustered_tasks(queries: tuple[int, ...] = (10, 10, 10), count: int = 40, noise: float = 0.8, dim: int = 24) -> FewShotTasks:
    """One-shot tasks whose queries form clusters that one support item tells little of; positive features."""
    generator = generator_for(0, "clusters", *queries)
    ways = len(queries)
    centers = torch.rand(count, ways, dim, generator=generator) * 2
    way = torch.arange(ways).repeat_interleave(torch.tensor(queries))
    support = centers + noise * torch.randn(count, ways, dim, generator=generator)
    query = centers[:, way] + noise / 2 * torch.randn(count, len(way), dim, generator=generator)
    labels = torch.arange(ways).expand(count, -1)
    return FewShotTasks(support=support.abs(), labels=labels, query=query.abs(), ways=ways, shots=1)


def accuracy(classifier: FewShotClassifier, tasks: FewShotTasks, queries: tuple[int, ...] = (10, 10, 10)) -> float:
    way = torch.arange(len(queries)).repeat_interleave(torch.tensor(queries))
    return float((scores_of(classifier, tasks).argmax(-1) == way).float().mean())
