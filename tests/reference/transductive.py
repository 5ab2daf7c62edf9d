"""Transductive classifiers on one task, in float64: plain loops in NumPy, or autograd and `torch.optim` where one descends on a loss.

Each takes the support "item dim", the way of each support item, the queries "query dim" and the number of ways, and returns
scores "query way".
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from torch import Tensor

Array = NDArray[np.float64]


def mean_of(support: Array, labels: Array, way: int) -> Array:
    return np.mean([item for item, label in zip(support, labels, strict=True) if label == way], axis=0)


def unit(features: Array) -> Array:
    return np.stack([feature / np.linalg.norm(feature) for feature in features])


def minus_squared_distances(query: Array, means: Array) -> Array:
    return np.array([[-np.sum((item - mean) ** 2) for mean in means] for item in query])


def cosine(first: Array, second: Array) -> float:
    return float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))


def soft_kmeans(support: Array, labels: Array, query: Array, ways: int, *, steps: int = 1, scale: float = 1.0) -> Array:
    means = np.stack([mean_of(support, labels, way) for way in range(ways)])
    for _ in range(steps):
        shares = softmax(scale * minus_squared_distances(query, means), axis=1)
        refined = []
        for way in range(ways):
            own = [item for item, label in zip(support, labels, strict=True) if label == way]
            total = np.sum(own, axis=0) + sum(share * item for share, item in zip(shares[:, way], query, strict=True))
            refined.append(total / (len(own) + shares[:, way].sum()))
        means = np.stack(refined)
    return scale * minus_squared_distances(query, means)


def rectified(support: Array, labels: Array, query: Array, ways: int, scale: float, most: int) -> Array:
    """Class means after the queries joined; `most` of 0 takes all that are predicted to be of a class."""
    means = [mean_of(support, labels, way) for way in range(ways)]
    probabilities = [softmax([scale * cosine(item, mean) for mean in means]) for item in query]
    found = []
    for way in range(ways):
        weighted = []
        for item, label in zip(support, labels, strict=True):
            if label == way:
                weighted.append(softmax([scale * cosine(item, mean) for mean in means])[way] * item)
        predicted = [number for number in range(len(query)) if np.argmax(probabilities[number]) == way]
        predicted.sort(key=lambda number: -probabilities[number][way])
        for number in predicted[: most or len(query)]:
            weighted.append(probabilities[number][way] * query[number])
        found.append(np.mean(weighted, axis=0))
    return np.stack(found)


def bd_cspn(support: Array, labels: Array, query: Array, ways: int, *, scale: float = 10.0, pseudo_labels: int = 8) -> Array:
    support, query = unit(support), unit(query)
    query = query + support.mean(0) - query.mean(0)
    means = rectified(support, labels, query, ways, scale, pseudo_labels)
    return np.array([[scale * cosine(item, mean) for mean in means] for item in query])


def laplacian_shot(
    support: Array,
    labels: Array,
    query: Array,
    ways: int,
    *,
    base_mean: Array | None = None,
    weight: float = 0.7,
    neighbors: int = 3,
    steps: int = 20,
    tolerance: float = 1e-6,
    rectify: bool = True,
) -> Array:
    if base_mean is not None:
        support, query = support - base_mean, query - base_mean
    support, query = unit(support), unit(query)
    graph = np.zeros((len(query), len(query)))
    for number, item in enumerate(query):
        order = np.argsort([np.sum((item - other) ** 2) if place != number else -1.0 for place, other in enumerate(query)], kind="stable")
        graph[number, order[1:neighbors]] = 1
    if rectify:
        query = query + support.mean(0) - query.mean(0)
        means = rectified(support, labels, query, ways, 10.0, 0)
    else:
        means = np.stack([mean_of(support, labels, way) for way in range(ways)])
    unary = -minus_squared_distances(query, means)
    shares, energy, logits = softmax(-unary, axis=1), np.inf, -unary
    for number in range(steps):
        logits = -unary + weight * graph @ shares
        shares = softmax(logits, axis=1)
        previous, energy = energy, np.sum(shares * np.log(shares) + unary * shares - weight * shares * (graph @ shares))
        if number > 1 and abs(energy - previous) <= tolerance * abs(previous):
            break
    return logits


def power_transformed(features: Array, power: float, center: bool) -> Array:
    raised = unit((features + 1e-6) ** power if power else np.log(features + 1e-6))
    return unit(raised - raised.mean(0)) if center else raised


def transport_plan(cost: Array, scale: float, tolerance: float, iterations: int) -> Array:
    """One unit from each query, as much to each way (Cuturi, 2013): rows and columns of the plan are rescaled in turn.

    It ends when an iteration changes no row's total by more than the tolerance; every tenth iteration looks.
    """
    plan = np.exp(-scale * cost)
    plan /= plan.sum()
    for number in range(1, iterations + 1):
        before = plan.sum(1)
        plan /= plan.sum(1, keepdims=True)
        plan *= len(cost) / cost.shape[1] / plan.sum(0, keepdims=True)
        if number % 10 == 0 and np.abs(plan.sum(1) - before).max() <= tolerance:
            break
    return plan


def pt_map(
    support: Array,
    labels: Array,
    query: Array,
    ways: int,
    *,
    power: float = 0.5,
    center: bool = True,
    scale: float = 10.0,
    rate: float = 0.2,
    steps: int = 20,
    tolerance: float = 1e-6,
    iterations: int = 1000,
) -> Array:
    support, query = power_transformed(support, power, center), power_transformed(query, power, center)
    centers = np.stack([mean_of(support, labels, way) for way in range(ways)])
    for _ in range(steps):
        plan = transport_plan(-minus_squared_distances(query, centers), scale, tolerance, iterations)
        for way in range(ways):
            own = support[labels == way]
            estimate = (own.sum(0) + sum(share * item for share, item in zip(plan[:, way], query, strict=True))) / (
                len(own) + plan[:, way].sum()
            )
            centers[way] += rate * (estimate - centers[way])
    return np.log(transport_plan(-minus_squared_distances(query, centers), scale, tolerance, iterations))


class ClasswiseAdam:
    """Adam (Kingma & Ba, 2015) that averages the mean square of each row's gradient in place of the square of each element."""

    def __init__(self, parameters: Tensor, lr: float) -> None:
        self.parameters, self.lr, self.number = parameters, lr, 0
        self.mean, self.square = torch.zeros_like(parameters), torch.zeros_like(parameters[:, :1])

    def step(self) -> None:
        self.number += 1
        gradient = self.parameters.grad
        assert gradient is not None
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.999 * self.square + 0.001 * (gradient**2).mean(1, keepdim=True)
        first, second = self.mean / (1 - 0.9**self.number), self.square / (1 - 0.999**self.number)
        with torch.no_grad():
            self.parameters -= self.lr * first / (second.sqrt() + 1e-8)
        self.parameters.grad = None


