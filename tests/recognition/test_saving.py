"""A saved model: the same answers, nothing pickled, and damage that is noticed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from s2m2.errors import InputError
from s2m2.recognition import ImageClassifier
from s2m2.recognition.saving import MODEL
from tests.recognition.made_up import color_folder, color_model, features, paint

REFERENCE = features(12, 12, seed=9)


@pytest.fixture
def model() -> ImageClassifier:
    X, y = features(4, 6)
    names = np.array(["a", "b", "ç", "d e"])[y]
    return ImageClassifier("features", reference=REFERENCE, unknown=0.1).fit(X, names)


@pytest.fixture
def saved(model: ImageClassifier, tmp_path: Path) -> Path:
    model.save(tmp_path / "model")
    return tmp_path / "model"


def test_a_loaded_model_gives_the_same_answers(model: ImageClassifier, saved: Path) -> None:
    loaded, (X, _) = ImageClassifier.load(saved), features(4, 9, seed=3)
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert loaded.predict_set(X) == model.predict_set(X)
    assert loaded.get_params()["unknown"] == 0.1


def test_the_folder_holds_json_safetensors_and_a_card_alone(saved: Path) -> None:
    assert sorted(path.suffix for path in saved.iterdir()) == [".json", ".md", ".safetensors", ".safetensors"]
    assert "ç" in (saved / "README.md").read_text()


def test_equal_models_are_equal_files(model: ImageClassifier, saved: Path, tmp_path: Path) -> None:
    model.save(tmp_path / "again")
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()
    }


def test_changes_and_thumbnails_survive(tmp_path: Path) -> None:
    model = color_model(unknown=0.0).fit(color_folder(tmp_path / "colors"))
    model.partial_fit([paint("yellow", 1)], ["sun"])
    model.save(tmp_path / "model")
    loaded = ImageClassifier.load(tmp_path / "model")
    loaded._extractor, loaded._has_reference = model._extractor, True
    assert loaded.support_.thumbnails == model.support_.thumbnails
    assert loaded.support_.changes == model.support_.changes
    assert loaded.undo().classes_.tolist() == ["blue", "green", "red"]


def test_overwriting_leaves_one_state_and_nothing_beside_it(model: ImageClassifier, saved: Path) -> None:
    before = {path.name for path in saved.iterdir()}
    with pytest.raises(InputError, match="holds a model already"):
        model.save(saved)
    model.rename_class("a", "z").save(saved, overwrite=True)
    model.remove_class("b").save(saved, overwrite=True)
    assert len(list(saved.iterdir())) == len(before)
    assert ImageClassifier.load(saved).classes_.tolist() == ["d e", "z", "ç"]


def test_other_folders_are_never_replaced(model: ImageClassifier, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(InputError, match="is no model"):
        model.save(tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"


def _newer(folder: Path) -> None:
    about = json.loads((folder / MODEL).read_text())
    (folder / MODEL).write_text(json.dumps({**about, "format": 99, "s2m2": "9.0"}))


def _flip(folder: Path) -> None:
    (file,) = folder.glob("images-*.safetensors")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / MODEL).unlink(), "only part of one"),
        (lambda folder: next(folder.glob("*.safetensors")).unlink(), "only part of a model"),
        (_newer, r"written by s2m2 9\.0"),
        (_flip, "is damaged"),
        (lambda folder: (folder / MODEL).write_text("{"), "is damaged"),
        (lambda folder: (folder / MODEL).write_text("[" * 100_000), "is damaged"),
        (lambda folder: (folder / MODEL).write_text("{}"), "no model of s2m2"),
        (lambda folder: (folder / MODEL).write_text('{"format": 1}'), "it lacks"),
        (shutil.rmtree, "there is no model folder"),
    ],
)
def test_a_damaged_or_newer_model_is_refused_in_one_line(saved: Path, damage: object, words: str) -> None:
    damage(saved)  # type: ignore[operator]
    with pytest.raises(InputError, match=words) as error:
        ImageClassifier.load(saved)
    assert "\n" not in str(error.value)


def test_a_failed_save_leaves_the_last_state(model: ImageClassifier, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("s2m2.recognition.saving.write_text", full)
    with pytest.raises(InputError, match="No space left"):
        model.remove_class("b").save(saved, overwrite=True)
    assert ImageClassifier.load(saved).classes_.tolist() == ["a", "b", "d e", "ç"]


def test_a_model_for_others_can_leave_its_images_out(tmp_path: Path) -> None:
    model = color_model().fit(color_folder(tmp_path / "colors"))
    assert any(model.support_.thumbnails)
    assert not any(model.without_thumbnails().support_.thumbnails)
    assert any(model.support_.thumbnails)


def test_a_loaded_model_calibrates_as_the_saved_one_did(model: ImageClassifier, saved: Path) -> None:
    loaded, (X, y) = ImageClassifier.load(saved), features(1, 5, seed=21)
    one, two = (which.partial_fit(X, np.full(len(y), "new")).calibration_ for which in (model, loaded))
    assert one.reference == two.reference != ""
    assert one.temperature == pytest.approx(two.temperature, rel=0.05)
