"""Decoding of image files of any kind to squares of RGB bytes."""

import ast
import os
import threading
import time
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import CenterCrop, Normalize, Resize, ToTensor

from s2m2.data import decode
from s2m2.data.augment import evaluation_view
from s2m2.data.decode import ImageFile, Reading, decode_image, decode_reduced, decode_square, decode_whole, image_size
from s2m2.errors import InputError
from s2m2.recipe import DataConfig
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


def test_the_proportion_is_that_of_what_was_squeezed(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    noise_image(60, 20).save(path)
    assert decode_square(ImageFile(path=path), 16).proportion == 3
    assert decode_square(ImageFile(path=path, rot90=1), 16).proportion == pytest.approx(1 / 3)
    assert decode_square(ImageFile(path=path, rot90=2), 16).proportion == 3
    assert decode_square(ImageFile(path=path, box=(10, 0, 20, 20)), 16).proportion == 0.5
    assert decode_square(ImageFile(path=path), 16, "crop").proportion == 1
    turned = Image.Exif()
    turned[0x0112] = 6  # a quarter turn, for upright photos
    noise_image(60, 20).save(path, exif=turned)
    assert decode_square(ImageFile(path=path), 16, "squash", "fast").proportion == pytest.approx(1 / 3)


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

    def slow(opened: Image.Image, *options: object) -> Image.Image:
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


@pytest.mark.parametrize("size", [92, 36, 115])
@pytest.mark.parametrize(("width", "height"), [(500, 375), (96, 143), (333, 500), (60, 41)])
@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_pixels_are_those_of_torchvisions_resize_to_the_last_bit(tmp_path: Path, size: int, width: int, height: int, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    noise_image(width // 4, height // 4).resize((width, height)).save(path)
    with Image.open(path) as opened:
        expected = np.asarray(Resize((size, size))(opened.convert("RGB")))
    np.testing.assert_array_equal(decode_image(ImageFile(path=path), size), expected)


@pytest.mark.parametrize(("size", "resized"), [(80, 92), (32, 36), (100, 115)])
def test_what_a_network_sees_is_torchvisions_resize_and_center_crop_of_the_whole_image(tmp_path: Path, size: int, resized: int) -> None:
    """The stored image has the size of the resize at evaluation, so nothing is computed from it a second time."""
    path = tmp_path / "a.jpg"
    noise_image(125, 90).resize((500, 360)).save(path)
    with Image.open(path) as opened:
        expected = np.asarray(CenterCrop(size)(Resize((resized, resized))(opened.convert("RGB"))))
    stored = torch.from_numpy(decode_image(ImageFile(path=path), resized).copy())[None]
    data = DataConfig(image_size=size, resize_ratio=1.15, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    seen = (evaluation_view(stored, data)[0].permute(1, 2, 0) * 255).round().to(torch.uint8)
    np.testing.assert_array_equal(seen.numpy(), expected)
    normalized = DataConfig(image_size=size, resize_ratio=1.15)
    reference = Normalize(*normalized.normalization)(ToTensor()(expected.copy()))
    assert (evaluation_view(stored, normalized)[0] - reference).abs().max() < 1e-6


def test_the_fast_way_is_that_of_s2m2_0_1_0(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    noise_image(250, 200).resize((1000, 800)).save(path)
    with Image.open(path) as opened:
        opened.draft(None, (184, 184))
        assert opened.size == (250, 200)
        expected = np.asarray(opened.resize((92, 92), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(decode_image(ImageFile(path=path), 92, "squash", "fast"), expected)


def wide_gray(path: Path, highest: int, bits: int = 16) -> Path:
    values = np.linspace(0, highest, 64).astype(np.uint16 if bits == 16 else np.int32).reshape(8, 8)
    Image.fromarray(values).save(path)
    return path


@pytest.mark.parametrize(
    ("suffix", "highest", "bits", "says"),
    [
        ("png", 255, 16, "its gray values end at 255, which would be black .* --gray_bits 8, or 16"),
        ("png", 4095, 16, "its gray values end at 4,095, which would be almost black .* --gray_bits 12, or 16"),
        ("tif", 1000, 16, "--gray_bits 10, or 16"),
        ("tif", 255, 32, "end at 255, which would be black"),
        ("tif", 70_000, 32, "it has gray values up to 70,000, more than 16 bits; --gray_bits 17"),
    ],
)
def test_gray_of_fewer_bits_than_its_file_is_refused_until_its_depth_is_told(
    tmp_path: Path, suffix: str, highest: int, bits: int, says: str
) -> None:
    path = wide_gray(tmp_path / f"a.{suffix}", highest, bits)
    with pytest.raises(InputError, match=says):
        decode_image(ImageFile(path=path), 8)
    depth = max(8, highest.bit_length())
    image = decode_image(ImageFile(path=path), 8, reading=Reading(gray_bits=depth))
    np.testing.assert_array_equal(image[..., 0].ravel(), np.linspace(0, highest, 64).astype(int) >> depth - 8)
    if highest < 65536:
        assert decode_image(ImageFile(path=path), 8, reading=Reading(gray_bits=16)).max() == highest >> 8


def test_gray_that_is_black_or_bright_needs_no_depth(tmp_path: Path) -> None:
    assert decode_image(ImageFile(path=wide_gray(tmp_path / "a.png", 0)), 8).max() == 0
    assert decode_image(ImageFile(path=wide_gray(tmp_path / "b.png", 4096)), 8).max() == 16
    Image.fromarray(np.full((8, 8), -1, np.int32)).save(tmp_path / "c.tif")
    with pytest.raises(InputError, match="have no agreed black"):
        decode_image(ImageFile(path=tmp_path / "c.tif"), 8)


def deep_png(path: Path, highest: int) -> Path:
    """A PNG of 16 bits a color, which Pillow reads but does not write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)

    rows = np.linspace(0, highest, 8 * 8 * 3).astype(">u2").reshape(8, -1)
    header = chunk(b"IHDR", (8).to_bytes(4) * 2 + bytes([16, 2, 0, 0, 0]))
    content = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", content) + chunk(b"IEND", b""))
    return path


def test_colors_of_fewer_bits_than_their_file_are_refused(tmp_path: Path) -> None:
    for highest in (255, 4095):
        with pytest.raises(InputError, match="its colors of 16 bits are all black or almost so"):
            decode_image(ImageFile(path=deep_png(tmp_path / "a.png", highest)), 8)
    assert decode_image(ImageFile(path=deep_png(tmp_path / "a.png", 65535)), 8).max() == 255


def test_an_image_of_too_many_pixels_is_refused_before_it_takes_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (9_400, 9_400)).save(path)
    assert path.stat().st_size < 40_000
    tracemalloc.start()
    for read in (decode_whole, lambda image: decode_image(image, 8), lambda image: decode_reduced(image, 8)):
        with pytest.raises(InputError, match=r"bomb\.png: its 9,400 x 9,400 pixels are more than 50 megapixels \(--max_megapixels"):
            read(ImageFile(path=path))
    assert tracemalloc.get_traced_memory()[1] < 3e6
    tracemalloc.stop()
    small = tmp_path / "small.png"
    Image.new("L", (40, 30)).save(small)
    with pytest.raises(InputError, match=r"its 40 x 30 pixels are more than 0\.001 megapixels"):
        decode_image(ImageFile(path=small), 8, reading=Reading(max_megapixels=0.001))


def test_a_large_jpeg_that_is_decoded_at_a_fraction_of_its_size_is_not_too_large(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("RGB", (9000, 6000), "red").save(path)
    assert decode_reduced(ImageFile(path=path), 32).shape == (750, 1125, 3)
    assert decode_image(ImageFile(path=path), 32, "squash", "fast").shape == (32, 32, 3)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_a_pipe_or_a_device_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("/dev/zero")
    for name in ("a.png", "b.png"):
        with pytest.raises(InputError, match=rf"{name} is a pipe or a device, not a file"):
            decode_image(ImageFile(path=tmp_path / name), 8)


def test_every_image_is_opened_by_a_list_of_formats() -> None:
    """Without one, Pillow starts Ghostscript for a PostScript file of any name."""
    package = Path(decode.__file__).parents[1]
    calls = [
        (file.name, call)
        for file in package.rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("Image.open", "PIL.Image.open")
    ]
    assert len(calls) >= 4
    assert [file for file, call in calls if "formats" not in [given.arg for given in call.keywords]] == []
    assert not {"EPS", "PDF", "WMF", "MPEG"} & set(decode.FORMATS)
