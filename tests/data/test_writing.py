import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from s2m2.data.table import ImageTable, open_table
from s2m2.data.writing import TableWriter, write_table, writing_table
from s2m2.errors import InputError

IMAGES = np.arange(4 * 5 * 5 * 3, dtype=np.uint8).reshape(4, 5, 5, 3)


def write(folder: Path, images: np.ndarray = IMAGES, overwrite: bool = False) -> ImageTable:
    return write_table(
        folder,
        iter([images[:3], images[3:]]),
        shape=images.shape[:3],
        name="four",
        labels=np.arange(len(images)),
        class_names=tuple("abcd"),
        splits={"base": (0, 1), "novel": (2, 3)},
        settings={},
        overwrite=overwrite,
    )


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
        write_table(
            tmp_path / "table", broken_off(error), shape=(4, 5, 5), name="", labels=np.arange(4), class_names=(), splits={}, settings={}
        )
    assert list(tmp_path.iterdir()) == []


def test_an_error_midway_leaves_the_old_table_as_it_was(tmp_path: Path) -> None:
    digest = write(tmp_path / "table").digest
    with pytest.raises(RuntimeError):
        write_table(
            tmp_path / "table",
            broken_off(RuntimeError),
            shape=(4, 5, 5),
            name="",
            labels=np.arange(4),
            class_names=(),
            splits={},
            settings={},
            overwrite=True,
        )
    assert open_table(tmp_path / "table").digest == digest
    assert [path.name for path in tmp_path.iterdir()] == ["table"]


def test_too_few_pictures_are_never_published(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="4 pictures and 4 labels for a table of 5"):
        write_table(tmp_path / "table", [IMAGES], shape=(5, 5, 5), name="", labels=np.arange(4), class_names=(), splits={}, settings={})
    assert list(tmp_path.iterdir()) == []


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


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "table").mkdir()
    assert len(write(tmp_path / "table").images) == 4


def test_a_killed_writer_leaves_no_table_and_the_next_one_tidies_up(tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        from pathlib import Path
        import numpy as np
        from s2m2.data.writing import writing_table
        with writing_table(Path(sys.argv[1]), shape=(4, 5, 5)) as writer:
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
        writing_table(tmp_path / "table", shape=(4, 5, 5)) as writer,
        pytest.raises(InputError, match=r"cannot write .*table: No space left"),
    ):
        fill(writer)
    assert list(tmp_path.iterdir()) == []
