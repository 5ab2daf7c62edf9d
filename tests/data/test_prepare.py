"""`prepare`: images on disk become a dataset, with any number of processes, after an interruption and after changes."""

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from s2m2.data import decode, pool
from s2m2.data import prepare as preparation
from s2m2.data.dataset import DATASET_FILE, OLD_DATASET_FILE, SPLITS, open_dataset
from s2m2.data.decode import ImageFile
from s2m2.data.prepare import prepare
from s2m2.errors import InputError
from tests.data.files import die, noise_image, write_images

CLASSES = {"a": 3, "b": 2, "c10": 4, "c9": 1, "d": 2}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_images(tmp_path / "source", CLASSES)


def test_class_folders_become_a_dataset(source: Path, tmp_path: Path) -> None:
    dataset = prepare(source, tmp_path / "out" / "dataset")
    assert dataset.name == "source"
    assert dataset.class_names == ("a", "b", "c9", "c10", "d")
    assert dataset.labels.tolist() == [0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 4, 4]
    assert dataset.images.shape == (12, 8, 8, 3)
    assert [tuple(image[0, 0]) for image in dataset.images[:5]] == [(0, 0, 100), (0, 1, 100), (0, 2, 100), (1, 0, 100), (1, 1, 100)]
    assert tuple(dataset.images[5, 0, 0]) == (3, 0, 100)
    assert [len(dataset.splits[split]) for split in SPLITS] == [3, 1, 1]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["dataset"]


def test_the_digest_is_that_of_s2m2_0_1_0(source: Path, tmp_path: Path) -> None:
    digest = "550f6959d6fc858044b54701cfeec1ce59eb4c49402a332f14b670bda46c78fc"
    assert prepare(source, tmp_path / "dataset").digest == digest


def test_a_dataset_of_s2m2_0_1_0_is_replaced_only_where_that_is_asked_for(source: Path, tmp_path: Path) -> None:
    digest = prepare(source, tmp_path / "dataset").digest
    (tmp_path / "dataset" / DATASET_FILE).rename(tmp_path / "dataset" / OLD_DATASET_FILE)
    assert open_dataset(tmp_path / "dataset").digest == digest
    with pytest.raises(InputError, match=r"dataset exists; .*--overwrite"):
        prepare(source, tmp_path / "dataset", size=9)
    prepare(source, tmp_path / "dataset", size=9, overwrite=True)
    assert sorted(path.name for path in (tmp_path / "dataset").iterdir()) == [DATASET_FILE, "images.npy", "labels.npy"]


def test_files_that_are_no_images_are_left_out_and_counted(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (source / "a" / "notes.txt").write_text("")
    assert len(prepare(source, tmp_path / "dataset").images) == 12
    assert "1 file is left out" in capsys.readouterr().out


def test_images_that_are_passed_over_are_counted_and_counted(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_images(source / "a", {"more": 3})
    noise_image(8, 8).save(source / "loose.png")
    assert len(prepare(source, tmp_path / "dataset").images) == 12
    printed = capsys.readouterr().out
    assert "3 images are left out, as folders inside class folders are not entered" in printed
    assert "1 image is left out, as what lies beside the class folders belongs to no class" in printed


def test_the_number_of_processes_and_the_place_change_nothing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "PIECE", 2)
    digests = {prepare(source, tmp_path / "here").digest, prepare(source, tmp_path / "one", workers=1).digest}
    assert prepare(source, tmp_path / "other seed", seed=1).digest not in digests
    monkeypatch.setattr(pool, "POOL_FROM", 1)
    digests.add(prepare(source, tmp_path / "two", workers=2, size=8).digest)
    assert len(digests) == 1


def test_pieces_stay_in_order_when_there_are_more_than_may_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = sorted(write_images(tmp_path, {"a": 23}).rglob("*.png"))
    monkeypatch.setattr(pool, "PIECE", 2)
    monkeypatch.setattr(pool, "PIECES_AHEAD", 1)
    monkeypatch.setattr(pool, "POOL_FROM", 1)
    pieces = pool.decode_pieces([ImageFile(path=path) for path in paths], 8, "squash", 2)
    images = np.concatenate([piece.images for piece in pieces])
    assert [f"{image[0, 0, 1]}.png" for image in images] == [path.name for path in paths]


def test_a_killed_process_of_the_pool_is_an_error_that_leaves_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "POOL_FROM", 1)
    monkeypatch.setattr(pool, "_decode_piece", die)
    with pytest.raises(InputError, match="a process that decodes images was killed"):
        prepare(source, tmp_path / "dataset", size=8, workers=2)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_own_images_of_different_sizes_become_92_pixels_unless_told(source: Path, tmp_path: Path) -> None:
    noise_image(20, 10).save(source / "d" / "9.jpg")
    assert prepare(source, tmp_path / "usual").images.shape == (13, 92, 92, 3)
    assert prepare(source, tmp_path / "told", size=10).images.shape == (13, 10, 10, 3)


