import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s2m2.data.image import ImageFile, StoredImage
from s2m2.data.look import look_at, look_at_images
from tests.data.images import noise_image


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.asarray(noise_image(width, height, seed))


def test_moments_are_those_of_numpy_in_float64() -> None:
    image = noise(7, 5)
    scaled = image.astype(np.float64) / 255
    np.testing.assert_allclose(look_at(image).moments, [scaled.mean(axis=(0, 1)), (scaled**2).mean(axis=(0, 1))], rtol=1e-12)


def test_equal_pixels_have_equal_digests_and_others_have_not() -> None:
    image = noise(6, 4)
    other = image.copy()
    other[5, 3, 2] ^= 1
    # The same bytes as an image of another size are another image.
    reshaped = image.reshape(4, 6, 3)
    digests = [look_at(drawn).digest for drawn in (image, image[:, ::-1][:, ::-1], other, reshaped)]
    assert digests[0] == digests[1] == hashlib.sha256(b"4x6:" + image.tobytes()).digest()[:16]
    assert len(set(digests)) == 3


def test_one_color_and_grey_are_told_apart() -> None:
    red = np.full((4, 4, 3), (200, 0, 0), dtype=np.uint8)
    gray = noise(4, 4)[..., :1].repeat(3, axis=2)
    shuffled = gray.copy()
    shuffled[..., 1] = shuffled[::-1, :, 1]  # equal histograms, but not gray
    seen = [(look.constant, look.gray) for look in map(look_at, (red, gray, shuffled, np.zeros((4, 4, 3), dtype=np.uint8)))]
    assert seen == [(True, False), (False, True), (False, False), (True, True)]


@pytest.mark.parametrize(("height", "width"), [(3, 8), (1, 1)])
def test_size_is_width_then_height(height: int, width: int) -> None:
    assert look_at(noise(height, width)).size == (width, height)


def test_damaged_files_are_noted_with_a_reason_that_repeats_no_path(tmp_path: Path) -> None:
    noise_image(40, 40).save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    for name, damaged in {"short.png": content[: len(content) // 2], "empty.png": b"", "text.png": b"no image"}.items():
        (tmp_path / name).write_bytes(damaged)
    images = [ImageFile(path=tmp_path / name) for name in ("short.png", "whole.png", "empty.png", "text.png", "missing.png")]
    images.append(StoredImage(archive=tmp_path / "archive", row=3, content=b"nothing"))
    reasons = [look.reason for look in look_at_images(images)]
    assert reasons[1] is None
    assert "truncated" in (reasons[0] or "").lower()
    assert reasons[2:4] == ["the file is empty", "the content is that of no image"]
    assert "No such file" in (reasons[4] or "")
    assert reasons[5] == reasons[3]


def test_a_image_in_its_box_and_turned_is_seen_as_it_counts(tmp_path: Path) -> None:
    Image.fromarray(noise(9, 7)).save(tmp_path / "a.png")
    (look,) = look_at_images([ImageFile(path=tmp_path / "a.png", box=(1, 2, 6, 5), rot90=1)])
    assert look.digest == look_at(np.rot90(noise(9, 7)[2:5, 1:6])).digest
    assert look.size == (3, 5)
