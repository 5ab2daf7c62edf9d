"""How many support and query images each class of a task has, where that differs from class to class."""

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

MIN_WAYS, MAX_WAYS = 5, 50
MAX_QUERIES, MAX_SUPPORT, MAX_SUPPORT_OF_CLASS = 10, 500, 100


def dirichlet_counts(
    available: Int64[Tensor, "task way"], total: int, concentration: float, generator: np.random.Generator
) -> Int64[Tensor, "task way"]:
    """Queries of each class: `total` of them, shared out by a symmetric Dirichlet draw (Veilleux et al., NeurIPS 2021, section 3).

    Shares become whole numbers by largest remainder. What a class does not have goes to the other classes, those with the largest
    remainder first.
    """
    limits = available.numpy()
    tasks, ways = limits.shape
    exact = total * generator.dirichlet([concentration] * ways, size=tasks)
    counts = np.minimum(exact.astype(np.int64), limits)
    target = np.minimum(total, limits.sum(1))
    while (short := counts.sum(1) < target).any():
        behind = np.where(counts < limits, exact - counts, -np.inf)
        first = behind.argmax(1)
        counts[short, first[short]] += 1
    return torch.from_numpy(counts)


def variable_counts(
    sizes: Int64[Tensor, " class"], generator: np.random.Generator
) -> tuple[Int64[Tensor, " way"], Int64[Tensor, " way"], Int64[Tensor, " way"]]:
    """Classes, shots and queries of one task by the rule of Meta-Dataset (Triantafillou et al., ICLR 2020, section 3.2).

    5 to 50 classes. As many queries of each: half of the smallest class, at most 10. A support of random size, at most 100 images
    of a class and 500 in all, shared out in proportion to the sizes of the classes times a random factor between 1/2 and 2, each
    class with one at least.
    """
    classes = generator.permutation(len(sizes))[: generator.integers(MIN_WAYS, min(MAX_WAYS, len(sizes)), endpoint=True)]
    size = sizes.numpy()[classes]
    queries = min(MAX_QUERIES, int(size.min()) // 2)
    left = size - queries
    share = 1 - generator.random()  # in (0, 1]
    support = min(MAX_SUPPORT, int(np.ceil(share * np.minimum(MAX_SUPPORT_OF_CLASS, left)).sum()))
    weights = size * np.exp(generator.uniform(np.log(0.5), np.log(2), len(classes)))
    shots = np.minimum((weights / weights.sum() * (support - len(classes))).astype(np.int64) + 1, left)
    return torch.from_numpy(classes), torch.from_numpy(shots), torch.full((len(classes),), queries)
