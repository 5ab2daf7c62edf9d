"""Images of a report: some of each split, and sampled tasks with their predictions and their features in the plane."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from PIL import Image

from s2m2.data.catalog import ImageDatasets
from s2m2.data.dataset import SPLITS, ImageDataset, Split
from s2m2.evaluation.accuracies import ExampleTask
from s2m2.evaluation.details import HardTaskDetails, HardWay
from s2m2.evaluation.features import FeatureSet
from s2m2.reports.plots import CATEGORY_COLORS, COLORS, MARKERS, Plot, canvas, legend_above, styled

TILE_SIZE = 60
"""Approximate size of an image on the page, in pixels: small images are enlarged by a whole factor, each pixel a square."""
MAX_TILE_SIZE = 96
"""Larger images are reduced to this size, which keeps the page small."""
THUMBNAIL_SIZE = 40
"""Larger side of a thumbnail, in pixels."""
FRAME = 4
"""Width of a frame, in pixels."""
CORRECT, WRONG = (46, 160, 87), (214, 61, 46)
"""Color of the frame of a query by its prediction."""
MAX_WAYS, MAX_SUPPORT, MAX_QUERIES = 10, 5, 15
"""Shown of a task; the rest is only counted."""
MAX_HARD = 6
"""Shown classes of a hard task, and wrong queries of each."""
MAX_PROJECTED = 60
"""Projected queries per class; more would take long and hide each other."""
MAX_NAME = 18
"""Characters of a class name beside a plot."""

ImageOf = Callable[[int], UInt8[np.ndarray, "height width 3"]]
"""An image by its index."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One image on the page."""

    source: str
    """The file itself, as a data URI."""
    width: int
    """In pixels."""
    height: int
    """In pixels."""
    alt: str
    note: str = ""
    """Text below it."""


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
class WayTiles:
    """One class of a task: its support images and its queries."""

    name: str
    support: tuple[Tile, ...]
    queries: tuple[Tile, ...]
    """Of a hard task, only those classified wrongly."""
    correct: int
    """Queries classified correctly, among all and not only those shown."""
    total: int


@dataclass(frozen=True, kw_only=True)
class HardTaskTiles:
    """One of the hardest tasks."""

    number: int
    accuracy: float
    classes: int
    ways: tuple[WayTiles, ...]
    """Those with the most mistakes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection:
    """Support and queries of a task as points in the plane; neighbors are neighbors among the features."""

    points: Float32[np.ndarray, "item 2"]
    ways: Int64[np.ndarray, " item"]
    support: Bool[np.ndarray, " item"]
    class_names: tuple[str, ...]
    """Of each way."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnTask:
    """One task, its images and the predictions of a classifier."""

    class_names: tuple[str, ...]
    """Of each way."""
    support: tuple[UInt8[np.ndarray, "_ _ _ 3"], ...]
    """Of each way, "shot height width 3"."""
    query: tuple[UInt8[np.ndarray, "_ _ _ 3"], ...]
    """Of each way, "query height width 3"; a way of unbalanced tasks may have none."""
    predicted: tuple[Int64[np.ndarray, " _"], ...]
    """Predicted way of each query; correct where it is the query's own."""
    classifier: str
    """Name in the recipe."""
    features: str
    """Name in the recipe."""
    projection: Projection | None = None

    @property
    def correct(self) -> int:
        """Queries classified correctly."""
        return sum(int((predicted == way).sum()) for way, predicted in enumerate(self.predicted))

    @property
    def queries(self) -> int:
        """Queries in all."""
        return sum(map(len, self.predicted))

    @classmethod
    def from_evaluation(cls, image: ImageOf, feature_set: FeatureSet, task: ExampleTask, *, classifier: str, features: str) -> "DrawnTask":
        """The images behind a task of the evaluation.

        Args:
            image: an image by its index, as `ImageDatasets.image` gives it.
            feature_set: the features that the task was sampled from, with the indices of their images.
        """
        episode, indices = task.episode, feature_set.indices.cpu().numpy()

        def by_way(items: np.ndarray, ways: np.ndarray) -> tuple[UInt8[np.ndarray, "_ _ _ 3"], ...]:
            return tuple(_stacked(image, indices[items[ways == way]].tolist()) for way in range(episode.ways))

        return cls(
            class_names=tuple(feature_set.class_names[number] for number in episode.classes[0].tolist()),
            support=by_way(episode.support[0].numpy(), episode.support_ways[0].numpy()),
            query=by_way(episode.query[0].numpy(), episode.query_ways[0].numpy()),
            predicted=tuple(task.predicted[episode.query_ways[0] == way].numpy() for way in range(episode.ways)),
            classifier=classifier,
            features=features,
            projection=project_task(feature_set, task),
        )


