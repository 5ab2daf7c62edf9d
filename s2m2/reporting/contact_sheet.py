"""Contact sheets: a few images of every class side by side in one image, small enough that hundreds of them make a page."""

import base64
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, UInt8
from PIL import Image

from s2m2.data.inspection import Subject
from s2m2.reporting.images import Tile

SIZE = 64
"""Side that an image is shown at, in pixels, about."""
STORED_SIZE = 96
"""Side that larger images are reduced to; more than is shown, for screens with fine pixels."""
SMALL = 40
"""Side up to which images are stored as they are, without loss, and shown enlarged, each pixel a square."""
GAP = 4
"""Between two images as shown, in pixels."""
QUALITY = 80
"""Of WebP, of 100, for images that are reduced."""
EFFORT = 2
"""Of WebP, of 6: five times as fast as the default of 4, for files that are a twentieth larger."""


@dataclass(frozen=True, kw_only=True)
class ClassStrip:
    """A class, how many images it has, and some of them."""

    name: str
    images: int
    strip: Tile | None
    """None where no image is shown."""
    pixelated: bool = False
    """Whether pixels are to be enlarged to squares."""


def class_strips(
    subject: Subject, readable: Bool[np.ndarray, " image"], counts: Int64[np.ndarray, " class"], images: int, workers: int = 0
) -> tuple[ClassStrip, ...]:
    """A strip of every class, by class number, of images at equal distances through its readable ones.

    Args:
        counts: images of each class, to be stated.
        images: how many a strip shows at most; 0: none.
        workers: threads that read and shrink; 0: one a CPU core.
    """
    by_class = subject.labels.argsort(kind="stable")
    by_class = by_class[readable[by_class]]
    edges = np.searchsorted(subject.labels[by_class], np.arange(len(subject.class_names) + 1))

    def strip(number: int) -> ClassStrip:
        rows = by_class[edges[number] : edges[number + 1]]
        places = np.unique(np.linspace(0, len(rows) - 1, min(images, len(rows))).round().astype(np.int64))
        shown = [subject.read(int(row)) for row in rows[places]] if images else []
        name = subject.class_names[number]
        if not shown:
            return ClassStrip(name=name, images=int(counts[number]), strip=None)
        small = all(max(image.shape[:2]) <= SMALL for image in shown)
        tile = draw_strip(shown, alt=f"{len(shown)} images of {name}")
        return ClassStrip(name=name, images=int(counts[number]), strip=tile, pixelated=small)

    with ThreadPoolExecutor(workers or os.cpu_count() or 1, thread_name_prefix="strips") as pool:
        return tuple(pool.map(strip, range(len(subject.class_names))))


def draw_strip(images: Sequence[UInt8[np.ndarray, "_ _ 3"]], *, alt: str) -> Tile:
    """Images side by side in one WebP; what is beside them is see-through."""
    small = all(max(image.shape[:2]) <= SMALL for image in images)
    factor = max(1, round(SIZE / max(max(image.shape[:2]) for image in images))) if small else SIZE / STORED_SIZE
    drawn = [Image.fromarray(np.ascontiguousarray(image)) for image in images]
    if not small:
        drawn = [image.resize(_fitted(image.size), Image.Resampling.LANCZOS) for image in drawn]
    gap = round(GAP / factor)
    width = sum(image.width for image in drawn) + gap * (len(drawn) - 1)
    canvas = Image.new("RGBA", (width, max(image.height for image in drawn)))
    left = 0
    for image in drawn:
        canvas.paste(image, (left, 0))
        left += image.width + gap
    written = io.BytesIO()
    canvas.save(written, format="WEBP", lossless=small, quality=QUALITY, method=EFFORT)
    source = "data:image/webp;base64," + base64.b64encode(written.getvalue()).decode("ascii")
    return Tile(source=source, width=round(canvas.width * factor), height=round(canvas.height * factor), alt=alt)


def _fitted(size: tuple[int, int]) -> tuple[int, int]:
    width, height = (max(1, round(length * STORED_SIZE / max(size))) for length in size)
    return width, height
