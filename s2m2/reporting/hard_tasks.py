"""The hardest tasks as images: what each class was learned from, and the queries that were not recognized."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from s2m2.evaluation.details import HardTaskDetails, HardWay
from s2m2.reporting.images import ImageOf, Tile

SIZE = 40
"""Largest side of a thumbnail, in pixels; small images are shown at this size too, pixel by pixel."""
MAX_DRAWN = 6
"""Classes of a task, and wrong queries of a class, that are drawn."""


@dataclass(frozen=True, kw_only=True)
class DrawnWay:
    """One class of a hard task."""

    name: str
    support: tuple[Tile, ...]
    wrong: tuple[Tile, ...]
    """Each above the class that it was taken for."""
    right: int
    queries: int


@dataclass(frozen=True, kw_only=True)
class DrawnHardTask:
    """One of the hardest tasks."""

    number: int
    accuracy: float
    classes: int
    ways: tuple[DrawnWay, ...]
    """Those with the most mistakes."""


def draw_hard_tasks(tasks: tuple[HardTaskDetails, ...], image: ImageOf) -> tuple[DrawnHardTask, ...]:
    """Thumbnails of tasks, by the rows of their images."""
    return tuple(_draw(task, image) for task in tasks)


def thumbnail(image: UInt8[np.ndarray, "height width 3"], *, alt: str, note: str = "") -> Tile:
    """An image in few bytes: as PNG or as JPEG, whichever is smaller, reduced if it is large."""
    size = max(image.shape[:2])
    height, width = (max(1, round(length * SIZE / size)) for length in image.shape[:2])
    drawn = Image.fromarray(np.ascontiguousarray(image))
    if size > SIZE:
        drawn = drawn.resize((width, height), Image.Resampling.LANCZOS)
    kind, data = min(((kind, _encoded(drawn, kind)) for kind in ("png", "jpeg")), key=lambda found: len(found[1]))
    source = f"data:image/{kind};base64," + base64.b64encode(data).decode("ascii")
    return Tile(source=source, width=width, height=height, alt=alt, note=note)


def _encoded(image: Image.Image, kind: str) -> bytes:
    written = io.BytesIO()
    image.save(written, format=kind, optimize=True, quality=85)  # PNG has no quality, and takes no notice of it
    return written.getvalue()


def _draw(task: HardTaskDetails, image: ImageOf) -> DrawnHardTask:
    worst = sorted(task.ways, key=lambda way: way.right - way.queries)[:MAX_DRAWN]
    return DrawnHardTask(
        number=task.number,
        accuracy=task.accuracy,
        classes=len(task.ways),
        ways=tuple(_draw_way(way, task, image) for way in worst),
    )


def _draw_way(way: HardWay, task: HardTaskDetails, image: ImageOf) -> DrawnWay:
    wrong = []
    for row, answer in way.wrong[:MAX_DRAWN]:
        taken = task.ways[answer].name
        wrong.append(thumbnail(image(row), alt=f"{way.name}, taken for {taken}", note=taken))
    return DrawnWay(
        name=way.name,
        support=tuple(thumbnail(image(row), alt=f"support image of {way.name}") for row in way.support),
        wrong=tuple(wrong),
        right=way.right,
        queries=way.queries,
    )
