"""Writing a dataset: whole or not at all, and continued after an interruption."""

import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock

from s2m2.data import writing
from s2m2.data.dataset import DATASET_FILE, IMAGES_FILE, LABELS_FILE, PROPORTIONS_FILE, ImageDataset, dataset_digest, open_dataset
from s2m2.data.writing import DatasetContents, DatasetWriter, write_dataset, writing_dataset
from s2m2.errors import InputError

IMAGES = np.arange(4 * 5 * 5 * 3, dtype=np.uint8).reshape(4, 5, 5, 3)


def contents(count: int = 4) -> DatasetContents:
    return DatasetContents(
        name="four",
        size=(5, 5),
        labels=np.arange(count) % 4,
        class_names=tuple("abcd"),
        splits={"base": (0, 1), "novel": (2, 3)},
        settings={"side": 5},
    )


def write(folder: Path, images: np.ndarray = IMAGES, overwrite: bool = False) -> ImageDataset:
    return write_dataset(folder, contents(), iter([images[:3], images[3:]]), overwrite=overwrite)


def broken_off(error: type[BaseException]) -> Iterator[np.ndarray]:
    yield IMAGES[:2]
    raise error


def test_pieces_become_one_dataset_and_no_other_file(tmp_path: Path) -> None:
    dataset = write(tmp_path / "deep" / "dataset")
    np.testing.assert_array_equal(dataset.images, IMAGES)
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["dataset"]
    assert sorted(path.name for path in (tmp_path / "deep" / "dataset").iterdir()) == ["dataset.json", "images.npy", "labels.npy"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_midway_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error):
        write_dataset(tmp_path / "deep" / "dataset", contents(), broken_off(error))
    assert list(tmp_path.iterdir()) == []


def test_an_error_midway_leaves_the_old_dataset_as_it_was(tmp_path: Path) -> None:
    digest = write(tmp_path / "dataset").digest
    with pytest.raises(RuntimeError):
        write_dataset(tmp_path / "dataset", contents(), broken_off(RuntimeError), overwrite=True)
    assert open_dataset(tmp_path / "dataset").digest == digest
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_too_few_images_are_never_published(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="4 images and 5 labels for a dataset"):
        write_dataset(tmp_path / "dataset", contents(5), [IMAGES])
    assert list(tmp_path.iterdir()) == []


def test_the_digest_taken_while_writing_is_that_of_the_whole_dataset(tmp_path: Path) -> None:
    dataset = write(tmp_path / "dataset")
    assert dataset.digest == dataset_digest(dataset.images, dataset.labels, dataset.class_names, dataset.splits, dataset.settings)


def test_a_dataset_is_replaced_only_where_that_is_asked_for(tmp_path: Path) -> None:
    first = write(tmp_path / "dataset").digest
    with pytest.raises(InputError, match=r"dataset exists; .*--overwrite"):
        write(tmp_path / "dataset", 255 - IMAGES)
    assert open_dataset(tmp_path / "dataset").digest == first
    assert write(tmp_path / "dataset", 255 - IMAGES, overwrite=True).digest != first
    np.testing.assert_array_equal(open_dataset(tmp_path / "dataset").images, 255 - IMAGES)
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_what_is_no_dataset_is_never_replaced(tmp_path: Path) -> None:
    holiday = tmp_path / "photos" / "holiday.jpg"
    holiday.parent.mkdir()
    holiday.write_bytes(b"precious")
    for place in (tmp_path / "photos", holiday):
        with pytest.raises(InputError, match="exists and is no dataset"):
            write(place, overwrite=True)
    assert holiday.read_bytes() == b"precious"


@pytest.mark.parametrize("names", [[IMAGES_FILE], [LABELS_FILE], [IMAGES_FILE, LABELS_FILE], [DATASET_FILE, "notes.txt"]])
def test_arrays_of_somebodys_own_are_never_replaced(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "mine").mkdir()
    for name in names:
        (tmp_path / "mine" / name).write_bytes(b"precious")
    with pytest.raises(InputError, match="exists and is no dataset"):
        write(tmp_path / "mine", overwrite=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "mine").iterdir()} == dict.fromkeys(names, b"precious")


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    assert len(write(tmp_path / "dataset").images) == 4


def test_a_killed_writer_leaves_no_dataset_and_the_next_one_tidies_up(tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        from pathlib import Path
        import numpy as np
        from s2m2.data.writing import DatasetContents, writing_dataset
        contents = DatasetContents(name="", size=(5, 5), labels=np.arange(4), class_names=("a",) * 4, splits={}, settings={})
        with writing_dataset(Path(sys.argv[1]), contents) as writer:
            writer.append(np.zeros((1, 5, 5, 3), np.uint8))
            os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "dataset")], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / ".dataset.partial").is_dir()
    assert not (tmp_path / "dataset").exists()
    write(tmp_path / "dataset")
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_a_kill_between_the_two_renames_loses_no_dataset(tmp_path: Path) -> None:
    digest = write(tmp_path / "dataset").digest
    (tmp_path / "dataset").rename(tmp_path / ".dataset.replaced")
    with pytest.raises(InputError, match="dataset exists"):
        write(tmp_path / "dataset")
    assert open_dataset(tmp_path / "dataset").digest == digest


