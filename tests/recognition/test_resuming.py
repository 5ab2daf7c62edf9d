"""Files of predictions: every format says the same, a kill loses one part, and parts of another call are never mixed in."""

import csv
import errno
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from s2m2.cli import main
from s2m2.errors import InputError
from s2m2.recognition import ImageClassifier, resuming
from s2m2.recognition.bulk import Predictions, predictions
from s2m2.recognition.prediction_files import COLUMNS
from s2m2.recognition.resuming import ResumableFile, Tally
from tests.recognition.tiny import labeled_folder, photo_folder, use_tiny_backbone

CALL = {"model": "digest", "coverage": 0.95}
ROOT = Path(__file__).parents[2]
FORMATS = (".csv", ".jsonl", ".parquet")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    use_tiny_backbone(monkeypatch)
    monkeypatch.setattr(resuming, "PART_IMAGES", 4)


@pytest.fixture
def model(tmp_path: Path) -> ImageClassifier:
    return ImageClassifier(batch_size=2).fit(labeled_folder(tmp_path / "birds", ("=1+1", "wren, the", "Zaunkönig\n2")))


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    paths = sorted(photo_folder(tmp_path / "photos", 10).iterdir())
    paths[3].write_text("no image")
    return [*paths, tmp_path / "@none.png"]


def written(model: ImageClassifier, photos: list[Path], output: Path, stop: int | None = None, **options: Any) -> Tally:
    """Write predictions, and stop as a kill does after some batches."""
    file = ResumableFile(output, model.classes_.tolist(), CALL, **options)
    return file.write(_until(predictions(model, file.remaining(iter(photos))), stop))


def _until(batches: Iterator[Predictions], stop: int | None) -> Iterator[Predictions]:
    for number, batch in enumerate(batches):
        if number == stop:
            raise KeyboardInterrupt
        yield batch


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def text_of(file: Path) -> io.StringIO:
    """With its line breaks, which may be inside cells."""
    return io.StringIO(file.read_bytes().decode(), newline="")


