"""Wrong input to `s2m2 prepare`: one line that names the fault, and no partial output."""

import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from s2m2.cli import main
from s2m2.data.dataset import open_dataset
from tests.data.files import complaint, noise_image, tree, write_images

Fault = Callable[[Path], list[str] | None]
"""Faults the sources in a folder; returns the arguments, None for the usual ones."""


def put(name: str, content: bytes | str) -> Fault:
    def fault(root: Path) -> None:
        path = root / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return fault


def cut(name: str, keep: float) -> Fault:
    def fault(root: Path) -> None:
        path = root / "source" / name
        noise_image(64, 64).save(path)
        path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])

    return fault


def arguments(*more: str, source: str = "source", output: str = "dataset") -> Fault:
    def fault(root: Path) -> list[str]:
        return ["prepare", str(root / source), "--output", str(root / output), *(part.replace("ROOT", str(root)) for part in more)]

    return fault


def link(name: str, target: str) -> Fault:
    return lambda root: (root / "source" / name).symlink_to(root / "source" / target)


def listed(text: str | bytes, file: str = "list.csv") -> Fault:
    """A list of images as the source."""

    def fault(root: Path) -> list[str]:
        (root / "source" / file).write_bytes(text if isinstance(text, bytes) else text.encode())
        return ["prepare", str(root / "source" / file), "--output", str(root / "dataset")]

    return fault


