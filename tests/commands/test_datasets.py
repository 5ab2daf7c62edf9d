"""`s2m2 prepare` and `s2m2 doctor` from arguments to exit codes; the findings of each check are tested beside the checks."""

import json
import os
from pathlib import Path

import pytest

from s2m2.cli import main
from s2m2.commands.datasets import prepare_command
from s2m2.data.dataset import open_dataset
from s2m2.errors import InputError
from s2m2.recipe import PrepareConfig
from tests.data.files import noise_image, write_images


def test_the_summary_tells_counts_size_digest_and_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_images(tmp_path / "source", {"a": 3, "b": 2, "c": 4})
    lists = tmp_path / "lists.json"
    lists.write_text('{"base": ["a"], "validation": ["b"], "novel": ["c"]}')
    prepare_command(PrepareConfig(source=tmp_path / "source", output=tmp_path / "dataset", splits=str(lists), name="mine"))
    printed = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.strip("│ \n").split("│")] for line in printed.splitlines() if line.startswith("│")]
    assert rows == [["base", "1", "3"], ["validation", "1", "2"], ["novel", "1", "4"]]
    dataset = open_dataset(tmp_path / "dataset")
    assert "9 images of 8x8 pixels" in printed
    assert dataset.digest[:16] in printed
    assert f"dataset in {tmp_path / 'dataset'}" in printed
    assert dataset.name == "mine"


def test_a_download_comes_first_and_goes_into_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(root: Path) -> Path:
        write_images(root / "cifar100" / "data", {"a": 2, "b": 2, "c": 2}, size=32)
        for file, name in (("train", "a"), ("val", "b"), ("test", "c")):
            (root / "cifar100" / "splits" / "bertinetto").mkdir(parents=True, exist_ok=True)
            (root / "cifar100" / "splits" / "bertinetto" / f"{file}.txt").write_text(name)
        return root

    monkeypatch.setattr("s2m2.data.prepare.download_cifar100", fetch)
    output = tmp_path / "dataset"
    prepare_command(PrepareConfig(source=tmp_path / "source", output=output, dataset="cifar_fs", download=True))
    assert len(open_dataset(output).images) == 6


def test_a_download_that_fails_leaves_no_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(root: Path) -> Path:
        raise InputError("no route")

    monkeypatch.setattr("s2m2.data.prepare.download_cifar100", fail)
    with pytest.raises(InputError, match="no route"):
        prepare_command(PrepareConfig(source=tmp_path / "source", output=tmp_path / "dataset", dataset="fc100", download=True))
    assert list(tmp_path.iterdir()) == []


def test_only_what_is_made_of_cifar100_is_downloaded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--dataset is cub, but must be cifar_fs or fc100 with --download"):
        PrepareConfig(source=tmp_path, output=tmp_path / "dataset", dataset="cub", download=True)