def rows_in(file: Path) -> list[dict[str, Any]]:
    if file.suffix == ".csv":
        return list(csv.DictReader(text_of(file)))
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()  # type: ignore[no-untyped-call]
    return rows


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_of_parts_equals_one_without_and_leaves_nothing_beside_it(
    tmp_path: Path, model: ImageClassifier, photos: list[Path], suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out" / f"parts{suffix}"
    tally = written(model, photos, output)
    assert (tally.images, tally.unreadable) == (11, 2)
    monkeypatch.setattr(resuming, "PART_IMAGES", 1000)
    assert written(model, photos, output.with_stem("whole")) == tally
    assert rows_in(output) == rows_in(output.with_stem("whole"))
    assert sorted(path.name for path in output.parent.iterdir()) == [f"parts{suffix}", f"whole{suffix}"]


def test_all_formats_say_the_same(tmp_path: Path, model: ImageClassifier, photos: list[Path]) -> None:
    for suffix in FORMATS:
        written(model, photos, tmp_path / f"p{suffix}")
    table, lines, arrow = (rows_in(tmp_path / f"p{suffix}") for suffix in FORMATS)
    assert lines == arrow
    assert list(lines[0]) == [*COLUMNS, "p:=1+1", "p:Zaunkönig\n2", "p:wren, the"] == list(table[0])
    for text, row in zip(table, lines, strict=True):
        assert text["unknown"] == ("" if row["unknown"] is None else str(row["unknown"]).lower())
        assert text["probability"] == ("" if row["probability"] is None else f"{row['probability']:.6f}")
        assert text["label"].removeprefix("'") == (row["label"] or "")
        assert text["alternatives"].removeprefix("'") == "; ".join(row["alternatives"])


def test_no_cell_of_a_csv_file_begins_a_formula(
    tmp_path: Path, model: ImageClassifier, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "=cmd.png").write_bytes(photos[0].read_bytes())
    written(
        model, [Path("=cmd.png"), *((tmp_path / "birds" / name) for name in model.support_.names), Path("@none.png")], tmp_path / "p.csv"
    )
    cells = [cell for row in csv.reader(text_of(tmp_path / "p.csv")) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t"))]
    assert {"'=cmd.png", "'=1+1", "'@none.png: there is no such file"} <= set(cells)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(("stop", "kept"), [(1, 0), (3, 4), (5, 8)])
def test_a_call_that_is_stopped_goes_on_after_its_parts(
    tmp_path: Path, model: ImageClassifier, photos: list[Path], suffix: str, stop: int, kept: int
) -> None:
    written(model, photos, tmp_path / f"whole{suffix}")
    output = tmp_path / f"p{suffix}"
    with pytest.raises(KeyboardInterrupt):
        written(model, photos, output, stop)
    assert not output.exists()
    file = ResumableFile(output, model.classes_.tolist(), CALL)
    assert file.tally.images == kept
    named: list[str] = []
    for batch in predictions(model, file.remaining(iter(photos))):
        named += batch.files
    assert named == [str(path) for path in photos[file.tally.images :]]
    assert written(model, photos, output).images == 11
    assert rows_in(output) == rows_in(tmp_path / f"whole{suffix}")


def test_a_call_may_end_while_its_parts_are_joined(tmp_path: Path, model: ImageClassifier, photos: list[Path]) -> None:
    output = tmp_path / "p.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resuming, "join_predictions", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            written(model, photos, output)
    assert len(list((tmp_path / "p.csv.parts").glob("part-*.csv"))) == 3
    assert written(model, photos, output).images == 11
    assert len(rows_in(output)) == 11


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"coverage": 0.9}, "its coverage was 0.95, and is now 0.9"),
        ({"model": "other"}, "the model has changed"),
    ],
)
def test_parts_of_another_call_are_refused_and_overwrite_drops_them(
    tmp_path: Path, model: ImageClassifier, photos: list[Path], change: dict[str, Any], says: str
) -> None:
    output = tmp_path / "p.csv"
    with pytest.raises(KeyboardInterrupt):
        written(model, photos, output, 3)
    with pytest.raises(InputError, match=rf"p\.csv\.parts holds parts of another call: {says}; to begin again, remove that folder"):
        ResumableFile(output, model.classes_.tolist(), CALL | change)
    assert ResumableFile(output, model.classes_.tolist(), CALL).tally.images == 4
    assert ResumableFile(output, model.classes_.tolist(), CALL | change, overwrite=True).tally.images == 0


def test_other_images_are_not_put_behind_the_parts(tmp_path: Path, model: ImageClassifier, photos: list[Path]) -> None:
    with pytest.raises(KeyboardInterrupt):
        written(model, photos, tmp_path / "p.csv", 3)
    for others in (photos[1:], photos[:2]):
        with pytest.raises(InputError, match="the images are not those of its first parts, or have changed"):
            written(model, others, tmp_path / "p.csv")


def test_a_file_that_is_there_is_kept_unless_told(tmp_path: Path, model: ImageClassifier, photos: list[Path]) -> None:
    (tmp_path / "p.csv").write_text("mine")
    with pytest.raises(InputError, match=r"p\.csv is there already; --overwrite true replaces it"):
        written(model, photos, tmp_path / "p.csv")
    with pytest.raises(KeyboardInterrupt):
        written(model, photos, tmp_path / "p.csv", 4, overwrite=True)
    assert (tmp_path / "p.csv").read_text() == "mine"
    written(model, photos, tmp_path / "p.csv", overwrite=True)
    assert len(rows_in(tmp_path / "p.csv")) == 11


