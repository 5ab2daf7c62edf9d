"""Sources as a hurried or hostile user brings them."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from s2m2.cli import main
from tests.data.images import noise_image

Spoil = Callable[[Path], list[str] | None]
"""Spoils the sources in a folder; returns the arguments, None for the usual ones."""


def put(name: str, content: bytes | str) -> Spoil:
    def spoil(root: Path) -> None:
        path = root / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return spoil


def cut(name: str, keep: float) -> Spoil:
    def spoil(root: Path) -> None:
        path = root / "source" / name
        noise_image(64, 64).save(path)
        path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])

    return spoil


def arguments(*more: str, source: str = "source", output: str = "dataset") -> Spoil:
    def spoil(root: Path) -> list[str]:
        return ["prepare", str(root / source), "--output", str(root / output), *(part.replace("ROOT", str(root)) for part in more)]

    return spoil


def link(name: str, target: str) -> Spoil:
    return lambda root: (root / "source" / name).symlink_to(root / "source" / target)


def listed(text: str | bytes, file: str = "list.csv") -> Spoil:
    """A list of images as the source."""

    def spoil(root: Path) -> list[str]:
        (root / "source" / file).write_bytes(text if isinstance(text, bytes) else text.encode())
        return ["prepare", str(root / "source" / file), "--output", str(root / "dataset")]

    return spoil


def split_lists(content: object) -> Spoil:
    def spoil(root: Path) -> list[str]:
        (root / "lists.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return ["prepare", str(root / "source"), "--output", str(root / "dataset"), "--splits", str(root / "lists.json")]

    return spoil


def moved(*moves: tuple[str, str]) -> Spoil:
    """Class folders under other folders, as in train/a and val/a."""

    def spoil(root: Path) -> None:
        for before, after in moves:
            (root / "source" / after).parent.mkdir(exist_ok=True)
            (root / "source" / before).rename(root / "source" / after)

    return spoil


def both(first: Spoil, second: Spoil) -> Spoil:
    def spoil(root: Path) -> list[str] | None:
        return second(root) or first(root)

    return spoil


def bomb(root: Path) -> None:
    """A small PNG file that says it has 30,000 x 30,000 pixels."""
    path = root / "source" / "a" / "bomb.png"
    Image.new("1", (8, 8)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = (30_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)


def wrong_checksum(root: Path) -> None:
    path = root / "source" / "a" / "7.png"
    noise_image(32, 32).save(path)
    content = bytearray(path.read_bytes())
    content[200] ^= 255
    path.write_bytes(content)


def floats(root: Path) -> None:
    Image.new("F", (8, 8), 0.5).save(root / "source" / "a" / "depth.tif")


def empty_source(root: Path) -> None:
    (root / "source").rename(root / "other")
    (root / "source").mkdir()


def no_classes(root: Path) -> None:
    empty_source(root)
    noise_image(8, 8).save(root / "source" / "0.png")


def source_loop(root: Path) -> None:
    (root / "source").rename(root / "other")
    (root / "source").symlink_to(root / "source")


def holiday(root: Path) -> list[str] | None:
    (root / "dataset").mkdir()
    noise_image(8, 8).save(root / "dataset" / "holiday.jpg")
    return arguments("--overwrite", "true")(root)


def existing(root: Path) -> None:
    assert main(["prepare", str(root / "source"), "--output", str(root / "dataset")]) == 0


def no_val_txt(root: Path) -> list[str] | None:
    (root / "source").rename(root / "data")
    (root / "splits" / "bertinetto").mkdir(parents=True)
    for name in ("train", "test"):
        (root / "splits" / "bertinetto" / f"{name}.txt").write_text("a\n")
    return ["prepare", str(root), "--output", str(root.parent / f"{root.name} dataset")]


def cub_without_a_image(root: Path) -> list[str] | None:
    (root / "source").rename(root / "images")
    (root / "classes.txt").write_text("1 a\n2 b\n3 c\n4 d\n5 é\n")
    (root / "images.txt").write_text("1 a/0.png\n2 a/none.jpg\n")
    return ["prepare", str(root), "--output", str(root.parent / f"{root.name} dataset")]
