"""What tasks must satisfy, checked row by row, and a plain shuffle."""

from torch import Tensor

from s2m2.tasks.episodes import OPEN_SET, EpisodeIndices


def complaints(episodes: EpisodeIndices, labels: Tensor) -> list[str]:
    """What is wrong with tasks; nothing, if all is well."""
    found = []
    for task in range(len(episodes)):
        classes = episodes.classes[task].tolist()
        support, query = episodes.support[task].tolist(), episodes.query[task].tolist()
        support_ways, query_ways = episodes.support_ways[task].tolist(), episodes.query_ways[task].tolist()
        if len(set(classes)) != len(classes):
            found.append(f"task {task} has classes {classes}")
        if len(set(support + query)) != len(support + query):
            found.append(f"task {task} repeats a row")
        for row, way in zip(support + query, support_ways + query_ways, strict=True):
            if (int(labels[row]) != classes[way]) if way != OPEN_SET else (int(labels[row]) in classes):
                found.append(f"task {task} has row {row} under way {way}")
        if support_ways != sorted(support_ways) or set(support_ways) != set(range(len(classes))):
            found.append(f"task {task} has support of ways {support_ways}")
        if episodes.shots is not None and any(support_ways.count(way) != episodes.shots for way in range(len(classes))):
            found.append(f"task {task} does not have {episodes.shots} shots")
    return found


def shuffled(places: list[int], count: int) -> list[int]:
    """The first entries of 0 ... count - 1 after the exchanges i <-> places[i], in order (Fisher and Yates)."""
    numbers = list(range(count))
    for step, place in enumerate(places):
        numbers[step], numbers[place] = numbers[place], numbers[step]
    return numbers[: len(places)]