def test_two_writers_of_one_dataset_do_not_meet(tmp_path: Path) -> None:
    with FileLock(tmp_path / ".dataset.lock"), pytest.raises(InputError, match=r"another process is writing .*dataset"):
        write(tmp_path / "dataset")
    write(tmp_path / "dataset")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full, the device that is always full")
def test_a_full_disk_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    def fill(writer: DatasetWriter) -> None:
        writer.images.close()
        with Path("/dev/full").open("wb", buffering=0) as full:
            writer.images = full
            writer.append(IMAGES)

    with (
        writing_dataset(tmp_path / "dataset", contents()) as writer,
        pytest.raises(InputError, match=r"cannot write .*dataset: No space left"),
    ):
        fill(writer)
    assert list(tmp_path.iterdir()) == []


def test_too_little_space_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing.shutil, "disk_usage", lambda place: SimpleNamespace(free=299))
    with pytest.raises(InputError, match="too little space"):
        write(tmp_path / "dataset")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(writing.shutil, "disk_usage", lambda place: SimpleNamespace(free=300))
    write(tmp_path / "dataset")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell the peak memory of a process in /proc")
def test_the_memory_that_writing_takes_does_not_grow_with_the_dataset(tmp_path: Path) -> None:
    script = """
        import sys
        from pathlib import Path
        import numpy as np
        from s2m2.data.writing import DatasetContents, write_dataset
        count = int(sys.argv[2])
        contents = DatasetContents(
            name="", size=(84, 84), labels=np.zeros(count * 64, np.int64), class_names=("a",), splits={"base": (0,)}, settings={}
        )
        write_dataset(Path(sys.argv[1]), contents, (np.full((64, 84, 84, 3), place % 256, np.uint8) for place in range(count)))
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


def stop(folder: Path, after: int, fingerprint: str | None = "the same") -> None:
    with suppress(KeyboardInterrupt), writing_dataset(folder, contents(), fingerprint=fingerprint) as writer:
        writer.append(IMAGES[writer.written : after])
        raise KeyboardInterrupt


def test_an_interrupted_writer_with_a_fingerprint_continues(tmp_path: Path) -> None:
    stop(tmp_path / "dataset", 1)
    stop(tmp_path / "dataset", 3)
    assert not (tmp_path / "dataset").exists()
    with writing_dataset(tmp_path / "dataset", contents(), fingerprint="the same") as writer:
        assert writer.written == 3
        writer.append(IMAGES[3:])
        dataset = writer.finish()
    np.testing.assert_array_equal(dataset.images, IMAGES)
    assert dataset.digest == write(tmp_path / "at once").digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["at once", "dataset"]
    assert sorted(path.name for path in (tmp_path / "dataset").iterdir()) == ["dataset.json", "images.npy", "labels.npy"]


@pytest.mark.parametrize("after", [1, 3])
def test_proportions_are_kept_where_an_image_was_squeezed_and_leave_the_digest_alone(tmp_path: Path, after: int) -> None:
    proportions = np.linspace(0.5, 2.0, len(IMAGES), dtype=np.float32)
    with suppress(KeyboardInterrupt), writing_dataset(tmp_path / "dataset", contents(), fingerprint="the same") as writer:
        writer.append(IMAGES[:after], proportions[:after])
        raise KeyboardInterrupt
    with writing_dataset(tmp_path / "dataset", contents(), fingerprint="the same") as writer:
        assert writer.written == after
        writer.append(IMAGES[after:], proportions[after:])
        dataset = writer.finish()
    np.testing.assert_array_equal(dataset.proportions, proportions)
    of = contents()
    assert dataset.digest == dataset_digest(IMAGES, of.labels, of.class_names, of.complete_splits, of.settings)
    assert dataset.digest == write(tmp_path / "squares").digest
    assert json.loads((tmp_path / "dataset" / DATASET_FILE).read_text())["format"] == 3


def test_squares_have_no_proportions_and_the_digest_and_format_of_before(tmp_path: Path) -> None:
    with writing_dataset(tmp_path / "dataset", contents(), fingerprint="the same") as writer:
        writer.append(IMAGES[:2], np.ones(2, np.float32))
        writer.save_progress()
        writer.append(IMAGES[2:], np.ones(len(IMAGES) - 2, np.float32))
        dataset = writer.finish()
    assert dataset.proportions is None
    assert dataset.digest == write(tmp_path / "at once").digest
    assert sorted(path.name for path in (tmp_path / "dataset").iterdir()) == ["dataset.json", "images.npy", "labels.npy"]
    assert json.loads((tmp_path / "dataset" / DATASET_FILE).read_text())["format"] == 2


def test_images_whose_proportions_are_lost_are_written_again(tmp_path: Path) -> None:
    stop(tmp_path / "dataset", 3)
    (tmp_path / ".dataset.partial" / PROPORTIONS_FILE).write_bytes(b"half")
    assert kept(tmp_path / "dataset") == 0


def test_a_dataset_of_squares_takes_the_place_of_one_with_proportions(tmp_path: Path) -> None:
    with writing_dataset(tmp_path / "dataset", contents()) as writer:
        writer.append(IMAGES, np.full(len(IMAGES), 2, np.float32))
        writer.finish()
    assert write(tmp_path / "dataset", overwrite=True).proportions is None


def kept(folder: Path) -> int:
    with suppress(KeyboardInterrupt), writing_dataset(folder, contents(), fingerprint="the same") as writer:
        raise KeyboardInterrupt
    return writer.written


def test_what_is_kept_outlives_ctrl_c_while_it_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*given: object) -> None:
        raise KeyboardInterrupt

    stop(tmp_path / "dataset", 3)
    with monkeypatch.context() as patch:
        patch.setattr(writing, "_reread", interrupt)
        with pytest.raises(KeyboardInterrupt), writing_dataset(tmp_path / "dataset", contents(), fingerprint="the same"):
            pass
    assert kept(tmp_path / "dataset") == 3


def test_what_is_kept_outlives_a_disk_that_is_full_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop(tmp_path / "dataset", 3)
    with monkeypatch.context() as patch:
        patch.setattr(writing.shutil, "disk_usage", lambda place: SimpleNamespace(free=74))
        with pytest.raises(InputError, match="too little space"), writing_dataset(tmp_path / "dataset", contents(), fingerprint="the same"):
            pass
    assert kept(tmp_path / "dataset") == 3


def test_what_another_dataset_left_makes_room_where_space_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop(tmp_path / "dataset", 3, fingerprint="another")
    left = tmp_path / ".dataset.partial"
    monkeypatch.setattr(writing.shutil, "disk_usage", lambda place: SimpleNamespace(free=0 if left.exists() else 300))
    assert kept(tmp_path / "dataset") == 0


@pytest.mark.parametrize(("cause", "written"), [(BrokenProcessPool(), 3), (None, 0)])
def test_images_are_kept_where_a_process_was_killed_but_not_after_other_errors(
    tmp_path: Path, cause: Exception | None, written: int
) -> None:
    with suppress(InputError), writing_dataset(tmp_path / "dataset", contents(), fingerprint="the same") as writer:
        writer.append(IMAGES[:3])
        raise InputError("no more") from cause
    assert kept(tmp_path / "dataset") == written


@pytest.mark.parametrize("fingerprint", ["another", None])
def test_what_another_fingerprint_left_is_not_continued(tmp_path: Path, fingerprint: str | None) -> None:
    stop(tmp_path / "dataset", 3)
    with writing_dataset(tmp_path / "dataset", contents(), fingerprint=fingerprint) as writer:
        assert writer.written == 0
        writer.append(255 - IMAGES)
        np.testing.assert_array_equal(writer.finish().images, 255 - IMAGES)


def test_images_beyond_the_note_are_written_again_and_a_note_beyond_the_images_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop(tmp_path / "dataset", 2)
    images = tmp_path / ".dataset.partial" / IMAGES_FILE
    noted = images.read_bytes()
    images.write_bytes(noted + b"half an image")
    stop(tmp_path / "dataset", 2)
    assert images.read_bytes() == noted
    images.write_bytes(noted[:-1])
    with writing_dataset(tmp_path / "dataset", contents(), fingerprint="the same") as writer:
        assert writer.written == 0
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_is_noted_from_time_to_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = tmp_path / ".dataset.partial" / writing.PROGRESS_FILE
    with writing_dataset(tmp_path / "dataset", contents(), fingerprint="the same") as writer:
        writer.append(IMAGES[:2])
        assert not note.exists()
        monkeypatch.setattr(writing, "PROGRESS_SECONDS", 0.0)
        writer.append(IMAGES[2:3])
        assert json.loads(note.read_text())["images"] == 3


def test_what_a_writer_killed_during_a_note_left_is_not_published(tmp_path: Path) -> None:
    stop(tmp_path / "dataset", 2)
    (tmp_path / ".dataset.partial" / f".{writing.PROGRESS_FILE}.0123abcd.partial").write_text("half a no")
    with writing_dataset(tmp_path / "dataset", contents(), fingerprint="the same") as writer:
        assert writer.written == 2
        writer.append(IMAGES[2:])
        writer.finish()
    assert sorted(path.name for path in (tmp_path / "dataset").iterdir()) == ["dataset.json", "images.npy", "labels.npy"]
    write(tmp_path / "dataset", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_a_living_writers_folder_is_left_alone(tmp_path: Path) -> None:
    with writing_dataset(tmp_path / "dataset", contents(), fingerprint="the same") as writer:
        writer.append(IMAGES[:1])
        with pytest.raises(InputError, match="another process is writing"):
            write(tmp_path / "dataset")
        write(tmp_path / "other")
        writer.append(IMAGES[1:])
        np.testing.assert_array_equal(writer.finish().images, IMAGES)
