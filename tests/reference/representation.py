"""What is measured of a representation and of predictions, item by item in float64 with NumPy."""

import math

import numpy as np


def soft_nearest_neighbor_loss(features: np.ndarray, labels: list[int], temperature: float) -> float:
    """The loss by its definition; items without another of their class are passed over."""
    values, losses = features.astype(np.float64), []
    for item, own in enumerate(labels):
        others = [other for other in range(len(labels)) if other != item]
        if not any(labels[other] == own for other in others):
            continue
        squares = {other: float(((values[item] - values[other]) ** 2).sum()) for other in others}
        nearest = min(squares.values())  # of which every weight is a multiple, so that none of the sums is zero
        weights = {other: math.exp((nearest - square) / temperature) for other, square in squares.items()}
        losses.append(-math.log(sum(weight for other, weight in weights.items() if labels[other] == own) / sum(weights.values())))
    return sum(losses) / len(losses)


def spectra(features: np.ndarray, labels: list[int]) -> list[np.ndarray]:
    """Singular values of each class's centered items over the root of their number, by NumPy's decomposition."""
    found = []
    for label in sorted(set(labels)):
        own = features.astype(np.float64)[[place for place, one in enumerate(labels) if one == label]]
        found.append(np.linalg.svd(own - own.mean(axis=0), compute_uv=False)[: max(len(own) - 1, 1)] / math.sqrt(len(own)))
    return found


def effective_rank(singular_values: np.ndarray) -> float:
    """exp of the entropy of the fractions of variance."""
    squares = [float(value) ** 2 for value in singular_values]
    fractions = [square / sum(squares) for square in squares]
    return math.exp(-sum(fraction * math.log(fraction) for fraction in fractions if fraction > 0))


def directions(singular_values: np.ndarray, held: float = 0.95) -> int:
    """Least number of directions that hold a fraction of the variance."""
    squares, total = [float(value) ** 2 for value in singular_values], 0.0
    for count, square in enumerate(squares, start=1):
        total += square
        if total >= held * sum(squares):
            return count
    raise AssertionError


def softmax(logits: list[float]) -> list[float]:
    """Probabilities of one item."""
    powers = [math.exp(logit - max(logits)) for logit in logits]
    return [power / sum(powers) for power in powers]


def linear_attack(
    weight: np.ndarray, images: np.ndarray, labels: list[int], epsilon: float, mean: list[float], std: list[float]
) -> np.ndarray:
    """Images after a signed-gradient step against the linear classifier of logits W (x - mean) / std, on the scale of 0 to 1.

    Its gradient is known: W^T (p - onehot) / std, of which the step takes the sign.
    """
    attacked = np.empty_like(images, dtype=np.float64)
    for number, image in enumerate(images.astype(np.float64)):
        normalized = np.stack([(channel - mean[place]) / std[place] for place, channel in enumerate(image)])
        probabilities = np.array(softmax((weight @ normalized.ravel()).tolist()))
        probabilities[labels[number]] -= 1
        gradient = (weight.T @ probabilities).reshape(image.shape)
        for place in np.ndindex(*image.shape):
            step = epsilon * float(np.sign(gradient[place] / std[place[0]]))
            attacked[number][place] = min(max(image[place] + step, 0.0), 1.0)
    return attacked