def sample_splits(datasets: ImageDatasets, classes: int = 6, images: int = 4) -> tuple[SplitSample, ...]:
    """Classes and images at equal distances through each split, the same at every call."""
    samples = []
    for split in SPLITS:
        dataset = datasets.of(split)
        numbers = dataset.splits.get(split, ())
        if numbers:
            sample = tuple(_class_tiles(dataset, numbers[position], images) for position in _spread(len(numbers), classes))
            samples.append(SplitSample(split=split, classes=len(numbers), images=len(dataset.indices(split)), sample=sample))
    return tuple(samples)


def task_tiles(task: DrawnTask) -> tuple[WayTiles, ...]:
    """The classes of a task: support images, then queries in green frames, or in red ones with the predicted class."""
    ways = []
    for way, name in list(enumerate(task.class_names))[:MAX_WAYS]:
        support = tuple(
            image_tile(image, alt=f"support image {number} of {name}")
            for number, image in enumerate(task.support[way][:MAX_SUPPORT], start=1)
        )
        predictions = list(zip(task.query[way], task.predicted[way].tolist(), strict=True))
        queries = tuple(
            _query_tile(image, name, task.class_names[predicted], predicted == way) for image, predicted in predictions[:MAX_QUERIES]
        )
        correct = sum(predicted == way for _, predicted in predictions)
        ways.append(WayTiles(name=name, support=support, queries=queries, correct=correct, total=len(predictions)))
    return tuple(ways)


def hard_task_tiles(task: HardTaskDetails, image: ImageOf) -> HardTaskTiles:
    """Thumbnails of a hard task: the classes with the most mistakes, each with its support and its wrongly classified queries."""
    worst = sorted(task.ways, key=lambda way: way.right - way.queries)[:MAX_HARD]
    return HardTaskTiles(
        number=task.number,
        accuracy=task.accuracy,
        classes=len(task.ways),
        ways=tuple(_hard_way(way, task, image) for way in worst),
    )


def _hard_way(way: HardWay, task: HardTaskDetails, image: ImageOf) -> WayTiles:
    queries = []
    for index, predicted in way.wrong[:MAX_HARD]:
        name = task.ways[predicted].name
        queries.append(thumbnail(image(index), alt=f"{way.name}, classified as {name}", note=name))
    return WayTiles(
        name=way.name,
        support=tuple(thumbnail(image(index), alt=f"support image of {way.name}") for index in way.support),
        queries=tuple(queries),
        correct=way.right,
        total=way.queries,
    )


def image_tile(image: UInt8[np.ndarray, "height width 3"], *, alt: str, note: str = "", frame: tuple[int, int, int] | None = None) -> Tile:
    """An image at the size of the page, in a frame of a color if one is given."""
    scaled = resized(image)
    if frame is not None:
        scaled = framed(scaled, frame)
    height, width = scaled.shape[:2]
    return Tile(source=data_uri(Image.fromarray(scaled), "png", optimize=True), width=width, height=height, alt=alt, note=note)


def thumbnail(image: UInt8[np.ndarray, "height width 3"], *, alt: str, note: str = "") -> Tile:
    """An image in few bytes: as PNG or as JPEG, whichever is smaller, reduced if it is large."""
    size = max(image.shape[:2])
    height, width = _scaled_shape(image, THUMBNAIL_SIZE)
    reduced = Image.fromarray(np.ascontiguousarray(image))
    if size > THUMBNAIL_SIZE:
        reduced = reduced.resize((width, height), Image.Resampling.LANCZOS)
    source = min((data_uri(reduced, "png", optimize=True), data_uri(reduced, "jpeg", optimize=True, quality=85)), key=len)
    return Tile(source=source, width=width, height=height, alt=alt, note=note)


def data_uri(image: Image.Image, kind: str, **options: int | bool) -> str:
    """An image file as a data URI."""
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def resized(image: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "tall wide 3"]:
    """A small image enlarged by a whole factor, each pixel a square of one color; a large one reduced."""
    size = max(image.shape[:2])
    if size > MAX_TILE_SIZE:
        height, width = _scaled_shape(image, MAX_TILE_SIZE)
        return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize((width, height), Image.Resampling.LANCZOS))
    factor = max(1, round(TILE_SIZE / size))
    return np.ascontiguousarray(image.repeat(factor, axis=0).repeat(factor, axis=1))


