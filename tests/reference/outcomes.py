"""What an evaluation keeps of its tasks, by plain loops and by scikit-learn."""

import math
from collections.abc import Callable

from sklearn.metrics import confusion_matrix
from torch import Tensor

from s2m2.tasks.episodes import OPEN_SET, EpisodeIndices

Score = Callable[[EpisodeIndices, int], Tensor]
"""Scores "query way" of one task of a block."""


def calibration_error(confidences: list[float], rights: list[bool], bins: int = 15) -> float:
    """The expected calibration error, query by query."""
    total = 0.0
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        own = [place for place, confidence in enumerate(confidences) if low < confidence <= high or (number == 0 and confidence == 0)]
        if own:
            accuracy = sum(rights[place] for place in own) / len(own)
            confidence = sum(confidences[place] for place in own) / len(own)
            total += len(own) / len(confidences) * abs(accuracy - confidence)
    return total


def queries(episodes: EpisodeIndices, score: Score) -> list[tuple[int, int, int, list[float]]]:
    """Task, true class, true way and scores in float64 of every query of a known class."""
    found = []
    for task in range(len(episodes)):
        scores = score(episodes, task)
        for way, values in zip(episodes.query_ways[task].tolist(), scores, strict=True):
            if way != OPEN_SET:
                found.append((task, int(episodes.classes[task, way]), way, values.double().tolist()))
    return found


def confusion(episodes: EpisodeIndices, score: Score, classes: list[int]) -> list[list[int]]:
    """Queries by true and predicted class."""
    true, predicted = [], []
    for task, number, _, scores in queries(episodes, score):
        true.append(number)
        predicted.append(int(episodes.classes[task, max(range(len(scores)), key=scores.__getitem__)]))
    return confusion_matrix(true, predicted, labels=classes).tolist()


def probabilities(scores: list[float], temperature: float) -> list[float]:
    """Their softmax, term by term."""
    largest = max(scores)
    terms = [math.exp((score - largest) / temperature) for score in scores]
    return [term / sum(terms) for term in terms]


def jackknife_error(accuracies: list[float], members: list[set[int]], classes: list[int]) -> float:
    """Standard error over classes: every class left out in turn, tasks gone through one by one."""
    tasks, count = len(accuracies), len(classes)
    mean = sum(accuracies) / tasks
    variance = sum((accuracy - mean) ** 2 for accuracy in accuracies) / (tasks - 1)
    without, noise = [], -count / tasks
    for number in classes:
        kept = [accuracy for accuracy, own in zip(accuracies, members, strict=True) if number not in own]
        without.append(sum(kept) / len(kept))
        noise += 1 / len(kept)
    middle = sum(without) / count
    spread = sum((value - middle) ** 2 for value in without)
    return math.sqrt(max((count - 1) / count * (spread - variance * noise), 0) + variance / tasks)
