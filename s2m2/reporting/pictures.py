"""Pictures for the report: some of each split, and one task with its predictions. Small ones are enlarged without blur."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image

from s2m2.data.catalog import ImageTables
from s2m2.data.table import SPLITS, ImageTable, Split
from s2m2.evaluation import evaluate
from s2m2.evaluation.features import FeatureTable
from s2m2.reporting.projection import Projection, project_task

TILE = 60
"""Side that a picture is drawn at, in pixels, about: small ones are enlarged by a whole factor, so that every pixel is a square."""
LARGEST = 96
"""Side above which a picture is reduced, which keeps the page small."""
FRAME = 4
"""Width of a frame, in pixels."""
RIGHT, WRONG = (46, 160, 87), (214, 61, 46)
"""Frame of a query that was, or was not, recognised."""
MOST_WAYS, MOST_SUPPORT, MOST_QUERIES = 10, 5, 15
"""What is drawn of a task; the rest is counted only."""

PictureOf = Callable[[int], UInt8[np.ndarray, "height width 3"]]
"""A picture by its row."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnTask:
    """One task, its pictures and what a head made of it."""

    class_names: tuple[str, ...]
    """Of each way."""
    support: tuple[UInt8[np.ndarray, "_ _ _ 3"], ...]
    """Of each way, "shot height width 3"."""
    query: tuple[UInt8[np.ndarray, "_ _ _ 3"], ...]
    """Of each way, "query height width 3"; a way of unbalanced tasks may have none."""
    predicted: tuple[Int64[np.ndarray, " _"], ...]
    """Way that the head took each query for; right where it is the query's own."""
    head: str
    """Name of the head, as in the recipe."""
    features: str
    """Name of the features, as in the recipe."""
    projection: Projection | None = None
    """Its features in the plane."""

    @property
    def right(self) -> int:
        """Queries recognised."""
        return sum(int((answers == way).sum()) for way, answers in enumerate(self.predicted))

    @property
    def queries(self) -> int:
        """Queries in all."""
        return sum(map(len, self.predicted))

    @classmethod
    def from_evaluation(
        cls, picture: PictureOf, known: FeatureTable, task: evaluate.ExampleTask, *, head: str, features: str
    ) -> "DrawnTask":
        """The pictures behind a task of the evaluation.

        Args:
            picture: a picture by its row, as `ImageTables.picture` gives it.
            known: the features that the task was drawn from, which know their pictures.
        """
        episode, rows = task.episode, known.rows.cpu().numpy()
        places = {"support": (episode.support, episode.support_ways), "query": (episode.query, episode.query_ways)}
        pictures = {
            name: tuple(_stacked(picture, rows[found[0][ways[0] == way].numpy()].tolist()) for way in range(episode.ways))
            for name, (found, ways) in places.items()
        }
        return cls(
            class_names=tuple(known.class_names[number] for number in episode.classes[0].tolist()),
            support=pictures["support"],
            query=pictures["query"],
            predicted=tuple(task.predicted[episode.query_ways[0] == way].numpy() for way in range(episode.ways)),
            head=head,
            features=features,
            projection=project_task(known, task),
        )


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One picture on the page."""

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
    """Pictures of one class."""

    name: str
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, kw_only=True)
class SplitSample:
    """A split in numbers, and a few pictures of a few of its classes."""

    split: Split
    classes: int
    pictures: int
    sample: tuple[ClassTiles, ...]


@dataclass(frozen=True, kw_only=True)
class TaskRow:
    """One class of a drawn task."""

    name: str
    support: tuple[Tile, ...]
    queries: tuple[Tile, ...]
    right: int
    """Queries recognised, of all and not only of those drawn."""
    total: int


def _stacked(picture: PictureOf, rows: list[int]) -> UInt8[np.ndarray, "_ _ _ 3"]:
    return np.stack([picture(row) for row in rows]) if rows else np.empty((0, 1, 1, 3), dtype=np.uint8)


def sample_splits(tables: ImageTables, classes: int = 6, pictures: int = 4) -> tuple[SplitSample, ...]:
    """Classes and pictures at equal distances through each split, the same ones each time."""
    samples = []
    for split in SPLITS:
        table = tables.of(split)
        numbers = table.splits.get(split, ())
        if numbers:
            chosen = [numbers[place] for place in _spread(len(numbers), classes)]
            sample = tuple(_class_tiles(table, number, pictures) for number in chosen)
            samples.append(SplitSample(split=split, classes=len(numbers), pictures=len(table.rows(split)), sample=sample))
    return tuple(samples)


def draw_task(example: DrawnTask) -> tuple[TaskRow, ...]:
    """A row a class: support pictures, then queries in green frames, or in red ones with the class they were taken for."""
    rows = []
    for way, name in list(enumerate(example.class_names))[:MOST_WAYS]:
        support = tuple(
            picture_tile(image, alt=f"support picture {number} of {name}")
            for number, image in enumerate(example.support[way][:MOST_SUPPORT], start=1)
        )
        answers = list(zip(example.query[way], example.predicted[way].tolist(), strict=True))
        queries = tuple(_query_tile(image, name, example.class_names[answer], answer == way) for image, answer in answers[:MOST_QUERIES])
        right = sum(answer == way for _, answer in answers)
        rows.append(TaskRow(name=name, support=support, queries=queries, right=right, total=len(answers)))
    return tuple(rows)


def picture_tile(
    image: UInt8[np.ndarray, "height width 3"], *, alt: str, note: str = "", frame: tuple[int, int, int] | None = None
) -> Tile:
    """A picture at the size of the page, in a frame of that colour if one is given."""
    drawn = resized(image)
    if frame is not None:
        drawn = framed(drawn, frame)
    written = io.BytesIO()
    Image.fromarray(drawn).save(written, format="PNG", optimize=True)
    source = "data:image/png;base64," + base64.b64encode(written.getvalue()).decode("ascii")
    return Tile(source=source, width=drawn.shape[1], height=drawn.shape[0], alt=alt, note=note)


def resized(image: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "tall wide 3"]:
    """A small picture enlarged by a whole factor, each pixel a square of one colour; a large one reduced."""
    side = max(image.shape[:2])
    if side > LARGEST:
        height, width = (max(1, round(length * LARGEST / side)) for length in image.shape[:2])
        return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize((width, height), Image.Resampling.LANCZOS))
    factor = max(1, round(TILE / side))
    return np.ascontiguousarray(image.repeat(factor, axis=0).repeat(factor, axis=1))


def framed(image: UInt8[np.ndarray, "height width 3"], colour: tuple[int, int, int]) -> UInt8[np.ndarray, "tall wide 3"]:
    """A picture with a frame around it, which hides none of it."""
    height, width = image.shape[:2]
    drawn = np.empty((height + 2 * FRAME, width + 2 * FRAME, 3), dtype=np.uint8)
    drawn[:] = colour
    drawn[FRAME:-FRAME, FRAME:-FRAME] = image
    return drawn


def _query_tile(image: UInt8[np.ndarray, "height width 3"], name: str, answer: str, right: bool) -> Tile:
    if right:
        return picture_tile(image, frame=RIGHT, alt=f"{name}, recognised")
    return picture_tile(image, frame=WRONG, alt=f"{name}, taken for {answer}", note=answer)


def _class_tiles(table: ImageTable, number: int, pictures: int) -> ClassTiles:
    rows, name = np.flatnonzero(table.labels == number), table.class_names[number]
    chosen = rows[_spread(len(rows), pictures)]
    return ClassTiles(name=name, tiles=tuple(picture_tile(table.images[row], alt=f"a picture of {name}") for row in chosen))


def _spread(count: int, wanted: int) -> list[int]:
    """Up to `wanted` of `count` places, at equal distances."""
    return [place * count // min(count, wanted) for place in range(min(count, wanted))]
