"""Predictions of streams: what their rows say, memory, and the form that Ray Data takes."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s2m2.errors import InputError
from s2m2.recognition import ImageClassifier
from s2m2.recognition.bulk import BatchPredictor, FeatureRow, predictions, rows_of, stored_rows
from s2m2.recognition.sources import list_photos
from tests.recognition.tiny import labeled_folder, photo_folder, use_tiny_backbone


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    use_tiny_backbone(monkeypatch)


@pytest.fixture
def model(tmp_path: Path) -> ImageClassifier:
    return ImageClassifier(batch_size=4).fit(labeled_folder(tmp_path / "birds"))


def test_rows_agree_with_the_model_and_name_the_nearest_labeled_image(tmp_path: Path, model: ImageClassifier) -> None:
    photos = sorted(photo_folder(tmp_path / "photos").iterdir())
    rows = [row for part in predictions(model, photos) for row in rows_of(part)]
    assert [row["file"] for row in rows] == [str(path) for path in photos]
    assert [row["label"] for row in rows] == model.predict(photos).tolist()
    np.testing.assert_allclose([row["probability"] for row in rows], model.predict_proba(photos).max(-1), rtol=1e-6)
    assert [row["alternatives"] for row in rows] == model.predict_set(photos)
    assert all(row["nearest"] in model.support_.names for row in rows)


def test_a_labeled_image_is_nearest_to_itself(tmp_path: Path, model: ImageClassifier) -> None:
    names = list(model.support_.names)
    photos = [tmp_path / "birds" / name for name in names]
    assert [row["nearest"] for part in predictions(model, photos) for row in rows_of(part)] == names


def test_an_image_that_cannot_be_read_is_a_row_with_a_reason(tmp_path: Path, model: ImageClassifier) -> None:
    (tmp_path / "bad.jpg").write_text("no image")
    good = photo_folder(tmp_path / "photos", 1) / "0.png"
    rows = [row for part in predictions(model, [tmp_path / "bad.jpg", good, tmp_path / "none.png"]) for row in rows_of(part)]
    assert [row["error"] is None for row in rows] == [False, True, False]
    assert "bad.jpg: no image" in rows[0]["error"]
    assert "none.png: there is no such file" in rows[2]["error"]
    assert rows[0]["label"] is rows[0]["probability"] is rows[0]["unknown"] is None
    only_bad = [row for part in predictions(model, [tmp_path / "bad.jpg"]) for row in rows_of(part)]
    assert len(only_bad) == 1


def test_a_long_stream_is_read_no_further_than_needed(tmp_path: Path, model: ImageClassifier) -> None:
    photo, taken = photo_folder(tmp_path / "photos", 1) / "0.png", 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        while True:
            taken += 1
            yield photo

    stream = predictions(model, endless())
    for _ in range(10):
        next(stream)
    assert taken <= 10 * model.batch_size + 4 * 16 + model.batch_size
    stream.close()


def test_a_model_of_features_names_the_rows_of_files(tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    model = ImageClassifier("features", batch_size=4).fit(features, np.repeat(["a", "b"], 6))
    np.savez(tmp_path / "query.npz", features=features)
    rows = list(stored_rows([tmp_path / "query.npz"], 5))
    assert [row.name for row in rows] == [f"{tmp_path / 'query.npz'}[{number}]" for number in range(12)]
    parts = list(predictions(model, rows))
    assert [len(part.files) for part in parts] == [4, 4, 4]
    np.testing.assert_allclose(np.concatenate([part.answers.probabilities for part in parts]), model.predict_proba(features))


@pytest.mark.parametrize(
    ("name", "arrays", "says"),
    [
        ("none.npz", None, "no feature file"),
        ("other.npz", {"x": np.zeros(5)}, "it holds x (5 float64)"),
        ("wide.npz", {"features": np.zeros((2, 6))}, "the model was fitted to 5 numbers an image"),
        ("infinite.npz", {"features": np.full((2, 5), np.inf)}, "not finite"),
        ("photo.jpg", None, "no feature file"),
    ],
)
def test_wrong_feature_files_are_named(tmp_path: Path, name: str, arrays: dict[str, np.ndarray] | None, says: str) -> None:
    if arrays is not None:
        np.savez(tmp_path / name, **arrays)  # type: ignore[arg-type]  # names of arrays
    with pytest.raises(InputError, match=re.escape(says)):
        list(stored_rows([tmp_path / name], 5))


def test_a_batch_of_ray_data_keeps_its_other_columns(tmp_path: Path, model: ImageClassifier) -> None:
    photos = sorted(photo_folder(tmp_path / "photos", 5).iterdir())
    images = np.stack([np.asarray(Image.open(path)) for path in photos])
    batch = {"image": images, "path": np.array([str(path) for path in photos])}
    answers = model.predict_batch(batch)
    assert set(answers) == {"path", "label", "probability", "unknown", "alternatives", "nearest", "error"}
    assert answers["label"].tolist() == model.predict(photos).tolist()
    assert answers["unknown"].dtype == bool
    model.save(tmp_path / "saved")
    loaded = BatchPredictor(tmp_path / "saved")(batch)
    assert {name: values.tolist() for name, values in loaded.items()} == {name: values.tolist() for name, values in answers.items()}
    with pytest.raises(InputError, match="no column image, but path"):
        model.predict_batch({"path": batch["path"]})


def test_images_of_several_sizes_come_as_an_array_of_objects(model: ImageClassifier) -> None:
    images = np.empty(2, dtype=object)
    images[:] = [np.zeros((8, 9, 3), dtype=np.uint8), np.full((20, 7, 3), 200, dtype=np.uint8)]
    assert len(model.predict_batch({"image": images})["label"]) == 2


def test_feature_rows_are_read_one_after_the_other(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", features=np.zeros((2, 3)))
    rows = stored_rows(iter([tmp_path / "a.npz", tmp_path / "missing.npz"]), 3)
    assert isinstance(next(rows), FeatureRow)


def test_a_damaged_feature_file_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", features=np.zeros((40, 5), dtype=np.float32))
    (tmp_path / "f.npz").write_bytes((tmp_path / "f.npz").read_bytes()[:300])
    with pytest.raises(InputError, match=r"f\.npz is no \.npz file, or is damaged"):
        list(stored_rows([tmp_path / "f.npz"], 5))


def test_arrays_that_are_no_rgb_images_are_rows_of_a_batch(model: ImageClassifier) -> None:
    arrays = np.empty(4, dtype=object)
    arrays[:] = [np.zeros(shape, dtype=np.uint8) for shape in ((9, 9, 3), (9, 9), (9, 9, 4), (3, 9, 9))]
    errors = model.predict_batch({"image": arrays})["error"].tolist()
    assert [error is None for error in errors] == [True, False, False, True]
    assert "images[1] has shape 9 x 9; an image is height x width x 3" in errors[1]
    assert "images[2] has shape 9 x 9 x 4, without the three channels" in errors[2]


def test_the_home_folder_and_links_are_followed_without_circles(
    tmp_path: Path, model: ImageClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = photo_folder(tmp_path / "elsewhere", 2)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "link").symlink_to(photos)
    (photos / "up").symlink_to(tmp_path / "photos")
    monkeypatch.setenv("HOME", str(tmp_path))
    found = [str(path.relative_to(tmp_path)) for path in list_photos(["~/photos"])]
    assert found == ["photos/link/0.png", "photos/link/1.png"]
    (part,) = predictions(model, ["~/elsewhere/0.png", "~nobody/0.png"])
    assert [bool(error) for error in part.errors] == [False, True]


def test_predict_takes_files_and_says_so(tmp_path: Path, model: ImageClassifier) -> None:
    photo_folder(tmp_path / "photos")
    with pytest.raises(InputError, match=r"X is the folder .*photos, but must be files here: sorted\(Path"):
        model.predict(tmp_path / "photos")