def framed(image: UInt8[np.ndarray, "height width 3"], color: tuple[int, int, int]) -> UInt8[np.ndarray, "tall wide 3"]:
    """An image with a frame around it, which hides none of it."""
    height, width = image.shape[:2]
    framed_image = np.empty((height + 2 * FRAME, width + 2 * FRAME, 3), dtype=np.uint8)
    framed_image[:] = color
    framed_image[FRAME:-FRAME, FRAME:-FRAME] = image
    return framed_image


def _scaled_shape(image: UInt8[np.ndarray, "height width 3"], size: int) -> tuple[int, int]:
    height, width = (max(1, round(length * size / max(image.shape[:2]))) for length in image.shape[:2])
    return height, width


def _query_tile(image: UInt8[np.ndarray, "height width 3"], name: str, predicted: str, correct: bool) -> Tile:
    if correct:
        return image_tile(image, frame=CORRECT, alt=f"{name}, classified correctly")
    return image_tile(image, frame=WRONG, alt=f"{name}, classified as {predicted}", note=predicted)


def _class_tiles(dataset: ImageDataset, number: int, images: int) -> ClassTiles:
    indices, name = np.flatnonzero(dataset.labels == number), dataset.class_names[number]
    chosen = indices[_spread(len(indices), images)]
    return ClassTiles(name=name, tiles=tuple(image_tile(dataset.image(int(index)), alt=f"an image of {name}") for index in chosen))


def _spread(count: int, wanted: int) -> list[int]:
    """Up to `wanted` of `count` positions, at equal distances."""
    return [position * count // min(count, wanted) for position in range(min(count, wanted))]


def _stacked(image: ImageOf, indices: list[int]) -> UInt8[np.ndarray, "_ _ _ 3"]:
    return np.stack([image(index) for index in indices]) if indices else np.empty((0, 1, 1, 3), dtype=np.uint8)


def project_task(feature_set: FeatureSet, task: ExampleTask) -> Projection | None:
    """t-SNE of a task's features (van der Maaten and Hinton, JMLR 2008), the same at every call; None for fewer than ten features.

    Args:
        feature_set: the features that the task was sampled from.
    """
    episode = task.episode
    by_way = [np.flatnonzero(episode.query_ways[0].numpy() == way)[:MAX_PROJECTED] for way in range(episode.ways)]
    queries = np.concatenate(by_way)
    indices = np.concatenate([episode.support[0].numpy(), episode.query[0].numpy()[queries]])
    if len(indices) < 10:
        return None
    return Projection(
        points=project(feature_set.features[indices].cpu().numpy()),
        ways=np.concatenate([episode.support_ways[0].numpy(), episode.query_ways[0].numpy()[queries]]),
        support=np.arange(len(indices)) < episode.support.shape[1],
        class_names=tuple(feature_set.class_names[number] for number in episode.classes[0].tolist()),
    )


def project(features: Float[np.ndarray, "item dim"]) -> Float32[np.ndarray, "item 2"]:
    """t-SNE with scikit-learn's settings except for the perplexity, smaller for a task of few images."""
    from sklearn.manifold import TSNE  # takes a second to import

    if not np.any(features != features[0]):
        return np.zeros((len(features), 2), dtype=np.float32)
    perplexity = min(30.0, (len(features) - 1) / 3)
    points = TSNE(perplexity=perplexity, init="pca" if features.shape[1] > 1 else "random", random_state=0).fit_transform(features)
    return np.asarray(points, dtype=np.float32)


def projection_plot(projection: Projection) -> Plot:
    """The features of one task in the plane: a color and a marker for each class, stars for the support."""
    with styled(**{"axes.grid": False}):
        figure, axes = canvas("", "")
        figure.set_size_inches(4.4, 3.0 + 0.17 * -(-len(projection.class_names) // 2))
        for way, name in enumerate(projection.class_names):
            color, marker = COLORS[CATEGORY_COLORS[way % len(CATEGORY_COLORS)]], MARKERS[way % len(MARKERS)]
            of_way = projection.ways == way
            query, support = projection.points[of_way & ~projection.support], projection.points[of_way & projection.support]
            axes.scatter(query[:, 0], query[:, 1], s=12, color=color, marker=marker, alpha=0.65, linewidths=0, label=short_name(name))
            axes.scatter(support[:, 0], support[:, 1], s=90, color=color, marker="*", edgecolors=COLORS["ink"], linewidths=0.7, label="_")
        axes.set_xticks([])
        axes.set_yticks([])
        legend_above(axes, columns=2)
    names = ", ".join(projection.class_names)
    words = f"t-SNE of the features of one task with the classes {names}; stars mark the support."
    return Plot(title="Its features in the plane", description=words, figure=figure)


def short_name(name: str) -> str:
    """A class name short enough for a plot. An escaped dollar begins no formula."""
    return (name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…").replace("$", r"\$")
