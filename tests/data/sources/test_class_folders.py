"""Class folders, also under folders of splits, and the choice of the reader."""

import os
from pathlib import Path

import pytest

from s2m2.data.sources import READERS, list_source, survey_source
from s2m2.data.sources.listing import left_out_text, natural_key
from s2m2.data.splits import split_classes
from s2m2.errors import InputError
from tests.data.files import by_class, touch


def test_classes_and_files_come_in_natural_order(tmp_path: Path) -> None:
    touch(tmp_path, ["c10/0.png", "a/0.png", *(f"c9/{number}.png" for number in range(12))])
    listing = list_source(tmp_path)
    assert listing.class_names == ("a", "c9", "c10")
    assert by_class(listing)["c9"] == [f"{number}.png" for number in range(12)]
    assert listing.labels == (0, *[1] * 12, 2)
    assert (listing.name, listing.dataset, listing.splits) == (tmp_path.name, None, None)


def test_names_that_differ_only_in_leading_zeros_keep_one_order() -> None:
    assert sorted(["a01", "a1", "a001"], key=natural_key) == sorted(["a1", "a001", "a01"], key=natural_key)


def test_hidden_files_are_passed_over_and_others_counted(tmp_path: Path) -> None:
    touch(tmp_path, ["a/0.png", "a/1.PNG", "b/0.webp", "b/1.tiff", ".git/0.png", "a/.DS_Store", "a/._0.png", "a/notes.txt", "list.csv"])
    (tmp_path / "b" / "deeper.png").mkdir()
    listing = list_source(tmp_path)
    assert listing.class_names == ("a", "b")
    assert (len(listing.images), listing.left_out) == (4, {"others": (str(tmp_path / "a" / "notes.txt"),)})


def test_images_that_belong_to_no_class_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, ["a/0.png", "a/more/1.png", "a/more/deep/2.jpg", "a/more/notes.txt", "a/more/.3.png", "b/0.png", "4.png", "5.txt"])
    (tmp_path / "b" / "again").symlink_to(tmp_path)
    more = tmp_path / "a" / "more"
    left_out = {"nested": (str(more / "1.png"), str(more / "deep" / "2.jpg")), "loose": (str(tmp_path / "4.png"),)}
    assert survey_source(tmp_path).left_out == left_out
    touch(tmp_path / "apart", ["train/a/0.png", "train/b/0.png", "test/c/0.png", "test/c/in/0.png", "1.png"])
    apart = survey_source(tmp_path / "apart").left_out
    assert apart == {"nested": (str(tmp_path / "apart/test/c/in/0.png"),), "loose": (str(tmp_path / "apart/1.png"),)}


def test_the_endings_of_files_that_are_no_images_are_told_and_those_of_pillow_are_images(tmp_path: Path) -> None:
    touch(tmp_path, [f"a/0{suffix}" for suffix in (".jfif", ".avif", ".HEIC", ".jpe", ".apng", ".jp2", ".tga", ".mpo", ".dib")])
    touch(tmp_path, ["a/1.psd", "a/2.PSD", "a/3.raw", "a/LICENSE", "a/4.eps", "b/0.png", "__MACOSX/a/._0.jfif", "a/__MACOSX/0.png"])
    listing = list_source(tmp_path)
    assert by_class(listing)["a"] == [f"0.{ending}" for ending in ["HEIC", "apng", "avif", "dib", "jfif", "jp2", "jpe", "mpo", "tga"]]
    said = left_out_text("others", listing.left_out["others"])
    assert said == "5 files are left out, as the names are not those of images: 2 .psd, 1 .raw, 1 .eps, 1 without an ending"
    assert listing.class_names == ("a", "b")


