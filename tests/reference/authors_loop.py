"""Few-shot evaluation as the S2M2 authors describe and run it: one task at a time, fitted by autograd and SGD (paper, section 4.2).

A restatement from the published protocol, float32, on one class dictionary of feature vectors; not their code.
"""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.reference.cosine_classifier import CosineModel


def task_accuracy(
    features: Mapping[int, np.ndarray], ways: int, shots: int, queries: int, rng: np.random.Generator, epochs: int = 200
) -> float:
    """Accuracy of one random task, a fraction."""
    classes = rng.choice(sorted(features), ways, replace=False)
    support, query = [], []
    for number in classes:
        rows = rng.permutation(len(features[number]))[: shots + queries]
        support.append(features[number][rows[:shots]])
        query.append(features[number][rows[shots:]])
    support_features = torch.from_numpy(np.concatenate(support))
    query_features = torch.from_numpy(np.concatenate(query))
    labels = torch.arange(ways).repeat_interleave(shots)
    model = _fit(support_features, labels, ways, rng, epochs)
    with torch.no_grad():
        predicted = model(query_features).argmax(1)
    return float((predicted == torch.arange(ways).repeat_interleave(queries)).float().mean())


def _fit(support: Tensor, labels: Tensor, ways: int, rng: np.random.Generator, epochs: int) -> nn.Module:
    bound = support.shape[1] ** -0.5
    initial = torch.from_numpy(rng.uniform(-bound, bound, (ways, support.shape[1])).astype(np.float32))
    model = CosineModel(initial, scale=2.0).float()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, dampening=0.9, weight_decay=0.001)
    for _ in range(epochs):
        order = torch.from_numpy(rng.permutation(len(support)))
        for batch in order.split(4):
            optimizer.zero_grad()
            F.cross_entropy(model(support[batch]), labels[batch]).backward()
            optimizer.step()
    return model
