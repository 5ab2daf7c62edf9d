"""Summaries of single images, and groups of equal ones."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s2m2.data.decode import ImageFile, StoredImage
from s2m2.data.inspection.observation import equal_groups, summarize, summarize_listed
from tests.data.files import noise_image


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.asarray(noise_image(width, height, seed))


def test_moments_are_those_of_numpy_in_float64() -> None:
    image = noise(7, 5)
    scaled = image.astype(np.float64) / 255
    np.testing.assert_allclose(summarize(image).moments, [scaled.mean(axis=(0, 1)), (scaled**2).mean(axis=(0, 1))], rtol=1e-12)


def test_equal_pixels_have_equal_digests_and_others_have_not() -> None:
    image = noise(6, 4)
    other = image.copy()
    other[5, 3, 2] ^= 1
    # The same bytes as an image of another size are another image.
    reshaped = image.reshape(4, 6, 3)
    digests = [summarize(variant).digest for variant in (image, image[:, ::-1][:, ::-1], other, reshaped)]
    assert digests[0] == digests[1] == hashlib.sha256(b"4x6:" + image.tobytes()).digest()[:16]
    assert len(set(digests)) == 3


def test_one_color_and_gray_are_told_apart() -> None:
    red = np.full((4, 4, 3), (200, 0, 0), dtype=np.uint8)
    gray = noise(4, 4)[..., :1].repeat(3, axis=2)
    shuffled = gray.copy()
    shuffled[..., 1] = shuffled[::-1, :, 1]  # equal histograms, but not gray
    flags = [(summary.constant, summary.gray) for summary in map(summarize, (red, gray, shuffled, np.zeros((4, 4, 3), dtype=np.uint8)))]
    assert flags == [(True, False), (False, True), (False, False), (True, True)]


@pytest.mark.parametrize(("height", "width"), [(3, 8), (1, 1)])
def test_size_is_width_then_height(height: int, width: int) -> None:
    assert summarize(noise(height, width)).size == (width, height)


def test_damaged_files_are_noted_with_a_reason_that_repeats_no_path(tmp_path: Path) -> None:
    noise_image(40, 40).save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    for name, damaged in {"short.png": content[: len(content) // 2], "empty.png": b"", "text.png": b"no image"}.items():
        (tmp_path / name).write_bytes(damaged)
    images = [ImageFile(path=tmp_path / name) for name in ("short.png", "whole.png", "empty.png", "text.png", "missing.png")]
    images.append(StoredImage(archive=tmp_path / "archive", index=3, content=b"nothing"))
    reasons = [summary.reason for summary in summarize_listed(images)]
    assert reasons[1] is None
    assert "truncated" in (reasons[0] or "").lower()
    assert reasons[2:4] == ["the file is empty", "the content is that of no image"]
    assert "No such file" in (reasons[4] or "")
    assert reasons[5] == reasons[3]


def test_an_image_in_its_box_and_rotated_is_seen_as_it_counts(tmp_path: Path) -> None:
    Image.fromarray(noise(9, 7)).save(tmp_path / "a.png")
    (summary,) = summarize_listed([ImageFile(path=tmp_path / "a.png", box=(1, 2, 6, 5), rot90=1)])
    assert summary.digest == summarize(np.rot90(noise(9, 7)[2:5, 1:6])).digest
    assert summary.size == (3, 5)


def slow_groups(hashes: np.ndarray, readable: np.ndarray) -> list[list[int]]:
    members: dict[bytes, list[int]] = {}
    for index in range(len(hashes)):
        if readable[index]:
            members.setdefault(hashes[index].tobytes(), []).append(index)
    return [indices for indices in members.values() if len(indices) > 1]


def test_groups_are_those_of_a_dictionary() -> None:
    rng = np.random.default_rng(0)
    for count in (0, 1, 2, 40, 300):
        # Few values, so that the halves of hashes agree by themselves far more often than both do.
        hashes = rng.integers(0, 12, (count, 2)).astype(np.uint64)
        readable = rng.random(count) < 0.8
        assert [group.tolist() for group in equal_groups(hashes, readable)] == slow_groups(hashes, readable)


def test_all_equal_is_one_group() -> None:
    (group,) = equal_groups(np.zeros((5, 2), dtype=np.uint64), np.ones(5, dtype=np.bool_))
    assert group.tolist() == [0, 1, 2, 3, 4]
