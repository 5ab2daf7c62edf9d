"""A model's folder is changed by one process at a time."""

from pathlib import Path

import pytest

from s2m2.errors import InputError
from s2m2.recognition.locking import LOCK, model_lock


def test_a_folder_has_one_owner_at_a_time(tmp_path: Path) -> None:
    with model_lock(tmp_path):
        with pytest.raises(InputError, match=r"is in use by another process \(serve or fit\)"), model_lock(tmp_path):
            pass
        assert (tmp_path / LOCK).exists()
    assert not (tmp_path / LOCK).exists()
    with pytest.raises(ZeroDivisionError), model_lock(tmp_path):
        raise ZeroDivisionError
    with model_lock(tmp_path):
        pass


def test_what_does_not_exist_is_not_made(tmp_path: Path) -> None:
    with model_lock(tmp_path / "none"):
        pass
    assert not (tmp_path / "none").exists()
