"""What a writer that was stopped leaves for the next one."""

import json
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from s2m2.data import partial, writing
from s2m2.data.dataset import IMAGES_FILE
from s2m2.data.writing import writing_dataset
from s2m2.errors import InputError
from tests.data.test_writing import IMAGES, contents, write


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
    assert sorted(path.name for path in (tmp_path / "dataset").iterdir()) == ["images.npy", "labels.npy", "dataset.json"]


def kept(folder: Path) -> int:
    with suppress(KeyboardInterrupt), writing_dataset(folder, contents(), fingerprint="the same") as writer:
        raise KeyboardInterrupt
    return writer.written


def test_what_is_kept_outlives_ctrl_c_while_it_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*given: object) -> None:
        raise KeyboardInterrupt

    stop(tmp_path / "dataset", 3)
    with monkeypatch.context() as patch:
        patch.setattr(partial, "_reread", interrupt)
        with pytest.raises(KeyboardInterrupt), writing_dataset(tmp_path / "dataset", contents(), fingerprint="the same"):
            pass
    assert kept(tmp_path / "dataset") == 3


def test_what_is_kept_outlives_a_disk_that_is_full_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop(tmp_path / "dataset", 3)
    with monkeypatch.context() as patch:
        patch.setattr(partial.shutil, "disk_usage", lambda place: SimpleNamespace(free=74))
        with pytest.raises(InputError, match="too little space"), writing_dataset(tmp_path / "dataset", contents(), fingerprint="the same"):
            pass
    assert kept(tmp_path / "dataset") == 3


def test_what_another_table_left_makes_room_where_space_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop(tmp_path / "dataset", 3, fingerprint="another")
    left = tmp_path / ".dataset.partial"
    monkeypatch.setattr(partial.shutil, "disk_usage", lambda place: SimpleNamespace(free=0 if left.exists() else 300))
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
    note = tmp_path / ".dataset.partial" / partial.PROGRESS_FILE
    with writing_dataset(tmp_path / "dataset", contents(), fingerprint="the same") as writer:
        writer.append(IMAGES[:2])
        assert not note.exists()
        monkeypatch.setattr(writing, "NOTE_SECONDS", 0.0)
        writer.append(IMAGES[2:3])
        assert json.loads(note.read_text())["images"] == 3
