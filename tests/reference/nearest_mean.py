"""The nearest class mean of one task, distance by distance, in float64."""

import torch
from torch import Tensor


def squared_distances(support: Tensor, query: Tensor) -> Tensor:
    """From each query "way query dim" to the mean of each class of the support "way shot dim"."""
    way, count, _ = query.shape
    distances = torch.empty(way, count, len(support), dtype=torch.float64)
    for true_class in range(way):
        for number in range(count):
            for candidate in range(len(support)):
                mean = sum(item.double() for item in support[candidate]) / len(support[candidate])
                distances[true_class, number, candidate] = ((query[true_class, number].double() - mean) ** 2).sum()
    return distances
