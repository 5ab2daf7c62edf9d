import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock

from s2m2.data import partial
from s2m2.data.table import IMAGES_FILE, LABELS_FILE, TABLE_FILE, ImageTable, open_table, table_digest
from s2m2.data.writing import TableContents, TableWriter, write_table, writing_table
from s2m2.errors import InputError

IMAGES = np.arange(4 * 5 * 5 * 3, dtype=np.uint8).reshape(4, 5, 5, 3)


def contents(count: int = 4) -> TableContents:
    return TableContents(
        name="four",
        size=(5, 5),
        labels=np.arange(count) % 4,
        class_names=tuple("abcd"),
        splits={"base": (0, 1), "novel": (2, 3)},
        settings={"side": 5},
    )


def write(folder: Path, images: np.ndarray = IMAGES, overwrite: bool = False) -> ImageTable:
    return write_table(folder, contents(), iter([images[:3], images[3:]]), overwrite=overwrite)


def broken_off(error: type[BaseException]) -> Iterator[np.ndarray]:
    yield IMAGES[:2]
    raise error


def test_pieces_become_one_table_and_no_other_file(tmp_path: Path) -> None:
    table = write(tmp_path / "deep" / "table")
    np.testing.assert_array_equal(table.images, IMAGES)
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["table"]
    assert sorted(path.name for path in (tmp_path / "deep" / "table").iterdir()) == ["images.npy", "labels.npy", "table.json"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_midway_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error):
        write_table(tmp_path / "deep" / "table", contents(), broken_off(error))
    assert list(tmp_path.iterdir()) == []


def test_an_error_midway_leaves_the_old_table_as_it_was(tmp_path: Path) -> None:
    digest = write(tmp_path / "table").digest
    with pytest.raises(RuntimeError):
        write_table(tmp_path / "table", contents(), broken_off(RuntimeError), overwrite=True)
    assert open_table(tmp_path / "table").digest == digest
    assert [path.name for path in tmp_path.iterdir()] == ["table"]


def test_too_few_pictures_are_never_published(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="4 pictures and 5 labels for a table"):
        write_table(tmp_path / "table", contents(5), [IMAGES])
    assert list(tmp_path.iterdir()) == []


def test_the_digest_taken_while_writing_is_that_of_the_whole_table(tmp_path: Path) -> None:
    table = write(tmp_path / "table")
    assert table.digest == table_digest(table.images, table.labels, table.class_names, table.splits, table.settings)


def test_a_table_is_replaced_only_where_that_is_asked_for(tmp_path: Path) -> None:
    first = write(tmp_path / "table").digest
    with pytest.raises(InputError, match=r"table exists; .*--overwrite"):
        write(tmp_path / "table", 255 - IMAGES)
    assert open_table(tmp_path / "table").digest == first
    assert write(tmp_path / "table", 255 - IMAGES, overwrite=True).digest != first
    np.testing.assert_array_equal(open_table(tmp_path / "table").images, 255 - IMAGES)
    assert [path.name for path in tmp_path.iterdir()] == ["table"]


def test_what_is_no_table_is_never_replaced(tmp_path: Path) -> None:
    holiday = tmp_path / "photos" / "holiday.jpg"
    holiday.parent.mkdir()
    holiday.write_bytes(b"precious")
    for place in (tmp_path / "photos", holiday):
        with pytest.raises(InputError, match="exists and is no table"):
            write(place, overwrite=True)
    assert holiday.read_bytes() == b"precious"


@pytest.mark.parametrize("names", [[IMAGES_FILE], [LABELS_FILE], [IMAGES_FILE, LABELS_FILE], [TABLE_FILE, "notes.txt"]])
def test_arrays_of_somebodys_own_are_never_replaced(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "mine").mkdir()
    for name in names:
        (tmp_path / "mine" / name).write_bytes(b"precious")
    with pytest.raises(InputError, match="exists and is no table"):
        write(tmp_path / "mine", overwrite=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "mine").iterdir()} == dict.fromkeys(names, b"precious")


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "table").mkdir()
    assert len(write(tmp_path / "table").images) == 4


def test_a_killed_writer_leaves_no_table_and_the_next_one_tidies_up(tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        from pathlib import Path
        import numpy as np
        from s2m2.data.writing import TableContents, writing_table
        contents = TableContents(name="", size=(5, 5), labels=np.arange(4), class_names=("a",) * 4, splits={}, settings={})
        with writing_table(Path(sys.argv[1]), contents) as writer:
            writer.append(np.zeros((1, 5, 5, 3), np.uint8))
            os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "table")], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / ".table.partial").is_dir()
    assert not (tmp_path / "table").exists()
    write(tmp_path / "table")
    assert [path.name for path in tmp_path.iterdir()] == ["table"]


def test_a_kill_between_the_two_renames_loses_no_table(tmp_path: Path) -> None:
    digest = write(tmp_path / "table").digest
    (tmp_path / "table").rename(tmp_path / ".table.replaced")
    with pytest.raises(InputError, match="table exists"):
        write(tmp_path / "table")
    assert open_table(tmp_path / "table").digest == digest


def test_two_writers_of_one_table_do_not_meet(tmp_path: Path) -> None:
    with FileLock(tmp_path / ".table.lock"), pytest.raises(InputError, match=r"another process is writing .*table"):
        write(tmp_path / "table")
    write(tmp_path / "table")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full, the device that is always full")
def test_a_full_disk_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    def fill(writer: TableWriter) -> None:
        writer.images.close()
        with Path("/dev/full").open("wb", buffering=0) as full:
            writer.images = full
            writer.append(IMAGES)

    with (
        writing_table(tmp_path / "table", contents()) as writer,
        pytest.raises(InputError, match=r"cannot write .*table: No space left"),
    ):
        fill(writer)
    assert list(tmp_path.iterdir()) == []


def test_too_little_space_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial.shutil, "disk_usage", lambda place: SimpleNamespace(free=299))
    with pytest.raises(InputError, match="too little space"):
        write(tmp_path / "table")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(partial.shutil, "disk_usage", lambda place: SimpleNamespace(free=300))
    write(tmp_path / "table")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell the peak memory of a process in /proc")
def test_the_memory_that_writing_takes_does_not_grow_with_the_table(tmp_path: Path) -> None:
    script = """
        import sys
        from pathlib import Path
        import numpy as np
        from s2m2.data.writing import TableContents, write_table
        count = int(sys.argv[2])
        contents = TableContents(
            name="", size=(84, 84), labels=np.zeros(count * 64, np.int64), class_names=("a",), splits={"base": (0,)}, settings={}
        )
        write_table(Path(sys.argv[1]), contents, (np.full((64, 84, 84, 3), place % 256, np.uint8) for place in range(count)))
        peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        assert "torch" not in sys.modules
        print(peak.split()[1])
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    peaks = []
    for pieces in (2, 100):
        finished = subprocess.run([*command, str(tmp_path / f"{pieces}"), str(pieces)], capture_output=True, text=True, check=True)
        peaks.append(int(finished.stdout) / 1024)
    assert (tmp_path / "100" / IMAGES_FILE).stat().st_size > 130e6
    assert peaks[1] - peaks[0] < 20
    assert peaks[1] < 200
