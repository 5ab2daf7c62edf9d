"""The command from its arguments to its exit code; what each check finds is tested beside the checks."""

import json
from pathlib import Path

import pytest

from s2m2.cli import main
from tests.data.pictures import noise_image


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A sound data set of three classes with five pictures each."""
    for label, name in enumerate(("apple", "bear [x]", "cup")):
        (tmp_path / "my data" / name).mkdir(parents=True)
        for place in range(5):
            noise_image(9, 8, seed=100 * label + place).save(tmp_path / "my data" / name / f"{place}.png")
    (tmp_path / "lists.json").write_text(json.dumps({"base": ["apple"], "validation": ["bear [x]"], "novel": ["cup"]}))
    return tmp_path / "my data"


def doctor(source: Path, *flags: str) -> int:
    small = ["--ways", "1", "--shots", "2", "--queries", "3", "--workers", "1"]
    return main(["doctor", str(source), "--splits", str(source.parent / "lists.json"), *small, *flags])


def test_sound_pictures_give_exit_code_0_and_the_page_under_the_name_of_the_data(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(source.parent)
    before = {path: path.stat().st_mtime_ns for path in source.rglob("*")}
    assert doctor(source) == 0
    printed = capsys.readouterr().out
    assert "my data: sound; 15 pictures" in printed
    assert "page in doctor-my-data.html" in printed
    assert {path.name for path in source.parent.iterdir()} == {"my data", "lists.json", "doctor-my-data.html"}
    assert {path: path.stat().st_mtime_ns for path in source.rglob("*")} == before


def test_findings_give_exit_code_1_and_names_as_they_are(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (source / "cup" / "copy.png").write_bytes((source / "bear [x]" / "3.png").read_bytes())
    (source / "cup" / "0.png").write_bytes((source / "cup" / "0.png").read_bytes()[:150])
    assert doctor(source, "--output", "null", "--queries", "4") == 1
    printed = capsys.readouterr().out
    assert "finding: 1 set of exactly equal pictures in different splits" in printed
    assert "bear [x]/3.png (validation) = cup/copy.png (novel)" in printed
    assert "finding: 1 file is cut short (truncated)" in printed
    assert "cup/0.png: " in printed
    assert "finding: 1 class of novel has fewer than the 6 pictures" in printed
    assert not list(source.parent.glob("*.html"))


def test_class_lists_that_do_not_fit_give_exit_code_2_and_a_page(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (source.parent / "lists.json").write_text('{"base": ["apple"], "validation": ["dog"], "novel": ["cup"]}')
    page = source.parent / "pages" / "{name}.html"
    assert doctor(source, "--output", str(page)) == 2
    assert "not usable: it cannot be prepared: " in capsys.readouterr().out
    assert "not usable" in (source.parent / "pages" / "my-data.html").read_text()


def test_an_altered_table_gives_exit_code_2(glyph_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "table"
    table.mkdir()
    for file in glyph_folder.iterdir():
        (table / file.name).write_bytes(file.read_bytes())
    flags = ["--shots", "1", "--queries", "7", "--output", str(tmp_path / "page.html"), "--pictures", "1"]
    assert main(["doctor", str(table), *flags]) == 0
    with (table / "images.npy").open("r+b") as images:
        images.seek(5000)
        byte = images.read(1)[0]
        images.seek(5000)
        images.write(bytes([byte ^ 1]))
    capsys.readouterr()
    assert main(["doctor", str(table), *flags]) == 2
    assert "altered after it was written" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["/no/such/place"], "/no/such/place"),
        ([], "needs --data"),
        (["one", "two"], "one and two"),
        (["glyphs", "--box", "true"], "--box"),
        (["glyphs", "--ways", "0"], "--ways is 0"),
    ],
)
def test_wrong_input_is_one_line_with_exit_code_2(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", *arguments, "--output", "null"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("s2m2 doctor: ")
    assert error.count("\n") == 1
    assert says in error


def test_a_page_inside_the_data_is_refused_before_anything_is_read(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(source, "--output", str(source / "page.html")) == 2
    assert "--output" in capsys.readouterr().err
    assert not list(source.glob("*.html"))
