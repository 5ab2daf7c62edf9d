"""What `s2m2 prepare` costs and keeps: time of both ways to resize, detail of training crops by stored size, time of checksums.

    python -m benchmarks.preparation IMAGES --output benchmarks/reports/preparation-DATE.md

IMAGES is a folder of class folders of photos; some are brought to a long side of 500 pixels first, as CUB and ILSVRC have them.
"""

import argparse
import platform
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from s2m2.data.augment import apply_augmentation, sample_augmentation
from s2m2.data.batches import fetch
from s2m2.data.decode import ImageFile, Resize, decode_image
from s2m2.data.writing import DatasetContents, write_dataset
from s2m2.recipe import AugmentConfig

STORED, LONG_SIDE, SEEN = (92, 256), 500, 80
CROPS = AugmentConfig(scale=(0.08, 1.0), jitter=0.0)
WAYS: tuple[Resize, ...] = ("bilinear", "fast")


def enlarged(files: Sequence[Path], folder: Path) -> list[ImageFile]:
    """JPEGs with a long side of 500 pixels."""
    images = []
    for number, file in enumerate(files):
        with Image.open(file, formats=("JPEG",)) as opened:
            factor = LONG_SIDE / max(opened.size)
            size = round(opened.width * factor), round(opened.height * factor)
            opened.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(folder / f"{number}.jpg", quality=90)
        images.append(ImageFile(path=folder / f"{number}.jpg"))
    return images


def milliseconds(images: Sequence[ImageFile], size: int, way: Resize, repeats: int = 3) -> float:
    """CPU time of an image, the least of some repeats."""
    times = []
    for _ in range(repeats):
        began = time.process_time()
        for image in images:
            decode_image(image, size, "squash", way)
        times.append(time.process_time() - began)
    return 1000 * min(times) / len(images)


def energy(pixels: np.ndarray) -> float:
    """Mean square of the differences of neighboring pixels."""
    return float((np.diff(pixels, axis=0) ** 2).mean() + (np.diff(pixels, axis=1) ** 2).mean())


def crop_energies(images: Iterable[ImageFile]) -> dict[int, float]:
    """Gradient energy of crops from stored squares, as a fraction of that of the same crops from the files."""
    generator, whole, stored = torch.Generator().manual_seed(0), 0.0, dict.fromkeys(STORED, 0.0)
    for image in images:
        with image.open() as opened:
            photo = opened.convert("RGB")
        width, height = photo.size
        crop = sample_augmentation(CROPS, height, width, 1, generator)
        box = [int(edge) for edge in (crop.left, crop.top, crop.left + crop.width, crop.top + crop.height)]
        seen = photo.crop((box[0], box[1], box[2], box[3])).resize((SEEN, SEEN), Image.Resampling.BILINEAR)
        whole += energy(np.asarray(seen, dtype=np.float64))
        for size in STORED:
            square = torch.from_numpy(decode_image(image, size).copy())[None]
            across, down = size / width, size / height
            same = replace(crop, left=crop.left * across, width=crop.width * across, top=crop.top * down, height=crop.height * down)
            same = replace(same, flip=torch.zeros(1, dtype=torch.bool), jitter=torch.ones(1, 3))
            stored[size] += energy(255 * apply_augmentation(square, same, SEEN)[0].permute(1, 2, 0).double().numpy())
    return {size: value / whole for size, value in stored.items()}


def checksum_seconds(folder: Path, images: int = 12_000) -> float:
    """Time of the checksums of as many images as CUB has: of reading all for the first time, less reading them again."""
    pieces = (np.random.default_rng(seed).integers(0, 256, (100, 92, 92, 3), dtype=np.uint8) for seed in range(images // 100))
    labels = np.zeros(images, dtype=np.int64)
    contents = DatasetContents(name="made up", size=(92, 92), labels=labels, class_names=("a",), splits={"base": (0,)}, settings={})
    tensor, seconds = write_dataset(folder, contents, pieces).image_tensor(), []
    for _ in range(2):
        began = time.process_time()
        for batch in torch.randperm(images).split(64):
            fetch(tensor, batch, torch.device("cpu"))
        seconds.append(time.process_time() - began)
    return seconds[0] - seconds[1]


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    files = sorted(given.images.glob("*/*.jpg"))
    with tempfile.TemporaryDirectory() as folder:
        images = enlarged(files[:: max(1, len(files) // given.count)][: given.count], Path(folder))
        rows = [(size, way, milliseconds(images, size, way)) for size in STORED for way in WAYS]
        energies, checksums = crop_energies(images), checksum_seconds(Path(folder) / "dataset")
    lines = [
        f"# What `s2m2 prepare` costs and keeps, {date.today().isoformat()}",
        "",
        f"{len(images)} photos, long side {LONG_SIDE} pixels; CPU time, {platform.machine()}, torch {torch.__version__}.",
        "",
        "| stored size | resize | ms an image |",
        "|---|---|---|",
        *(f"| {size} | {way} | {value:.2f} |" for size, way, value in rows),
        "",
        f"Gradient energy of training crops (scale 0.08 to 1, {SEEN} pixels) against the same crops from the files:",
        "",
        "| stored size | fraction |",
        "|---|---|",
        *(f"| {size} | {value:.2f} |" for size, value in energies.items()),
        "",
        f"Checksums of 12,000 images of 92 pixels (305 MB), once a process, when they are first read: {checksums:.2f} s.",
    ]
    given.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