def split_lists(content: object) -> Fault:
    def fault(root: Path) -> list[str]:
        (root / "lists.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return ["prepare", str(root / "source"), "--output", str(root / "dataset"), "--splits", str(root / "lists.json")]

    return fault


def moved(*moves: tuple[str, str]) -> Fault:
    """Class folders under other folders, as in train/a and val/a."""

    def fault(root: Path) -> None:
        for before, after in moves:
            (root / "source" / after).parent.mkdir(exist_ok=True)
            (root / "source" / before).rename(root / "source" / after)

    return fault


def both(first: Fault, second: Fault) -> Fault:
    def fault(root: Path) -> list[str] | None:
        return second(root) or first(root)

    return fault


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


def cub_without_an_image(root: Path) -> list[str] | None:
    (root / "source").rename(root / "images")
    (root / "classes.txt").write_text("1 a\n2 b\n3 c\n4 d\n5 é\n")
    (root / "images.txt").write_text("1 a/0.png\n2 a/none.jpg\n")
    return ["prepare", str(root), "--output", str(root.parent / f"{root.name} dataset")]


A, B, C, D, E = "abcdé"
FAIR = {"base": [A, B], "validation": [C], "novel": [D, E]}
CASES: dict[str, tuple[Fault, str]] = {
    # The source.
    "no source": (lambda root: ["prepare", "--output", str(root / "dataset")], "source"),
    "no output": (lambda root: ["prepare", str(root / "source")], "output"),
    "source that does not exist": (arguments(source="sorce"), "sorce"),
    "two sources": (lambda root: ["prepare", "one", "two", "--output", str(root / "dataset")], "one and two"),
    "empty source": (empty_source, "source has no class folders"),
    "images without class folders": (no_classes, "source has no class folders"),
    "a text file as the source": (both(arguments(source="source/notes.txt"), put("notes.txt", "hello")), "notes.txt"),
    "an image as the source": (arguments(source="source/a/0.png"), "0.png"),
    "a source that is a link to itself": (source_loop, "source"),
    # Classes.
    "empty class": (lambda root: (root / "source" / "empty").mkdir(), "class empty has no image"),
    "class with text only": (put("words/readme.txt", "hello"), "class words has no image"),
    "class with hidden images only": (put("secret/.0.png", ""), "class secret has no image"),
    "class with folders only": (put("deep/er/0.png", ""), "class deep has no image"),
    "class in two splits": (moved((A, "train/a"), (B, "train/b"), (C, "val/a"), (D, "test/d"), (E, "test/e")), "class a is both in"),
    # Images.
    "zero-byte jpg": (put("a/zero.jpg", b""), "zero.jpg"),
    "html saved as jpg": (put("a/page.jpg", "<html>404</html>"), "page.jpg"),
    "text saved as png": (put("b/text.png", "hello"), "text.png"),
    "jpg cut short": (cut("a/cut.jpg", 0.5), "cut.jpg"),
    "jpg cut short by its last byte or two": (cut("a/tail.jpg", 0.98), "tail.jpg"),
    "png cut short": (cut("a/cut.png", 0.5), "cut.png"),
    "gif cut short": (cut("a/cut.gif", 0.5), "cut.gif"),
    "tif cut short": (cut("a/cut.tif", 0.5), "cut.tif"),
    "webp cut short": (cut("a/cut.webp", 0.5), "cut.webp"),
    "bmp cut short": (cut("a/cut.bmp", 0.5), "cut.bmp"),
    "png with a wrong checksum": (wrong_checksum, "7.png"),
    "image of 900 megapixels": (bomb, "bomb.png: it has more than 178,956,970 pixels"),
    "floating-point pixels": (floats, "depth.tif: floating-point pixels"),
    "damaged image with a non-ASCII name": (put("é/übung 猫.jpg", "no"), "übung 猫.jpg"),
    "damaged image with a line break in its name": (put("a/two\nlines.jpg", "no"), "two lines.jpg"),
    "damaged image with a name that is no text": (put(os.fsdecode(b"a/odd\xff.jpg"), "no"), "a/odd"),
    "three damaged images": (
        lambda root: [put(f"a/{name}.jpg", "no")(root) for name in "xyz"] and None,
        "x.jpg: no image, or of a kind that Pillow does not know; cannot read image",
    ),
    # Links.
    "image that is a link to itself": (link("a/loop.png", "a/loop.png"), "loop.png"),
    "image that is a link to nowhere": (link("a/gone.png", "nowhere.png"), "gone.png"),
    "class that is a link to itself": (link("loop", "loop"), "loop"),
    # Lists.
    "csv with a wrong header": (listed("file,class\na/0.png,a\n"), "list.csv begins with file,class"),
    "csv without a header": (listed("a/0.png,a\n"), "list.csv begins with a/0.png,a"),
    "empty csv": (listed(""), "list.csv"),
    "csv with a header only": (listed("filename,label\n"), "list.csv lists no image"),
    "label without images": (listed("filename,label\na/0.png,a\n,b\n"), "line 3: ,b has no filename"),
    "image without a label": (listed("filename,label\na/0.png,\n"), "line 2: a/0.png, has no label"),
    "csv that names a missing image": (listed("filename,label\na/0.png,a\na/none.png,a\n"), "a/none.png"),
    "csv with a zero byte in a path": (listed("filename,label\na\0b/0.png,a\n"), "names 1 images that are not there"),
    "csv that names an image twice": (listed("filename,label\na/0.png,a\na/0.png,b\n"), "a/0.png"),
    "csv in another encoding": (listed("filename,label\né/0.png,é\n".encode("latin-1")), "list.csv"),
    "csv with an open quote": (listed('filename,label\n"a/0.png,a\n'), "list.csv"),
    "two files of one name": (both(listed("filename,label\na/0.png,a\n"), put("images/a/0.png", "")), "a/0.png is ambiguous"),
    "classes in two lists": (
        both(put("train.csv", "filename,label\na/0.png,a\n"), put("val.csv", "filename,label\na/1.png,a\n")),
        "val.csv share classes: a",
    ),
    "json that is none": (listed("{", "list.json"), "list.json"),
    "json of another shape": (listed("[1, 2]", "list.json"), "list.json is no list of images"),
    # Splits.
    "unknown splits": (arguments("--splits", "cifarfs"), "--splits is cifarfs"),
    "fractions that do not add up": (arguments("--splits", "0.6,0.3,0.2"), "--splits is [0.6, 0.3, 0.2]"),
    "fractions of which one leaves no class": (arguments("--splits", "0.98,0.01,0.01"), "--splits"),
    "class list over other classes": (arguments("--splits", "cifar_fs"), "class list cifar_fs names, but without images,: apple"),
    "split lists that are no JSON": (split_lists("base: a"), "lists.json"),
    "split lists without novel classes": (split_lists({"base": [A], "validation": [B]}), "lists.json has no list novel"),
    "split lists that overlap": (split_lists(FAIR | {"novel": [B, D, E]}), "both in base and in novel: b"),
    "split lists that name a class twice": (split_lists(FAIR | {"base": [A, A, B]}), "names twice as base: a"),
    "split lists with an unknown class": (split_lists(FAIR | {"novel": [D, E, "zebra"]}), "zebra"),
    "split lists that forget a class": (split_lists(FAIR | {"novel": [D]}), "leaves out: é"),
    "split lists of numbers": (split_lists(FAIR | {"novel": [1, 2]}), "lists.json: novel"),
    "folder of splits without files": (arguments("--splits", "ROOT/source"), "train.txt"),
    # Datasets.
    "own images as cub": (arguments("--dataset", "cub"), "source is not laid out as CUB"),
    "own images as omniglot": (arguments("--dataset", "omniglot"), "source"),
    "own images as mini-ImageNet": (arguments("--dataset", "mini_imagenet"), "source"),
    "own images as tieredImageNet": (arguments("--dataset", "tiered_imagenet"), "source"),
    "own images as FC100": (arguments("--dataset", "fc100"), "source is not laid out as fc100"),
    "unknown dataset": (arguments("--dataset", "imagenet"), "dataset"),
    "boxes of own images": (arguments("--box", "true"), "--box is for cub only"),
    "rotations of own images": (arguments("--rotated", "true"), "--rotated is for omniglot only"),
    "cifar_fs without val.txt": (no_val_txt, "val.txt"),
    "cub without an image": (cub_without_an_image, "a/none.jpg"),
    # Flags.
    "size 0": (arguments("--size", "0"), "--size is 0"),
    "size of a poster": (arguments("--size", "100000"), "--size is 100000"),
    "size in words": (arguments("--size", "large"), "size"),
    "unknown fit": (arguments("--fit", "stretch"), "fit"),
    "less than no workers": (arguments("--workers", "-1"), "--workers is -1"),
    "more workers than any machine has": (arguments("--workers", "100000"), "--workers is 100000"),
    "flag that does not exist": (arguments("--sizes", "84"), "sizes"),
    "flag without its value": (arguments("--size"), "--size needs a value"),
    "blank name": (arguments("--name", " "), "--name"),
    # The output.
    "dataset that is there already": (existing, "dataset exists; choose another --output or give --overwrite true"),
    "photos in the output folder": (holiday, "dataset exists and is no dataset"),
    "output that is a file": (arguments(output="source/a/0.png"), "0.png exists and is no dataset"),
    "output inside the source": (arguments(output="source/dataset"), "dataset lies inside --source"),
    "output below a file": (arguments(output="file/dataset"), "dataset"),
    "output with a name too long for the disk": (arguments(output="x" * 300), "xxx"),
    "root as the output": (lambda root: ["prepare", str(root / "source"), "--output", "/"], "/ exists and is no dataset"),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "here"
    write_images(root / "source", dict.fromkeys((A, B, C, D, E), 2))
    (root / "file").write_text("")
    return root


@pytest.mark.parametrize("case", CASES)
def test_one_line_names_the_fault_and_nothing_is_left(root: Path, capfd: pytest.CaptureFixture[str], case: str) -> None:
    fault, names = CASES[case]
    call = fault(root) or ["prepare", str(root / "source"), "--output", str(root / "dataset")]
    before = tree(root.parent)
    assert names in complaint(call, capfd)
    assert tree(root.parent) == before


def test_names_that_are_unusual_but_right_are_no_error(root: Path) -> None:
    for name in ("übung 猫.png", "two\nlines.png", os.fsdecode(b"\xff.png"), "-rf.png", "a b.PNG", "ｅ\u0301.png"):
        Image.new("RGB", (8, 8)).save(root / "source" / E / name)
    output = root / "Tisch – 表"
    assert main(["prepare", str(root / "source"), "--output", str(output)]) == 0
    assert len(open_dataset(output).images) == 16
    assert open_dataset(output).class_names == (A, B, C, D, E)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
@pytest.mark.parametrize("file", ["list.csv", "lists.json", "dataset/images.npy", "dataset/dataset.json", "."])
@pytest.mark.parametrize("endless", [False, True])
def test_a_pipe_or_a_device_in_place_of_a_file_is_one_line_at_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], file: str, endless: bool
) -> None:
    source = write_images(tmp_path / "source", {"a": 2, "b": 2, "c": 2})
    path = source / file if file != "." else tmp_path / "pipe"
    if file.startswith("dataset"):
        path.parent.mkdir()
        for name in ("dataset.json", "images.npy", "labels.npy"):
            (path.parent / name).write_bytes(b"")
        path.unlink()
    path.symlink_to("/dev/zero") if endless else os.mkfifo(path)
    prepared = ["prepare", str(path if file in ("list.csv", ".") else source), "--output", str(tmp_path / "out")]
    if file == "lists.json":
        prepared += ["--splits", str(path)]
    if file.startswith("dataset"):
        prepared = ["doctor", str(path.parent), "--output", "null", "--dataset", "own"]
        if path.name == "dataset.json":
            prepared = ["run", "--data.path", str(path.parent), "--run", str(tmp_path / "out")]
    assert f"{path} is a pipe or a device, not a file" in complaint(prepared, capfd)
    assert not (tmp_path / "out").exists()
