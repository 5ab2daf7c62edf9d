"""Datasets by name or folder."""

from pathlib import Path

import pytest

from s2m2.data import catalog
from s2m2.data.catalog import load_dataset
from s2m2.data.glyphs import glyph_dataset
from s2m2.data.learn2learn_datasets import CLASSES
from s2m2.data.prepare import prepare
from s2m2.errors import InputError
from s2m2.recipe.data import DOWNLOADABLE
from tests.data.files import write_images


def test_glyphs_are_drawn_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalog.DRAWN, "glyphs", lambda: glyph_dataset(tmp_path, classes=3, images_per_class=1, size=16))
    assert load_dataset("glyphs").name == "glyphs"


def test_a_prepared_dataset_is_opened_by_its_folder(tmp_path: Path) -> None:
    prepared = prepare(write_images(tmp_path / "source", dict.fromkeys("abcde", 1)), tmp_path / "dataset")
    assert load_dataset(str(tmp_path / "dataset")).digest == prepared.digest


def test_the_settings_offer_what_learn2learn_downloads() -> None:
    assert set(DOWNLOADABLE) == set(CLASSES)


def test_anything_else_is_an_error_that_tells_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no dataset glyph: neither a folder .* nor one of glyphs"):
        load_dataset("glyph")
    with pytest.raises(InputError, match="is not a dataset"):
        load_dataset(str(tmp_path))