def information(
    support: Array,
    labels: Array,
    query: Array,
    ways: int,
    *,
    alpha: float,
    supervised: float,
    marginal: float,
    conditional: float,
    scale: float = 15.0,
    steps: int = 1000,
    learning_rate: float = 1e-4,
    adam: str = "classwise",
) -> Array:
    """TIM-GD (alpha of 1) and alpha-TIM."""
    items = unit(np.concatenate([support, query]))
    features, targets, count = torch.from_numpy(items), torch.from_numpy(labels), len(support)
    weights = torch.from_numpy(np.stack([mean_of(items[:count], labels, way) for way in range(ways)])).requires_grad_()
    optimizer = (ClasswiseAdam if adam == "classwise" else one_adam)(weights, learning_rate)

    def entropy(probabilities: Tensor) -> Tensor:
        if alpha == 1:
            return -(probabilities * probabilities.log()).sum(-1)
        return (1 - (probabilities**alpha).sum(-1)) / (alpha - 1)

    def logits() -> Tensor:
        return -scale / 2 * ((features[:, None] - weights[None]) ** 2).sum(-1)

    for _ in range(steps):
        found = logits()
        probabilities = found[count:].softmax(-1)
        loss = supervised * torch.nn.functional.cross_entropy(found[:count], targets)
        loss = loss - marginal * entropy(probabilities.mean(0)) + conditional * entropy(probabilities).mean()
        weights.grad = None
        loss.backward()
        optimizer.step()
    return logits()[count:].detach().numpy()


def one_adam(weights: Tensor, learning_rate: float) -> torch.optim.Adam:
    return torch.optim.Adam([weights], lr=learning_rate)


def transductive_finetuning(
    support: Array, labels: Array, query: Array, ways: int, *, epochs: int = 25, learning_rate: float = 5e-5, scale: float = 1.0
) -> Array:
    positive, targets = np.maximum(support, 0), torch.from_numpy(labels)
    support_units, query_units = torch.from_numpy(unit(positive)), torch.from_numpy(unit(np.maximum(query, 0)))
    start = unit(np.stack([mean_of(positive, labels, way) for way in range(ways)]))
    weights, biases = torch.from_numpy(start).requires_grad_(), torch.zeros(ways, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([weights, biases], lr=learning_rate)
    for _ in range(epochs):
        for of_support in (True, False):
            logits = scale * (support_units if of_support else query_units) @ weights.T + biases
            loss = (
                torch.nn.functional.cross_entropy(logits, targets)
                if of_support
                else torch.distributions.Categorical(logits=logits).entropy().mean()
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return (scale * query_units @ weights.T + biases).detach().numpy()


def log_probabilities(scores: Array) -> Array:
    """Scores less the term that all ways of a query share."""
    return log_softmax(scores, axis=1)
