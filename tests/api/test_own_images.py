"""The first session of the front door: own images, offline, with the embedded backbone."""

from pathlib import Path

import numpy as np
import pytest

import s2m2
from tests.recognition.made_up import color_folder, paint


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> s2m2.ImageClassifier:
    return s2m2.ImageClassifier().fit(color_folder(tmp_path_factory.mktemp("birds") / "birds", images=3))


def test_a_few_images_of_each_class_are_enough(model: s2m2.ImageClassifier, tmp_path: Path) -> None:
    paths = []
    for name in ("red", "blue"):
        paint(name, 70, (300, 200)).save(tmp_path / f"{name}.jpg")
        paths.append(tmp_path / f"{name}.jpg")
    said = model.predict(paths)
    assert all(one in (None, wanted) for one, wanted in zip(said, ("red", "blue"), strict=True))
    assert model.predict_proba(paths).shape == (2, 3)
    assert "red" in next(iter(model.predict_set(paths, coverage=0.95)))


def test_it_learns_more_is_saved_and_comes_back(model: s2m2.ImageClassifier, tmp_path: Path) -> None:
    model.partial_fit([paint("yellow", 4)], ["yellow"])
    assert "yellow" in model.classes_
    model.save(tmp_path / "birds")
    again = s2m2.ImageClassifier.load(tmp_path / "birds")
    image = [paint("green", 71)]
    np.testing.assert_array_equal(again.predict_proba(image), model.predict_proba(image))
    model.undo()


def test_it_says_how_good_it_is_and_exports_itself(model: s2m2.ImageClassifier, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="extra onnx")
    model.report().to_html(tmp_path / "birds.html")
    assert "<html" in (tmp_path / "birds.html").read_text()
    model.export_onnx(tmp_path / "birds.onnx")
    assert (tmp_path / "birds.onnx").stat().st_size > 2**20
