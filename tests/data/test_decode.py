"""Decoding of image files of any kind to squares of RGB bytes."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from s2m2.data import decode
from s2m2.data.decode import ImageFile, decode_image, decode_reduced, decode_whole, image_size
from s2m2.errors import InputError
from tests.data.files import noise_image


def decoded(path: Path, image: Image.Image, size: int = 8, **options: Any) -> np.ndarray:
    image.save(path, **options)
    return decode_image(ImageFile(path=path), size)


def test_an_rgb_image_of_the_right_size_keeps_every_byte(tmp_path: Path) -> None:
    image = noise_image(8, 8)
    np.testing.assert_array_equal(decoded(tmp_path / "a.png", image), np.asarray(image))


def test_gray_is_repeated_over_the_channels(tmp_path: Path) -> None:
    gray = noise_image(8, 8).convert("L")
    np.testing.assert_array_equal(decoded(tmp_path / "a.png", gray), np.asarray(gray)[..., None].repeat(3, axis=2))


def test_black_and_white_become_0_and_255(tmp_path: Path) -> None:
    pixels = np.indices((8, 8)).sum(0) % 2 == 0
    np.testing.assert_array_equal(decoded(tmp_path / "a.png", Image.fromarray(pixels)), pixels[..., None].repeat(3, axis=2) * 255)


def test_a_palette_gives_its_colors(tmp_path: Path) -> None:
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    assert (decoded(tmp_path / "a.png", palette) == (10, 200, 30)).all()


@pytest.mark.parametrize(("alpha", "expected"), [(0, (255, 255, 255)), (255, (200, 0, 40)), (128, (227, 127, 147))])
def test_see_through_parts_lie_on_white(tmp_path: Path, alpha: int, expected: tuple[int, int, int]) -> None:
    image = decoded(tmp_path / "a.png", Image.new("RGBA", (8, 8), (200, 0, 40, alpha)))
    assert np.abs(image.astype(int) - expected).max() <= 1


def test_a_see_through_color_of_a_palette_or_of_rgb_lies_on_white(tmp_path: Path) -> None:
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    assert (decoded(tmp_path / "a.png", palette, transparency=1) == 255).all()
    assert (decoded(tmp_path / "b.png", Image.new("RGB", (8, 8), (1, 2, 3)), transparency=(1, 2, 3)) == 255).all()
    assert (decoded(tmp_path / "c.png", Image.new("LA", (8, 8), (0, 0))) == 255).all()


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    image = decoded(tmp_path / "a.jpg", Image.new("CMYK", (16, 16), (0, 255, 255, 0)), quality=95)
    assert image.shape == (8, 8, 3)
    assert np.abs(image.astype(int) - (255, 0, 0)).max() <= 3


def test_an_adobe_jpeg_stores_cmyk_inverted_and_still_shows_its_colors(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(path, quality=95)
    assert b"Adobe" in path.read_bytes()[:64]
    assert np.abs(decode_image(ImageFile(path=path), 8).astype(int) - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize(("gray", "alpha", "expected"), [(40, 255, 40), (40, 0, 255), (0, 128, 127)])
def test_gray_with_transparency_lies_on_white(tmp_path: Path, gray: int, alpha: int, expected: int) -> None:
    assert np.abs(decoded(tmp_path / "a.png", Image.new("LA", (8, 8), (gray, alpha))).astype(int) - expected).max() <= 1


def test_a_palette_with_a_transparency_for_each_color_lies_on_white(tmp_path: Path) -> None:
    palette = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) % 3).convert("P")
    palette.putpalette([10, 20, 30, 200, 0, 0, 0, 0, 200])
    image = decoded(tmp_path / "a.png", palette, transparency=bytes([255, 0, 128]))
    assert np.abs(image[0, :3].astype(int) - [(10, 20, 30), (255, 255, 255), (127, 127, 227)]).max() <= 1


@pytest.mark.parametrize(("suffix", "options"), [("tif", {"compression": "group4"}), ("png", {}), ("bmp", {}), ("pbm", {})])
def test_one_bit_becomes_black_and_white(tmp_path: Path, suffix: str, options: dict[str, Any]) -> None:
    pixels = np.indices((8, 8)).sum(0) % 3 == 0
    image = decoded(tmp_path / f"a.{suffix}", Image.fromarray(pixels), **options)
    np.testing.assert_array_equal(image, pixels[..., None].repeat(3, axis=2) * 255)


def test_sixteen_bits_of_the_other_byte_order_keep_their_upper_byte(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 64).astype(">u2").reshape(8, 8)
    (tmp_path / "a.pgm").write_bytes(b"P5 8 8 65535\n" + values.tobytes())
    image = decode_image(ImageFile(path=tmp_path / "a.pgm"), 8)
    np.testing.assert_array_equal(image[..., 0], values >> 8)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_keep_their_upper_byte(tmp_path: Path, suffix: str) -> None:
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    image = decoded(tmp_path / f"a.{suffix}", Image.fromarray(values))
    np.testing.assert_array_equal(image, (values >> 8).astype(np.uint8)[..., None].repeat(3, axis=2))


def test_floating_point_pixels_are_an_error_naming_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read image .*a\.tif: floating-point pixels"):
        decoded(tmp_path / "a.tif", Image.new("F", (8, 8), 0.5))


UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored.swapaxes(0, 1)[:, ::-1],
    7: lambda stored: stored.swapaxes(0, 1)[::-1, ::-1],
    8: lambda stored: stored.swapaxes(0, 1)[::-1],
}
"""What the EXIF standard says of its eight orientations: which side of the stored image is up, and which left."""


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize(
    ("suffix", "mode"), [("png", "RGB"), ("jpg", "RGB"), ("jpg", "CMYK"), ("webp", "RGB"), ("tif", "I;16"), ("png", "P")]
)
def test_an_image_is_rotated_as_exif_says(tmp_path: Path, orientation: int, suffix: str, mode: str) -> None:
    pixels = np.zeros((32, 32), dtype=np.uint8)
    pixels[:16, :16], pixels[:16, 16:] = 255, 128
    stored = Image.fromarray(pixels.astype(np.uint16) << 8) if mode == "I;16" else Image.fromarray(pixels).convert("RGB")
    stored = stored.quantize(4) if mode == "P" else stored if mode == "I;16" else stored.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    image = decoded(tmp_path / f"a.{suffix}", stored, size=32, exif=exif, **options)
    assert np.abs(image.astype(int) - UPRIGHT[orientation](pixels)[..., None]).max() <= 4


def test_a_box_counts_pixels_as_they_are_stored(tmp_path: Path) -> None:
    pixels = np.zeros((32, 64, 3), dtype=np.uint8)
    pixels[4:12, 40:48] = 200
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    image = ImageFile(path=tmp_path / "a.png", box=(40, 4, 48, 12))
    assert (decode_image(image, 8) == 200).all()
    assert image_size(image) == (8, 8)


def test_a_box_that_belongs_to_a_larger_image_is_an_error(tmp_path: Path) -> None:
    noise_image(20, 10).save(tmp_path / "a.png")
    assert (decode_image(ImageFile(path=tmp_path / "a.png", box=(13, 3, 21, 11)), 8).max(axis=-1)[-1] > 0).all()
    with pytest.raises(InputError, match=r"a\.png: its box ends at 30x9, outside its 20x10 pixels"):
        decode_image(ImageFile(path=tmp_path / "a.png", box=(0, 0, 30, 9)), 8)


def test_rotations_come_last(tmp_path: Path) -> None:
    opened = noise_image(8, 8)
    opened.save(tmp_path / "a.png")
    for turns in range(4):
        image = decode_image(ImageFile(path=tmp_path / "a.png", rot90=turns), 8)
        np.testing.assert_array_equal(image, np.rot90(np.asarray(opened), turns))


@pytest.mark.parametrize("size", [(64, 16), (16, 64), (33, 20)])
def test_cropping_keeps_the_center_square_in_proportion(tmp_path: Path, size: tuple[int, int]) -> None:
    image = noise_image(4, 4).resize(size, Image.Resampling.BICUBIC)
    image.save(tmp_path / "a.png")
    cropped = decode_image(ImageFile(path=tmp_path / "a.png"), 16, "crop").astype(int)
    scale = 16 / min(size)
    whole = image.resize((round(size[0] * scale), round(size[1] * scale)), Image.Resampling.BICUBIC)
    left, upper = (whole.width - 16) // 2, (whole.height - 16) // 2
    expected = np.asarray(whole.crop((left, upper, left + 16, upper + 16))).astype(int)
    assert np.abs(cropped - expected).mean() < 4
    if size == (64, 16):
        np.testing.assert_array_equal(cropped, np.asarray(image)[:, 24:40])


def test_a_large_image_is_smoothed_and_not_thinned_out(tmp_path: Path) -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    image = decoded(tmp_path / "a.png", Image.fromarray(stripes), size=16)
    assert np.abs(image.astype(int) - 127).max() <= 12


def test_a_large_jpeg_decoded_at_a_fraction_looks_like_the_whole_one(tmp_path: Path) -> None:
    smooth = noise_image(6, 4).resize((600, 400), Image.Resampling.BICUBIC)
    fraction = decoded(tmp_path / "a.jpg", smooth, size=32, quality=95)
    whole = np.asarray(Image.open(tmp_path / "a.jpg").resize((32, 32), Image.Resampling.BICUBIC))
    assert np.abs(fraction.astype(int) - whole).mean() < 1.5


def test_an_image_that_is_not_square_is_squeezed_whole(tmp_path: Path) -> None:
    wide = np.zeros((8, 32, 3), dtype=np.uint8)
    wide[:, 16:] = 255
    image = decoded(tmp_path / "a.png", Image.fromarray(wide))
    assert (image[:, :3] < 10).all()
    assert (image[:, 5:] > 245).all()


def test_an_animation_gives_its_first_image(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    assert (decoded(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:]) == (255, 0, 0)).all()


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp", "tif"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.9])
def test_a_file_cut_short_is_an_error_naming_it(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"cut.{suffix}"
    noise_image(64, 64).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match=rf"cannot read image .*cut\.{suffix}: \S") as caught:
        decode_image(ImageFile(path=path), 8)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_image_and_no_file_are_errors(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("<html>not found</html>")
    for name in ("a.png", "nowhere.png"):
        with pytest.raises(InputError, match=f"cannot read image .*{name}"):
            image_size(ImageFile(path=tmp_path / name))
        with pytest.raises(InputError, match=f"cannot read image .*{name}"):
            decode_image(ImageFile(path=tmp_path / name), 8)


def test_postscript_that_is_named_png_starts_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow opens EPS by its content and starts Ghostscript for it."""
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    disguised = tmp_path / "x.png"
    disguised.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(InputError, match=r"cannot read image .*x\.png: no image"):
        decode_image(ImageFile(path=disguised), 8)
    assert not (tmp_path / "started").exists()


