from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from s2m2.data.decoding import decode_picture, picture_size
from s2m2.data.picture import PictureFile
from s2m2.errors import InputError
from tests.data.pictures import noise_image


def decoded(path: Path, image: Image.Image, side: int = 8, **options: Any) -> np.ndarray:
    image.save(path, **options)
    return decode_picture(PictureFile(path=path), side)


def test_an_rgb_picture_of_the_right_size_keeps_every_byte(tmp_path: Path) -> None:
    image = noise_image(8, 8)
    np.testing.assert_array_equal(decoded(tmp_path / "a.png", image), np.asarray(image))


def test_grey_is_repeated_over_the_channels(tmp_path: Path) -> None:
    grey = noise_image(8, 8).convert("L")
    np.testing.assert_array_equal(decoded(tmp_path / "a.png", grey), np.asarray(grey)[..., None].repeat(3, axis=2))


def test_black_and_white_become_0_and_255(tmp_path: Path) -> None:
    pixels = np.indices((8, 8)).sum(0) % 2 == 0
    np.testing.assert_array_equal(decoded(tmp_path / "a.png", Image.fromarray(pixels)), pixels[..., None].repeat(3, axis=2) * 255)


def test_a_palette_gives_its_colours(tmp_path: Path) -> None:
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    assert (decoded(tmp_path / "a.png", palette) == (10, 200, 30)).all()


@pytest.mark.parametrize(("alpha", "expected"), [(0, (255, 255, 255)), (255, (200, 0, 40)), (128, (227, 127, 147))])
def test_see_through_parts_lie_on_white(tmp_path: Path, alpha: int, expected: tuple[int, int, int]) -> None:
    picture = decoded(tmp_path / "a.png", Image.new("RGBA", (8, 8), (200, 0, 40, alpha)))
    assert np.abs(picture.astype(int) - expected).max() <= 1


def test_a_see_through_colour_of_a_palette_or_of_rgb_lies_on_white(tmp_path: Path) -> None:
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    assert (decoded(tmp_path / "a.png", palette, transparency=1) == 255).all()
    assert (decoded(tmp_path / "b.png", Image.new("RGB", (8, 8), (1, 2, 3)), transparency=(1, 2, 3)) == 255).all()
    assert (decoded(tmp_path / "c.png", Image.new("LA", (8, 8), (0, 0))) == 255).all()


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    picture = decoded(tmp_path / "a.jpg", Image.new("CMYK", (16, 16), (0, 255, 255, 0)), quality=95)
    assert picture.shape == (8, 8, 3)
    assert np.abs(picture.astype(int) - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_keep_their_upper_byte(tmp_path: Path, suffix: str) -> None:
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    picture = decoded(tmp_path / f"a.{suffix}", Image.fromarray(values))
    np.testing.assert_array_equal(picture, (values >> 8).astype(np.uint8)[..., None].repeat(3, axis=2))


def test_floating_point_pixels_are_an_error_naming_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read picture .*a\.tif: floating-point pixels"):
        decoded(tmp_path / "a.tif", Image.new("F", (8, 8), 0.5))


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_picture_is_turned_as_exif_says(tmp_path: Path, orientation: int, turns: int, suffix: str) -> None:
    upright = np.zeros((32, 32, 3), dtype=np.uint8)
    upright[:16, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.rot90(upright, -turns).copy())
    picture = decoded(tmp_path / f"a.{suffix}", stored, side=32, exif=exif)
    assert np.abs(picture.astype(int) - upright).max() <= 3


def test_a_large_picture_is_smoothed_and_not_thinned_out(tmp_path: Path) -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    picture = decoded(tmp_path / "a.png", Image.fromarray(stripes), side=16)
    assert np.abs(picture.astype(int) - 127).max() <= 12


def test_a_large_jpeg_decoded_at_a_fraction_looks_like_the_whole_one(tmp_path: Path) -> None:
    smooth = noise_image(6, 4).resize((600, 400), Image.Resampling.BICUBIC)
    fraction = decoded(tmp_path / "a.jpg", smooth, side=32, quality=95)
    whole = np.asarray(Image.open(tmp_path / "a.jpg").resize((32, 32), Image.Resampling.BICUBIC))
    assert np.abs(fraction.astype(int) - whole).mean() < 1.5


def test_a_picture_that_is_not_square_is_squeezed_whole(tmp_path: Path) -> None:
    wide = np.zeros((8, 32, 3), dtype=np.uint8)
    wide[:, 16:] = 255
    picture = decoded(tmp_path / "a.png", Image.fromarray(wide))
    assert (picture[:, :3] < 10).all()
    assert (picture[:, 5:] > 245).all()


def test_an_animation_gives_its_first_picture(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    assert (decoded(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:]) == (255, 0, 0)).all()


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp", "tif"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.9])
def test_a_file_cut_short_is_an_error_naming_it(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"cut.{suffix}"
    noise_image(64, 64).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match=rf"cannot read picture .*cut\.{suffix}: \S") as caught:
        decode_picture(PictureFile(path=path), 8)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_picture_and_no_file_are_errors(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("<html>not found</html>")
    for name in ("a.png", "nowhere.png"):
        with pytest.raises(InputError, match=f"cannot read picture .*{name}"):
            picture_size(PictureFile(path=tmp_path / name))
        with pytest.raises(InputError, match=f"cannot read picture .*{name}"):
            decode_picture(PictureFile(path=tmp_path / name), 8)
