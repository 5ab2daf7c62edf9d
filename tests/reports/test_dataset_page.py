import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from s2m2.data.dataset import ImageDataset, dataset_digest
from s2m2.data.inspection import dataset_subject, diagnose, observe
from s2m2.reports.dataset_page import GAP, STORED_SIZE, class_strips, image_strip, write_dataset_page
from tests.reports.made_up import made_up_dataset


def with_digest(dataset: ImageDataset) -> ImageDataset:
    return replace(dataset, digest=dataset_digest(dataset.images, dataset.labels, dataset.class_names, dataset.splits, dataset.settings))


def page_of(dataset: ImageDataset, path: Path, images: int = 3) -> str:
    subject = dataset_subject(dataset, path="a place")
    observations = observe(subject)
    write_dataset_page(
        path, subject, observations, diagnose(subject, observations, ways=5, shots=1, queries=3), task="some tasks", images=images
    )
    return path.read_text(encoding="utf-8")


def image_of(source: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(source.partition("base64,")[2])))


def test_the_page_loads_nothing_and_escapes_names(tmp_path: Path) -> None:
    page = page_of(with_digest(made_up_dataset()), tmp_path / "page.html")
    assert not re.search(r"(src|href)=\"(?!data:image/)", page)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_every_class_has_its_count_and_a_strip_of_images(tmp_path: Path) -> None:
    page = page_of(with_digest(made_up_dataset()), tmp_path / "page.html")
    for number in range(1, 10):
        assert f"class {number} <small>8</small>" in page
    assert page.count("data:image/webp") == 10
    assert "data:image" not in page_of(with_digest(made_up_dataset()), tmp_path / "page.html", images=0)


def test_findings_come_with_images_and_all_their_names(tmp_path: Path) -> None:
    dataset = made_up_dataset(each=40)
    dataset.images[40:75] = dataset.images[0:35]
    page = page_of(with_digest(dataset), tmp_path / "page.html")
    assert "made up: 3 findings" in page
    assert "35 sets of exactly equal images in different classes of one split" in page
    for row in range(40, 75):
        assert f"class 1 #{row} (base)" in page
    assert page.count('<div class="set"><img') == 24
    assert "Validation has 2 classes, but a 5-way task needs 5" in page


def test_the_page_says_why_a_dataset_is_not_usable(tmp_path: Path) -> None:
    page = page_of(made_up_dataset(), tmp_path / "page.html")
    assert "made up: not usable" in page
    assert "which does not match its content" in page
    assert "</code>, verified." in page_of(with_digest(made_up_dataset()), tmp_path / "page.html")


def test_small_images_of_a_strip_are_kept_pixel_by_pixel() -> None:
    images = [np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8) for seed in range(3)]
    tile = image_strip(images, alt="noise")
    strip = np.asarray(image_of(tile.source))
    assert (tile.width, tile.height) == (2 * strip.shape[1], 2 * strip.shape[0]) == (3 * 64 + 2 * GAP, 64)
    for number, image in enumerate(images):
        left = number * 34
        np.testing.assert_array_equal(strip[:, left : left + 32, :3], image)
    assert not strip[:, 32:34, 3].any()


def test_large_images_of_a_strip_are_reduced_and_keep_their_proportions() -> None:
    tile = image_strip([np.zeros((100, 200, 3), dtype=np.uint8), np.zeros((300, 100, 3), dtype=np.uint8)], alt="black")
    strip = np.asarray(image_of(tile.source))
    assert strip.shape == (STORED_SIZE, 96 + 6 + 32, 4)
    assert strip[..., 3].any(axis=0).sum() == 96 + 32
    assert (tile.width, tile.height) == (89, 64)


def test_strips_show_readable_images_of_their_class_only() -> None:
    dataset = made_up_dataset()
    readable = np.ones(len(dataset.labels), dtype=np.bool_)
    readable[[8, 9, 10]] = False
    readable[16:24] = False
    shown: list[int] = []

    def read(row: int) -> np.ndarray:
        shown.append(row)
        return dataset.images[row]

    subject = replace(dataset_subject(dataset, path="dataset"), read=read)
    strips = class_strips(subject, readable, np.bincount(dataset.labels), 6, workers=1)
    assert [row for row in shown if 8 <= row < 16] == [11, 12, 13, 14, 15]
    assert len([row for row in shown if row < 8]) == 6
    assert strips[2].strip is None
    assert strips[2].images == 8