def test_names_are_printed_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_images(tmp_path / "source", {"a": 1, "b": 1, "c": 1})
    output, name = tmp_path / "x[old]:car:" / "t", f"a[/b]:car:{os.fsdecode(bytes([233]))}"
    prepare_command(PrepareConfig(source=tmp_path / "source", output=output, splits="0.34,0.33,0.33", name=name))
    printed = capsys.readouterr().out
    assert f"dataset in {output}" in printed
    assert "a[/b]:car:\\udce9" in printed


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A sound dataset of three classes with five images each."""
    for label, name in enumerate(("apple", "bear [x]", "cup")):
        (tmp_path / "my data" / name).mkdir(parents=True)
        for number in range(5):
            noise_image(9, 8, seed=100 * label + number).save(tmp_path / "my data" / name / f"{number}.png")
    (tmp_path / "lists.json").write_text(json.dumps({"base": ["apple"], "validation": ["bear [x]"], "novel": ["cup"]}))
    return tmp_path / "my data"


def doctor(source: Path, *flags: str) -> int:
    small = ["--ways", "1", "--shots", "2", "--queries", "3", "--workers", "1"]
    return main(["doctor", str(source), "--splits", str(source.parent / "lists.json"), *small, *flags])


def test_sound_images_give_exit_code_0_and_the_page_under_the_name_of_the_data(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(source.parent)
    before = {path: path.stat().st_mtime_ns for path in source.rglob("*")}
    assert doctor(source) == 0
    printed = capsys.readouterr().out
    assert "my data: sound; 15 images" in printed
    assert "page in doctor-my-data.html" in printed
    assert {path.name for path in source.parent.iterdir()} == {"my data", "lists.json", "doctor-my-data.html"}
    assert {path: path.stat().st_mtime_ns for path in source.rglob("*")} == before


def test_findings_give_exit_code_1_and_names_as_they_are(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (source / "cup" / "copy.png").write_bytes((source / "bear [x]" / "3.png").read_bytes())
    (source / "cup" / "0.png").write_bytes((source / "cup" / "0.png").read_bytes()[:150])
    assert doctor(source, "--output", "null", "--queries", "4") == 1
    printed = capsys.readouterr().out
    assert "finding: 1 set of exactly equal images in different splits" in printed
    assert "bear [x]/3.png (validation) = cup/copy.png (novel)" in printed
    assert "finding: 1 file is cut short (truncated)" in printed
    assert "cup/0.png: " in printed
    assert "finding: 1 class of novel has fewer than the 6 images" in printed
    assert not list(source.parent.glob("*.html"))


def test_what_prepare_refuses_are_findings_beside_those_of_the_other_images(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (source / "dog").mkdir()
    (source / "cup" / "5.png").symlink_to(source / "gone.png")
    (source / "cup" / "more").mkdir()
    for path in ("cup/more/6.png", "7.png", "cup/copy.png"):
        (source / path).write_bytes((source / "apple" / "0.png").read_bytes())
    lists = {"base": ["apple"], "validation": ["bear [x]"], "novel": ["cup", "dog"]}
    (source.parent / "lists.json").write_text(json.dumps(lists))
    assert doctor(source, "--output", str(source.parent / "page.html")) == 1
    printed = capsys.readouterr().out
    findings = [line.removeprefix("finding: ") for line in printed.splitlines() if line.startswith("finding")]
    assert findings == [
        "1 link cannot be followed",
        "1 image is left out, as folders inside class folders are not entered",
        "1 image is left out, as what lies beside the class folders belongs to no class",
        "1 set of exactly equal images in different splits, 2 images in all",
        "1 class has no image",
        "1 class of novel has fewer than the 5 images that 2 shots and 3 queries need",
    ]
    assert f"    {source / 'cup' / '5.png'}\n" in printed
    assert "    dog\n" in printed
    assert "my data: 6 findings; 16 images" in printed
    assert "cannot be followed" in (source.parent / "page.html").read_text()
    assert main(["prepare", str(source), "--output", str(source.parent / "dataset")]) == 2
    assert capsys.readouterr().err == f"s2m2 prepare: cannot read {source / 'cup' / '5.png'}: No such file or directory\n"


def test_images_that_a_list_names_in_vain_are_findings(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{path.parent.name}/{path.name},{path.parent.name}" for path in sorted(source.glob("*/*.png"))]
    (source / "list.csv").write_text("\n".join(["filename,label", *rows, "cup/8.png,cup", "cup/9.png,cup"]))
    flags = ["--ways", "1", "--shots", "2", "--queries", "3", "--output", "null", "--splits", "0.34,0.33,0.33"]
    assert main(["doctor", str(source / "list.csv"), *flags]) == 1
    printed = capsys.readouterr().out
    assert "finding: 2 images that a list names cannot be found\n    cup/8.png\n    cup/9.png\n" in printed
    assert "list: 1 finding; 15 images" in printed
    assert main(["prepare", str(source / "list.csv"), "--output", str(source.parent / "dataset")]) == 2
    assert "list.csv names 2 images that are not there: cup/8.png, cup/9.png" in capsys.readouterr().err


def test_a_source_without_any_image_gives_exit_code_2(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for image in source.glob("*/*.png"):
        image.unlink()
    assert doctor(source, "--output", "null") == 2
    assert capsys.readouterr().err == f"s2m2 doctor: class apple has no image in {source / 'apple'}\n"


def test_class_lists_that_do_not_fit_give_exit_code_2_and_a_page(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (source.parent / "lists.json").write_text('{"base": ["apple"], "validation": ["dog"], "novel": ["cup"]}')
    page = source.parent / "pages" / "{name}.html"
    assert doctor(source, "--output", str(page)) == 2
    assert "not usable: it cannot be prepared: " in capsys.readouterr().out
    assert "not usable" in (source.parent / "pages" / "my-data.html").read_text()


def test_doctor_finds_a_dataset_of_squeezed_photos_as_it_was_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "abcde":
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            noise_image(40, 20, seed=number + 100 * ord(name)).save(tmp_path / "photos" / name / f"{number}.png")
    assert main(["prepare", str(tmp_path / "photos"), "--output", str(tmp_path / "table"), "--size", "28"]) == 0
    assert (tmp_path / "table" / "proportions.npy").is_file()
    capsys.readouterr()
    main(["doctor", str(tmp_path / "table")])
    assert "altered" not in capsys.readouterr().out


def test_an_altered_dataset_gives_exit_code_2(glyph_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = tmp_path / "dataset"
    dataset.mkdir()
    for file in glyph_folder.iterdir():
        (dataset / file.name).write_bytes(file.read_bytes())
    flags = ["--shots", "1", "--queries", "7", "--output", str(tmp_path / "page.html"), "--images", "1"]
    assert main(["doctor", str(dataset), *flags]) == 0
    with (dataset / "images.npy").open("r+b") as images:
        images.seek(5000)
        byte = images.read(1)[0]
        images.seek(5000)
        images.write(bytes([byte ^ 1]))
    capsys.readouterr()
    assert main(["doctor", str(dataset), *flags]) == 2
    assert "altered after it was written" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/no/such/place"], "/no/such/place"),
        ([], "needs --data"),
        (["one", "two"], "one and two"),
        (["glyphs", "--box", "true"], "--box"),
        (["glyphs", "--ways", "0"], "--ways is 0"),
    ],
)
def test_wrong_input_is_one_line_with_exit_code_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", *arguments, "--output", "null"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("s2m2 doctor: ")
    assert error.count("\n") == 1
    assert message in error


def test_a_page_inside_the_data_is_refused_before_anything_is_read(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(source, "--output", str(source / "page.html")) == 2
    assert "--output" in capsys.readouterr().err
    assert not list(source.glob("*.html"))


def test_a_page_that_cannot_be_written_is_refused_before_anything_is_read(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("s2m2.commands.datasets.observe", None)
    assert doctor(source, "--output", str(source.parent / "lists.json" / "deep" / "page.html")) == 2
    assert "lists.json is no folder" in capsys.readouterr().err
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert doctor(source, "--output", str(source.parent / "new" / "page.html")) == 2
    assert "is write-protected" in capsys.readouterr().err
    assert {path.name for path in source.parent.iterdir()} == {"my data", "lists.json"}


def test_findings_are_printed_though_the_page_fails(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("s2m2.commands.datasets.write_dataset_page", fail)
    assert doctor(source, "--output", str(source.parent / "page.html")) == 2
    printed = capsys.readouterr()
    assert "my data: sound; 15 images" in printed.out
    assert "page in" not in printed.out
    assert printed.err.startswith("s2m2 doctor: cannot write --output ")
    assert "No space left" in printed.err


def test_names_that_are_markup_or_no_utf8_are_printed_and_on_the_page(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, name = source.parent / "my[b]data", os.fsdecode(b"caf\xe9")
    try:
        (source / "cup").rename(source / name)
    except OSError:
        pytest.skip("this file system takes no names that are not UTF-8")
    source.rename(data)
    (data / name / "0.png").write_bytes(b"")
    page = source.parent / "page.html"
    flags = ["--ways", "1", "--shots", "2", "--queries", "3", "--splits", "0.34,0.33,0.33", "--workers", "1", "--output", str(page)]
    assert main(["doctor", str(data), *flags]) == 1
    printed = capsys.readouterr().out
    assert printed.count("my[b]data") == 2
    assert "caf\\udce9/0.png" in printed
    assert "caf\\udce9" in page.read_text(encoding="utf-8")


def test_counts_that_are_not_the_published_ones_are_said_and_are_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_images(tmp_path / "cifar100" / "data", {"a": 2, "b": 2, "c": 2}, size=32)
    (tmp_path / "cifar100" / "splits" / "bertinetto").mkdir(parents=True)
    for file, name in (("train", "a"), ("val", "b"), ("test", "c")):
        (tmp_path / "cifar100" / "splits" / "bertinetto" / f"{file}.txt").write_text(name)
    assert main(["prepare", str(tmp_path / "cifar100"), "--output", str(tmp_path / "dataset")]) == 1
    printed = capsys.readouterr().out
    assert "finding: counts differ from those of CIFAR-FS\n    base: 1 class, but 64 expected, 63 missing\n" in printed
    assert "novel: 1 class, but 20 expected, 19 missing" in printed
    assert len(open_dataset(tmp_path / "dataset").images) == 6
    assert main(["prepare", str(tmp_path / "cifar100" / "data"), "--output", str(tmp_path / "own"), "--splits", "0.34,0.33,0.33"]) == 0


def test_doctor_names_images_that_nothing_took(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (source / "cup" / "deep").mkdir()
    for name in ("loose.png", "cup/deep/nested.jfif"):
        noise_image(9, 8).save(source / name, "PNG")
    (source / "cup" / "notes.psd").write_text("")
    assert doctor(source, "--output", "null") == 1
    printed = capsys.readouterr().out
    assert f"    {source / 'loose.png'}\n" in printed
    assert f"    {source / 'cup' / 'deep' / 'nested.jfif'}\n" in printed
    assert f"names are not those of images: 1 .psd\n    {source / 'cup' / 'notes.psd'}\n" in printed


def test_doctor_names_images_that_the_layout_of_a_dataset_does_not_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "CUB_200_2011"
    write_images(root / "images", {"001.A": 2, "002.B": 2})
    (root / "classes.txt").write_text("1 001.A\n2 002.B\n")
    (root / "images.txt").write_text("1 001.A/0.png\n2 001.A/1.png\n3 002.B/0.png\n")
    main(["doctor", str(root), "--output", "null", "--workers", "1"])
    printed = capsys.readouterr().out
    assert "finding: 1 image is left out, as neither a list nor the layout of the dataset has it" in printed
    assert f"    {root / 'images' / '002.B' / '1.png'}\n" in printed


def test_own_images_in_a_folder_called_cub_are_not_taken_for_cub(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cub = source.rename(source.parent / "cub")
    lists = ["--splits", str(source.parent / "lists.json")]
    assert doctor(cub, "--output", "null") == 0
    assert main(["prepare", str(cub), "--output", str(source.parent / "dataset"), *lists]) == 0
    small = ["--ways", "1", "--shots", "2", "--queries", "3", "--output", "null"]
    assert main(["doctor", str(source.parent / "dataset"), *small]) == 0
    assert main(["doctor", str(source.parent / "dataset"), *small, "--dataset", "cub"]) == 1
    assert "200 expected" in capsys.readouterr().out