def test_a_full_disk_is_one_line_and_keeps_the_parts(
    tmp_path: Path, model: ImageClassifier, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    output, write = tmp_path / "p.csv", resuming._Part.write

    def full(part: Any, batch: Predictions) -> None:
        if (tmp_path / "p.csv.parts").is_dir():
            raise OSError(errno.ENOSPC, "No space left on device")
        write(part, batch)

    monkeypatch.setattr(resuming._Part, "write", full)
    with pytest.raises(InputError, match=r"p\.csv cannot be written: No space left on device; the same command goes on after the 4 images"):
        written(model, photos, output)
    monkeypatch.undo()
    use_tiny_backbone(monkeypatch)
    assert written(model, photos, output).images == 11
    assert not list(tmp_path.glob(".p.csv*"))


@pytest.mark.parametrize("output", ["file/p.csv", "folder.csv"])
def test_an_output_that_cannot_be_is_told_before_any_work(tmp_path: Path, output: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="--output"):
        ResumableFile(tmp_path / output, ["a"], CALL)


def test_two_processes_do_not_write_one_file(tmp_path: Path, model: ImageClassifier, photos: list[Path]) -> None:
    first = ResumableFile(tmp_path / "p.csv", model.classes_.tolist(), CALL)
    with first._locked(), pytest.raises(InputError, match="is being written by another process"):
        written(model, photos, tmp_path / "p.csv")


def test_parts_of_another_call_are_removed_under_the_lock_only(tmp_path: Path, model: ImageClassifier, photos: list[Path]) -> None:
    output = tmp_path / "p.csv"
    with pytest.raises(KeyboardInterrupt):
        written(model, photos, output, 3)
    other = ResumableFile(output, model.classes_.tolist(), {"model": "other"}, overwrite=True)
    assert (tmp_path / "p.csv.parts" / "part-00001.csv").is_file()
    assert other.write(predictions(model, other.remaining(iter(photos[:2])))).images == 2
    assert sorted(path.name for path in tmp_path.iterdir() if "p.csv" in path.name) == ["p.csv"]


def test_a_folder_that_holds_no_parts_is_kept(tmp_path: Path, model: ImageClassifier, photos: list[Path]) -> None:
    (tmp_path / "p.csv.parts").mkdir()
    (tmp_path / "p.csv.parts" / "mine.txt").write_text("")
    with pytest.raises(InputError, match=r"p\.csv\.parts is in the way, and holds no parts of predictions"):
        written(model, photos, tmp_path / "p.csv", overwrite=True)
    assert (tmp_path / "p.csv.parts" / "mine.txt").is_file()


def test_parts_that_another_process_has_just_written_are_not_mixed_in(tmp_path: Path, model: ImageClassifier, photos: list[Path]) -> None:
    late = ResumableFile(tmp_path / "p.csv", model.classes_.tolist(), CALL)
    with pytest.raises(KeyboardInterrupt):
        written(model, photos, tmp_path / "p.csv", 3)
    with pytest.raises(InputError, match="has just been written by another process"):
        late.write(predictions(model, iter(photos)))


def test_a_photo_that_was_replaced_is_noticed(tmp_path: Path, model: ImageClassifier, photos: list[Path]) -> None:
    with pytest.raises(KeyboardInterrupt):
        written(model, photos, tmp_path / "p.csv", 3)
    photos[1].write_bytes(photos[5].read_bytes() + b" ")
    with pytest.raises(InputError, match="the images are not those of its first parts, or have changed"):
        written(model, photos, tmp_path / "p.csv")


def test_a_name_that_no_file_can_have_is_a_row(tmp_path: Path, model: ImageClassifier, photos: list[Path]) -> None:
    tally = written(model, [photos[0], tmp_path / ("x" * 300 + ".png")], tmp_path / "p.csv")
    assert (tally.images, tally.unreadable) == (2, 1)
    assert tally.errors[0].endswith("cannot be read: File name too long")


KILLED = """
import sys
from s2m2.cli import main
from s2m2.recognition import resuming
from tests.data.files import die
resuming.PART_IMAGES = 100
keep = resuming.ResumableFile._keep
def keep_and_die(file, part):
    keep(file, part)
    if len(file.done) == 2:
        die()
resuming.ResumableFile._keep = keep_and_die
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_the_command_survives_a_kill(tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(500, 6)).astype(np.float32)
    np.savez(tmp_path / "f.npz", features=features)
    ImageClassifier("features").fit(features[:40], ["a", "b"] * 20).save(tmp_path / "model")
    words = ["predict", str(tmp_path / "model"), str(tmp_path / "f.npz"), "--batch_size", "50"]
    output = tmp_path / "p.csv"
    call = [sys.executable, "-c", KILLED, *words, "--output", str(output)]
    assert subprocess.run(call, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    assert not output.exists()
    assert main([*words, "--output", str(output)]) == 0
    assert main([*words, "--output", str(tmp_path / "whole.csv")]) == 0
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not list(tmp_path.glob("*.parts"))