@pytest.mark.parametrize(("shape", "size"), [((12, 8), 92), ((256, 256), 256), ((257, 257), 92)])
def test_equal_images_stay_as_they_are_if_they_are_square_and_not_too_large(tmp_path: Path, shape: tuple[int, int], size: int) -> None:
    for name in "abcde":
        (tmp_path / "source" / name).mkdir(parents=True)
        Image.new("RGB", shape).save(tmp_path / "source" / name / "0.png")
    assert prepare(tmp_path / "source", tmp_path / "dataset").images.shape == (5, size, size, 3)


def test_the_settings_change_the_digest_and_are_kept(source: Path, tmp_path: Path) -> None:
    squash, crop = prepare(source, tmp_path / "squash"), prepare(source, tmp_path / "crop", fit="crop")
    np.testing.assert_array_equal(squash.images, crop.images)
    assert squash.digest != crop.digest
    assert crop.settings == {
        "source": "source", "dataset": None, "side": 8, "fit": "crop", "box": False, "rotated": False, "splits": "shares", "seed": 0,
    }  # fmt: skip


def test_cifar_fs_is_recognized_with_its_own_splits(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "cifar100"
    (root / "splits" / "bertinetto").mkdir(parents=True)
    source.rename(root / "data")
    for file, names in (("train", "c10\na"), ("val", "d\nb"), ("test", "c9")):
        (root / "splits" / "bertinetto" / f"{file}.txt").write_text(names)
    dataset = prepare(tmp_path, tmp_path.parent / f"{tmp_path.name} dataset")
    assert dataset.name == dataset.settings["dataset"] == "cifar_fs"
    assert dataset.splits == {"base": (0, 3), "validation": (1, 4), "novel": (2,)}
    assert prepare(root, tmp_path / "dataset", splits="0,0,1", name="mine").splits["novel"] == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("keep", [0, 200])
def test_a_damaged_image_is_named_and_nothing_is_left_behind(source: Path, tmp_path: Path, keep: int) -> None:
    broken = source / "d" / "7.jpg"
    noise_image(40, 40).save(broken)
    broken.write_bytes(broken.read_bytes()[:keep])
    for size in (None, 16):
        with pytest.raises(InputError, match=r"cannot read image .*7\.jpg"):
            prepare(source, tmp_path / "dataset", size=size)
        assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize(("damaged", "says"), [(3, r"[^;]*;[^;]*;[^;]*"), (7, r"([^;]*;){5} and 2 more")])
def test_several_damaged_images_are_named_at_once(source: Path, tmp_path: Path, damaged: int, says: str) -> None:
    for path in sorted(source.rglob("*.png"))[:damaged]:
        path.write_bytes(b"")
    with pytest.raises(InputError, match=f"^{says}$"):
        prepare(source, tmp_path / "dataset")


def stop_after(images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C as soon as so many images were decoded, one at a time."""
    decode_square, count = decode.decode_square, itertools.count()

    def decode_or_stop(*arguments: Any) -> np.ndarray:
        if next(count) == images:
            raise KeyboardInterrupt
        return decode_square(*arguments)

    monkeypatch.setattr(pool, "PIECE", 1)
    monkeypatch.setattr(pool, "decode_square", decode_or_stop)


def test_an_interrupted_preparation_continues(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = prepare(source, tmp_path / "whole").digest
    for images in (7, 4):
        stop_after(images, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            prepare(source, tmp_path / "dataset")
        monkeypatch.undo()
        assert not (tmp_path / "dataset").exists()
    assert prepare(source, tmp_path / "dataset").digest == whole
    assert "continuing with 11 of 12 images" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "source", "whole"]


@pytest.mark.parametrize("change", ["size", "fit", "image", "class", "version"])
def test_after_a_change_preparation_starts_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    stop_after(5, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        prepare(source, tmp_path / "dataset", size=8)
    monkeypatch.undo()
    if change == "image":
        Image.new("RGB", (8, 8), "white").save(source / "a" / "0.png")
    if change == "version":
        monkeypatch.setattr(preparation, "__version__", "0.0.0")
    capsys.readouterr()
    if change == "class":
        (source / "b").rename(source / "bb")
    options: dict[str, Any] = {"size": 9 if change == "size" else 8, "fit": "crop" if change == "fit" else "squash"}
    changed = prepare(source, tmp_path / "dataset", **options)
    assert "continuing" not in capsys.readouterr().out
    assert changed.digest == prepare(source, tmp_path / "at once", **options).digest
    assert changed.images[0, 0, 0].tolist() == ([255, 255, 255] if change == "image" else [0, 0, 100])


def test_a_script_without_torch_can_prepare(source: Path, tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from s2m2.data.prepare import prepare; prepare(*map(Path, sys.argv[1:]))"
    script += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script, str(source), str(tmp_path / "dataset")], check=False).returncode == 0


def test_overlapping_splits_are_an_error_before_anything_is_written(source: Path, tmp_path: Path) -> None:
    lists = tmp_path / "lists.json"
    lists.write_text('{"base": ["a", "b"], "val": ["b", "d"], "novel": ["c9", "c10"]}')
    with pytest.raises(InputError, match=r"lists\.json has both in base and in validation: b"):
        prepare(source, tmp_path / "dataset", splits=str(lists))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lists.json", "source"]


def test_an_existing_dataset_is_kept_unless_told(source: Path, tmp_path: Path) -> None:
    prepare(source, tmp_path / "dataset")
    with pytest.raises(InputError, match="dataset exists"):
        prepare(source, tmp_path / "dataset", size=9)
    assert prepare(source, tmp_path / "dataset", size=9, overwrite=True).images.shape[1] == 9


def test_a_dataset_inside_its_source_is_an_error(source: Path) -> None:
    with pytest.raises(InputError, match="lies inside --source"):
        prepare(source, source / "dataset")
    assert not (source / "dataset").exists()


def test_a_missing_source_is_an_error_naming_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such folder .*nowhere"):
        prepare(tmp_path / "nowhere", tmp_path / "dataset")


@pytest.mark.parametrize("there", [True, False])
def test_a_dataset_goes_where_a_link_leads(source: Path, tmp_path: Path, there: bool) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "dataset").symlink_to(tmp_path / "disk" / "real")
    if there:
        prepare(source, tmp_path / "disk" / "real")
    for size in (9, 10):
        assert prepare(source, tmp_path / "dataset", size=size, overwrite=there or size == 10).images.shape[1] == size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "disk", "source"]
    assert (tmp_path / "dataset").is_symlink()
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["real"]


def test_class_names_that_are_no_utf8_are_kept(source: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    try:
        (source / "d").rename(source / name)
    except OSError:
        pytest.skip("this file system takes no names that are not UTF-8")
    assert prepare(source, tmp_path / "dataset").class_names == ("a", "b", "c9", "c10", name)


def test_small_classes_are_left_out_counted_and_named(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (source / "empty").mkdir()
    lists = tmp_path / "lists.json"
    lists.write_text('{"base": ["a", "b", "empty"], "val": ["c10"], "novel": ["c9", "d"]}')
    dataset = prepare(source, tmp_path / "dataset", min_images=2, splits=str(lists))
    assert dataset.class_names == ("a", "b", "c10", "d")
    assert dataset.splits == {"base": (0, 1), "validation": (2,), "novel": (3,)}
    assert "2 classes of fewer than 2 images are left out: c9, empty" in capsys.readouterr().out
    assert dataset.settings["min_images"] == 2
    with pytest.raises(InputError, match="--min_images is 9, but the largest class has 4 images"):
        prepare(source, tmp_path / "none", min_images=9)
    with pytest.raises(InputError, match="class empty has no image"):
        prepare(source, tmp_path / "all")