def test_flaws_are_stated_beside_the_images_that_are_there(tmp_path: Path) -> None:
    touch(tmp_path, ["a/0.png", "b/0.png", "list.csv"])
    (tmp_path / "none" / "deep").mkdir(parents=True)
    touch(tmp_path, ["none/deep/0.png"])
    (tmp_path / "b" / "1.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    listing = survey_source(tmp_path)
    assert (listing.class_names, listing.labels) == (("a", "b", "none"), (0, 1))
    assert [(flaw.kind, *flaw.items) for flaw in listing.flaws] == [
        ("link", str(tmp_path / "loop")),
        ("link", str(tmp_path / "b" / "1.png")),
        ("empty", "none"),
    ]
    assert listing.flaws[2].message.endswith(
        "class none has no image in " + str(tmp_path / "none; the 1 in folders inside it are not read")
    )
    (tmp_path / "list.csv").write_text("filename,label\na/0.png,a\na/7.png,a\na/8.png,d\n")
    listing = survey_source(tmp_path / "list.csv")
    assert (listing.class_names, len(listing.images)) == (("a", "d"), 1)
    assert [(flaw.kind, *flaw.items) for flaw in listing.flaws] == [("missing", "a/7.png", "a/8.png"), ("empty", "d")]


def test_names_in_any_script_are_fine(tmp_path: Path) -> None:
    touch(tmp_path, ["猫/写真.png", "Äpfel und Öl/é à.png", "with, comma 'n quote/#1.png"])
    listing = list_source(tmp_path)
    assert set(listing.class_names) == {"猫", "Äpfel und Öl", "with, comma 'n quote"}
    assert all(Path(image.name).is_file() for image in listing.images)


def test_an_empty_class_is_an_error_naming_it(tmp_path: Path) -> None:
    touch(tmp_path, ["full/0.png", "other/0.txt"])
    with pytest.raises(InputError, match=r"class other has no image in .*other"):
        list_source(tmp_path)


def test_a_folder_without_classes_and_no_folder_are_errors(tmp_path: Path) -> None:
    touch(tmp_path, ["0.png"])
    with pytest.raises(InputError, match="has no class folders"):
        list_source(tmp_path)
    with pytest.raises(InputError, match=r"no such folder .*nowhere"):
        list_source(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no such file or folder .*nowhere\.csv"):
        list_source(tmp_path / "nowhere.csv")


def test_links_are_followed_and_those_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    root = touch(tmp_path / "root", ["a/0.png", "b/0.png"])
    touch(tmp_path / "far", ["1.png"])
    (root / "c").symlink_to(tmp_path / "far")
    (root / "a" / "1.png").symlink_to(tmp_path / "far" / "1.png")
    assert {name: len(files) for name, files in by_class(list_source(root)).items()} == {"a": 2, "b": 1, "c": 1}
    (root / "b" / "up").symlink_to(root)  # A folder in a class folder is not entered, so no walk goes round in a circle.
    assert len(list_source(root).images) == 4
    (root / "d").symlink_to(root)
    with pytest.raises(InputError, match="class d has no image"):
        list_source(root)
    (root / "d").unlink()
    (root / "a" / "2.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(InputError, match=r"cannot read .*a/2\.png: No such file"):
        list_source(root)
    (root / "a" / "2.png").unlink()
    (root / "e").symlink_to(root / "e")
    with pytest.raises(InputError, match=r"cannot read .*root/e: Too many levels of symbolic links"):
        list_source(root)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read every folder")
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    touch(tmp_path, ["a/0.png"])
    (tmp_path / "a").chmod(0)
    with pytest.raises(InputError, match=r"cannot read .*a: Permission denied"):
        list_source(tmp_path)
    (tmp_path / "a").chmod(0o700)


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("base", "validation", "novel"), ("base", "val", "novel"), ("Train", "valid", "Test")]
)
def test_folders_of_splits_bring_their_own(tmp_path: Path, names: tuple[str, str, str]) -> None:
    touch(tmp_path, [f"{names[0]}/b/0.png", f"{names[0]}/a/0.png", f"{names[1]}/d/0.png", f"{names[2]}/c/0.png", "README.txt"])
    listing = list_source(tmp_path)
    assert listing.class_names == ("a", "b", "c", "d")
    assert split_classes(listing.class_names, None, 0, listing.splits) == {"base": (0, 1), "validation": (3,), "novel": (2,)}


def test_two_of_the_splits_are_enough(tmp_path: Path) -> None:
    touch(tmp_path, ["train/a/0.png", "test/b/0.png"])
    assert list_source(tmp_path).splits == {"base": ("a",), "validation": (), "novel": ("b",)}


def test_a_class_in_two_splits_is_an_error_naming_both(tmp_path: Path) -> None:
    touch(tmp_path, ["train/a/0.png", "train/b/0.png", "test/b/1.png"])
    with pytest.raises(InputError, match=r"class b is both in .*/test and in .*/train: few-shot splits share no class"):
        list_source(tmp_path)


@pytest.mark.parametrize("files", [["train/0.png", "test/0.png"], ["train/a/0.png", "test/a/0.png", "plane/0.png"]])
def test_class_folders_may_be_called_like_splits(tmp_path: Path, files: list[str]) -> None:
    touch(tmp_path, [*files, "train/0.png", "test/0.png"])
    listing = list_source(tmp_path)
    assert listing.splits is None
    assert {"train", "test"} <= set(listing.class_names)


def test_every_reader_says_what_it_needs_of_a_folder_of_something_else(tmp_path: Path) -> None:
    touch(tmp_path / "a", ["0.png"])
    for dataset in READERS.keys() - {"own"}:
        with pytest.raises(InputError, match=r"is not laid out as .*: it needs") as error:
            list_source(tmp_path, dataset)
        assert "\n" not in str(error.value)


def test_options_and_names_that_do_not_fit_are_errors(tmp_path: Path) -> None:
    touch(tmp_path, ["a/0.png", "list.csv"])
    with pytest.raises(InputError, match=r"--box is for cub only, but .* is read as own"):
        list_source(tmp_path, box=True)
    with pytest.raises(InputError, match=r"--rotated is for omniglot only, but .* is read as cub"):
        list_source(tmp_path, "cub", rotated=True)
    with pytest.raises(InputError, match="no dataset imagenet to read; choose one of auto, own, cifar_fs"):
        list_source(tmp_path, "imagenet")
    with pytest.raises(InputError, match=r"--source .*list\.csv is a file, but cub needs a folder"):
        list_source(tmp_path / "list.csv", "cub")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_a_pipe_with_the_name_of_an_image_is_left_out_and_named(tmp_path: Path) -> None:
    touch(tmp_path, ["a/0.png", "b/0.png"])
    os.mkfifo(tmp_path / "a" / "1.png")
    assert list_source(tmp_path).left_out == {"others": (str(tmp_path / "a" / "1.png"),)}