def test_a_jpeg_with_a_second_image_is_decoded_at_a_fraction_of_its_size(tmp_path: Path) -> None:
    first = noise_image(640, 640)
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[first])
    with ImageFile(path=tmp_path / "a.jpg").open() as opened:
        assert opened.format == "MPO"
    assert decode_reduced(ImageFile(path=tmp_path / "a.jpg"), 16).shape == (80, 80, 3)


@pytest.mark.parametrize(("limit", "most"), [(63, 1), (64, 4)])
def test_threads_decode_one_huge_image_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, most: int) -> None:
    noise_image(8, 8).save(tmp_path / "a.png")
    inside, seen, counting = 0, [], threading.Lock()
    together = threading.Barrier(most)

    def slow(opened: Image.Image, box: object = None) -> Image.Image:
        nonlocal inside
        with counting:
            inside += 1
            seen.append(inside)
        together.wait(10)  # most of them are here at once
        time.sleep(0.02)
        with counting:
            inside -= 1
        return opened.convert("RGB")

    monkeypatch.setattr(decode, "HUGE_PIXELS", limit)
    monkeypatch.setattr(decode, "upright_rgb", slow)
    image = ImageFile(path=tmp_path / "a.png")
    with ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(decode_whole, image), threads.submit(decode_reduced, image, 4)]
        calls += [threads.submit(decode_image, image, 4), threads.submit(decode_whole, image)]
        for call in calls:
            call.result()
    assert max(seen) == most
