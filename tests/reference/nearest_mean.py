"""The nearest class mean of one task, distance by distance, in float64."""

import torch
from torch import Tensor


def squared_distances(support: Tensor, labels: Tensor, query: Tensor, ways: int) -> Tensor:
    """From each query "query dim" to the mean of each way of the support "item dim"."""
    distances = torch.empty(len(query), ways, dtype=torch.float64)
    for number in range(len(query)):
        for way in range(ways):
            members = [item.double() for item, label in zip(support, labels.tolist(), strict=True) if label == way]
            mean = sum(members, torch.zeros(support.shape[1], dtype=torch.float64)) / len(members)
            distances[number, way] = ((query[number].double() - mean) ** 2).sum()
    return distances
