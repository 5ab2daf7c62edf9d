"""Images for the report: some of each split, and one task with its predictions. Small ones are enlarged without blur."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image

from s2m2.data.catalog import ImageDatasets
from s2m2.data.dataset import SPLITS, ImageDataset, Split
from s2m2.evaluation import evaluate
from s2m2.evaluation.features import FeatureSet
from s2m2.reporting.projection import Projection, project_task

TILE = 60
"""Side that an image is drawn at, in pixels, about: small ones are enlarged by a whole factor, so that every pixel is a square."""
LARGEST = 96
"""Side above which an image is reduced, which keeps the page small."""
FRAME = 4
"""Width of a frame, in pixels."""
RIGHT, WRONG = (46, 160, 87), (214, 61, 46)
"""Frame of a query that was, or was not, recognized."""
MAX_WAYS, MAX_SUPPORT, MAX_QUERIES = 10, 5, 15
"""What is drawn of a task; the rest is counted only."""

ImageOf = Callable[[int], UInt8[np.ndarray, "height width 3"]]
"""An image by its row."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnTask:
    """One task, its images and what a classifier made of it."""

    class_names: tuple[str, ...]
    """Of each way."""
    support: tuple[UInt8[np.ndarray, "_ _ _ 3"], ...]
    """Of each way, "shot height width 3"."""
    query: tuple[UInt8[np.ndarray, "_ _ _ 3"], ...]
    """Of each way, "query height width 3"; a way of unbalanced tasks may have none."""
    predicted: tuple[Int64[np.ndarray, " _"], ...]
    """Way that the classifier took each query for; right where it is the query's own."""
    classifier: str
    """Name of the classifier, as in the recipe."""
    features: str
    """Name of the features, as in the recipe."""
    projection: Projection | None = None
    """Its features in the plane."""

    @property
    def right(self) -> int:
        """Queries recognized."""
        return sum(int((answers == way).sum()) for way, answers in enumerate(self.predicted))

    @property
    def queries(self) -> int:
        """Queries in all."""
        return sum(map(len, self.predicted))

    @classmethod
    def from_evaluation(
        cls, image: ImageOf, known: FeatureSet, task: evaluate.ExampleTask, *, classifier: str, features: str
    ) -> "DrawnTask":
        """The images behind a task of the evaluation.

        Args:
            image: an image by its row, as `ImageDatasets.image` gives it.
            known: the features that the task was drawn from, which know their images.
        """
        episode, rows = task.episode, known.rows.cpu().numpy()
        places = {"support": (episode.support, episode.support_ways), "query": (episode.query, episode.query_ways)}
        images = {
            name: tuple(_stacked(image, rows[found[0][ways[0] == way].numpy()].tolist()) for way in range(episode.ways))
            for name, (found, ways) in places.items()
        }
        return cls(
            class_names=tuple(known.class_names[number] for number in episode.classes[0].tolist()),
            support=images["support"],
            query=images["query"],
            predicted=tuple(task.predicted[episode.query_ways[0] == way].numpy() for way in range(episode.ways)),
            classifier=classifier,
            features=features,
            projection=project_task(known, task),
        )


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One image on the page."""

    source: str
    """The PNG itself, as a data URI."""
    width: int
    """In pixels."""
    height: int
    """In pixels."""
    alt: str
    note: str = ""
    """What stands below it."""


@dataclass(frozen=True, kw_only=True)
class ClassTiles:
    """Images of one class."""

    name: str
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, kw_only=True)
class SplitSample:
    """A split in numbers, and a few images of a few of its classes."""

    split: Split
    classes: int
    images: int
    sample: tuple[ClassTiles, ...]


@dataclass(frozen=True, kw_only=True)
class TaskRow:
    """One class of a drawn task."""

    name: str
    support: tuple[Tile, ...]
    queries: tuple[Tile, ...]
    right: int
    """Queries recognized, of all and not only of those drawn."""
    total: int


def _stacked(image: ImageOf, rows: list[int]) -> UInt8[np.ndarray, "_ _ _ 3"]:
    return np.stack([image(row) for row in rows]) if rows else np.empty((0, 1, 1, 3), dtype=np.uint8)


def sample_splits(datasets: ImageDatasets, classes: int = 6, images: int = 4) -> tuple[SplitSample, ...]:
    """Classes and images at equal distances through each split, the same ones each time."""
    samples = []
    for split in SPLITS:
        dataset = datasets.of(split)
        numbers = dataset.splits.get(split, ())
        if numbers:
            chosen = [numbers[place] for place in _spread(len(numbers), classes)]
            sample = tuple(_class_tiles(dataset, number, images) for number in chosen)
            samples.append(SplitSample(split=split, classes=len(numbers), images=len(dataset.rows(split)), sample=sample))
    return tuple(samples)


def draw_task(example: DrawnTask) -> tuple[TaskRow, ...]:
    """A row a class: support images, then queries in green frames, or in red ones with the class they were taken for."""
    rows = []
    for way, name in list(enumerate(example.class_names))[:MAX_WAYS]:
        support = tuple(
            image_tile(image, alt=f"support image {number} of {name}")
            for number, image in enumerate(example.support[way][:MAX_SUPPORT], start=1)
        )
        answers = list(zip(example.query[way], example.predicted[way].tolist(), strict=True))
        queries = tuple(_query_tile(image, name, example.class_names[answer], answer == way) for image, answer in answers[:MAX_QUERIES])
        right = sum(answer == way for _, answer in answers)
        rows.append(TaskRow(name=name, support=support, queries=queries, right=right, total=len(answers)))
    return tuple(rows)


def image_tile(image: UInt8[np.ndarray, "height width 3"], *, alt: str, note: str = "", frame: tuple[int, int, int] | None = None) -> Tile:
    """An image at the size of the page, in a frame of that color if one is given."""
    drawn = resized(image)
    if frame is not None:
        drawn = framed(drawn, frame)
    written = io.BytesIO()
    Image.fromarray(drawn).save(written, format="PNG", optimize=True)
    source = "data:image/png;base64," + base64.b64encode(written.getvalue()).decode("ascii")
    return Tile(source=source, width=drawn.shape[1], height=drawn.shape[0], alt=alt, note=note)


def resized(image: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "tall wide 3"]:
    """A small image enlarged by a whole factor, each pixel a square of one color; a large one reduced."""
    size = max(image.shape[:2])
    if size > LARGEST:
        height, width = (max(1, round(length * LARGEST / size)) for length in image.shape[:2])
        return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize((width, height), Image.Resampling.LANCZOS))
    factor = max(1, round(TILE / size))
    return np.ascontiguousarray(image.repeat(factor, axis=0).repeat(factor, axis=1))


def framed(image: UInt8[np.ndarray, "height width 3"], color: tuple[int, int, int]) -> UInt8[np.ndarray, "tall wide 3"]:
    """An image with a frame around it, which hides none of it."""
    height, width = image.shape[:2]
    drawn = np.empty((height + 2 * FRAME, width + 2 * FRAME, 3), dtype=np.uint8)
    drawn[:] = color
    drawn[FRAME:-FRAME, FRAME:-FRAME] = image
    return drawn


def _query_tile(image: UInt8[np.ndarray, "height width 3"], name: str, answer: str, right: bool) -> Tile:
    if right:
        return image_tile(image, frame=RIGHT, alt=f"{name}, recognized")
    return image_tile(image, frame=WRONG, alt=f"{name}, taken for {answer}", note=answer)


def _class_tiles(dataset: ImageDataset, number: int, images: int) -> ClassTiles:
    rows, name = np.flatnonzero(dataset.labels == number), dataset.class_names[number]
    chosen = rows[_spread(len(rows), images)]
    return ClassTiles(name=name, tiles=tuple(image_tile(dataset.images[row], alt=f"an image of {name}") for row in chosen))


def _spread(count: int, wanted: int) -> list[int]:
    """Up to `wanted` of `count` places, at equal distances."""
    return [place * count // min(count, wanted) for place in range(min(count, wanted))]
