"""Few-shot tasks drawn one at a time, with lists, from the keys that the fast sampler draws; and what any task must satisfy."""

import torch
from torch import Tensor

from s2m2.data.episodes import BLOCK, EpisodeIndices, EpisodeSpec
from s2m2.seeding import generator_for

Task = tuple[list[int], list[list[int]], list[list[int]]]
"""Class numbers, support rows of each, query rows of each."""


def draw_tasks(labels: list[int], spec: EpisodeSpec) -> list[Task]:
    numbers = sorted(set(labels))
    members = {number: [row for row, label in enumerate(labels) if label == number] for number in numbers}
    largest = max(len(rows) for rows in members.values())
    tasks: list[Task] = []
    for task in range(spec.tasks):
        if task % BLOCK == 0:
            generator = generator_for(spec.seed, "episodes", spec.ways, spec.shots, spec.queries, task // BLOCK)
            class_keys = torch.rand(BLOCK, len(numbers), generator=generator)
            item_keys = torch.rand(BLOCK, spec.ways, largest, generator=generator)
        classes = _largest_first(numbers, class_keys[task % BLOCK])[: spec.ways]
        items = [_largest_first(members[number], keys) for number, keys in zip(classes, item_keys[task % BLOCK], strict=True)]
        need = spec.shots + spec.queries
        tasks.append((classes, [rows[: spec.shots] for rows in items], [rows[spec.shots : need] for rows in items]))
    return tasks


def complaints(episodes: EpisodeIndices, labels: Tensor, spec: EpisodeSpec) -> list[str]:
    """What is wrong with tasks; nothing, if all is well."""
    found = []
    for task in range(len(episodes)):
        classes = episodes.classes[task].tolist()
        rows = [own + asked for own, asked in zip(episodes.support[task].tolist(), episodes.query[task].tolist(), strict=True)]
        if len(classes) != spec.ways or len(set(classes)) != spec.ways:
            found.append(f"task {task} has classes {classes}")
        if any(len(set(of_class)) != spec.shots + spec.queries for of_class in rows):
            found.append(f"task {task} repeats a row")
        if any(int(labels[row]) != number for number, of_class in zip(classes, rows, strict=True) for row in of_class):
            found.append(f"task {task} has a row of another class")
    return found if len(episodes) == spec.tasks else [*found, f"{len(episodes)} tasks"]


def _largest_first(values: list[int], keys: Tensor) -> list[int]:
    return [value for _, value in sorted(zip(keys.tolist(), values, strict=False), reverse=True)]
