"""`ImageClassifier`: fitting, changing and asking."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from torch import nn

import s2m2
from s2m2.errors import InputError
from s2m2.recognition import ImageClassifier
from s2m2.recognition.extractors import Extractor
from tests.recognition.made_up import COLORS, color_folder, color_model, features, paint

REFERENCE = features(12, 12, seed=9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return color_folder(tmp_path_factory.mktemp("images") / "colors")


def fitted(classes: int = 5, images: int = 5, **settings: object) -> tuple[ImageClassifier, np.ndarray, np.ndarray]:
    """A model of made-up features, and queries with their labels."""
    X, y = features(classes, images + 20)
    support = np.tile(np.arange(images + 20) < images, classes)
    model = ImageClassifier("features", reference=REFERENCE, **settings).fit(X[support], y[support])  # type: ignore[arg-type]
    return model, X[~support], y[~support]


def test_class_folders_are_fitted_and_images_of_every_kind_named(folder: Path) -> None:
    model = color_model(unknown=0.0).fit(folder)
    assert model.classes_.tolist() == ["blue", "green", "red"]
    image = paint("red", 7)
    for kind in (image, np.asarray(image), np.asarray(image) / 255.0, str(folder / "red" / "red 0.png"), folder / "red" / "red 1.png"):
        assert model.predict([kind]).tolist() == ["red"]
    assert model.predict(np.stack([np.asarray(paint("blue", 3)), np.asarray(paint("green", 4))])).tolist() == ["blue", "green"]
    assert model.score(folder) == 1.0


def test_labels_may_be_text_or_numbers_and_come_with_images() -> None:
    images = [paint(name, number) for name in ("red", "blue") for number in range(3)]
    model = color_model(unknown=0.0).fit(images, [7, 7, 7, 2, 2, 2])
    assert model.classes_.tolist() == [2, 7]
    assert model.predict([paint("red", 9), paint("blue", 9)]).tolist() == [7, 2]


def test_probabilities_sum_to_one_and_the_largest_is_the_prediction() -> None:
    model, X, _ = fitted(unknown=0.0)
    probabilities = model.predict_proba(X)
    assert probabilities.shape == (len(X), 5)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-12)
    assert (model.classes_[probabilities.argmax(1)] == model.predict(X)).all()


def test_unknown_turns_away_few_known_images_and_more_strangers() -> None:
    model, X, _ = fitted(unknown=0.1)
    strangers, _ = features(5, 20, seed=77)
    turned, caught = (np.mean([label is None for label in model.predict(values)]) for values in (X, strangers))
    assert turned <= 0.2
    assert caught > turned + 0.2
    assert all(label is not None for label in model.set_params(unknown=0.0).predict(strangers))


def test_sets_hold_the_right_class_as_often_as_asked_and_begin_with_the_prediction() -> None:
    model, X, y = fitted(unknown=0.0)
    for coverage in (0.8, 0.95):
        sets = model.predict_set(X, coverage)
        assert np.mean([label in said for label, said in zip(y, sets, strict=True)]) > coverage - 0.08
        assert all(said[0] == best for said, best in zip(sets, model.predict(X), strict=True))
    narrow, wide = (np.mean([len(said) for said in model.predict_set(X, coverage)]) for coverage in (0.8, 0.99))
    assert narrow < wide


def test_adding_a_class_passes_only_the_new_images_through_the_backbone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = color_model(unknown=0.0).fit(folder)
    seen: list[int] = []
    network = model.extractor().network
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda images: seen.append(len(images)) or forward(images))
    model.partial_fit([paint("yellow", number) for number in range(3)], ["yellow"] * 3)
    assert sum(seen) == 3
    assert model.classes_.tolist() == ["blue", "green", "red", "yellow"]
    assert model.predict([paint("yellow", 8)]).tolist() == ["yellow"]


def test_changes_are_undone_one_by_one_to_the_last_bit(folder: Path) -> None:
    model = color_model(unknown=0.0).fit(folder)
    query = [paint(name, 50) for name in ("red", "blue", "green")]
    before = model.predict_proba(query)
    model.remove_class("red")
    assert model.classes_.tolist() == ["blue", "green"]
    model.rename_class("blue", "azure").correct(folder / "green" / "green 0.png", "azure").partial_fit([paint("yellow", 1)], ["sun"])
    assert model.classes_.tolist() == ["azure", "green", "sun"]
    assert len(model.support_.items_of("azure")) == 5
    for _ in range(4):
        model.undo()
    np.testing.assert_array_equal(model.predict_proba(query), before)
    with pytest.raises(InputError, match="no change to undo"):
        model.undo()


def test_a_correction_teaches_a_new_image(folder: Path) -> None:
    model = color_model(unknown=0.0).fit(folder)
    odd = paint("yellow", 3)
    model.correct(odd, "green")
    assert model.predict([odd]).tolist() == ["green"]
    assert len(model.support_.items_of("green")) == 5


def test_unreadable_and_repeated_images_are_left_out_with_a_note(folder: Path, tmp_path: Path) -> None:
    root = color_folder(tmp_path / "colors")
    (root / "red" / "broken.png").write_bytes(b"no image")
    (root / "red" / "again.png").write_bytes((root / "red" / "red 0.png").read_bytes())
    model = color_model().fit(root)
    assert len(model.support_.items_of("red")) == 4
    assert any("broken.png" in note for note in model.notes_)
    assert any("same image" in note for note in model.notes_)


def test_equal_images_of_two_classes_are_refused_by_name(tmp_path: Path) -> None:
    root = color_folder(tmp_path / "colors")
    (root / "blue" / "copy.png").write_bytes((root / "red" / "red 0.png").read_bytes())
    with pytest.raises(InputError, match=r"copy\.png \(blue\) and .*red 0\.png \(red\) are the same image"):
        color_model().fit(root)


def test_images_that_the_model_has_are_not_added_again(folder: Path) -> None:
    model = color_model().fit(folder)
    model.partial_fit([folder / "red" / "red 0.png"], ["red"])
    assert len(model.support_) == 12
    with pytest.raises(InputError, match="which is red, not blue"):
        model.partial_fit([folder / "red" / "red 0.png"], ["blue"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"unknown": 1.0}, "unknown is 1.0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"random_state": -1}, "random_state is -1"),
        ({"classifier": "tim"}, "classifier tim looks at all images together"),
        ({"classifier": "cosin"}, "did you mean cosine"),
        ({"reference": 3}, "reference must be"),
        ({"reference": "a folder"}, "reference must be a pair"),
        ({"reference": (np.zeros((4, 3)), [0, 0, 1, 1])}, "reference has 2 classes"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, object], words: str) -> None:
    X, y = features(3, 4)
    with pytest.raises(InputError, match=words):
        ImageClassifier("features", **settings).fit(X, y)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("X", "y", "words"),
    [
        ([paint("red", 1)] * 2, None, "y is missing"),
        ([paint("red", 1), paint("red", 2)], ["a"], "y has 1 labels, but X has 2 images"),
        ([paint("red", 1), paint("red", 2)], ["a", "a"], "one class only, a"),
        ([paint("red", 1), paint("red", 2)], ["a", " "], "a label is empty"),
        ([paint("red", 1), paint("red", 2)], [0.5, 1.0], "y"),
        ("/no/such/folder", None, "no such folder"),
    ],
)
def test_wrong_images_or_labels_are_named(X: object, y: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        color_model().fit(X, y)


def test_a_model_that_is_not_fitted_says_so() -> None:
    with pytest.raises(NotFittedError, match="not fitted"):
        ImageClassifier().predict(["a.jpg"])


def test_unknown_classes_and_the_last_two_are_refused(folder: Path) -> None:
    model = color_model().fit(folder)
    with pytest.raises(InputError, match="there is no class pink; there are blue, green, red"):
        model.remove_class("pink")
    with pytest.raises(InputError, match="two classes are needed"):
        model.remove_class("red").remove_class("blue")


def test_an_unreadable_image_is_named_by_predict(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"x\.jpg"):
        color_model().fit(folder).predict([tmp_path / "x.jpg"])


def test_clone_and_parameters_follow_scikit_learn() -> None:
    model = s2m2.ImageClassifier(unknown=0.1, classifier={"name": "ridge"})
    assert clone(model).get_params()["unknown"] == 0.1
    assert model.get_params()["classifier"] == {"name": "ridge"}


def test_a_seed_repeats_a_fit() -> None:
    (first, X, _), (second, _, _), (other, _, _) = fitted(), fitted(), fitted(random_state=1)
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    assert (first.predict_proba(X) != other.predict_proba(X)).any()


def test_an_image_turned_by_its_exif_data_is_named_as_it_looks(folder: Path, tmp_path: Path) -> None:
    model = color_model(unknown=0.0).fit(folder)
    image = Image.new("RGB", (40, 40))
    image.paste((200, 30, 30), (0, 0, 40, 20))
    image.paste((30, 40, 200), (0, 20, 40, 40))
    exif = Image.Exif()
    exif[0x0112] = 3
    image.save(tmp_path / "plain.png")
    image.rotate(180).save(tmp_path / "turned.jpg", exif=exif, quality=100, subsampling=0)
    plain, turned = (model.predict_proba([tmp_path / name]) for name in ("plain.png", "turned.jpg"))
    np.testing.assert_allclose(plain, turned, atol=0.02)


def test_parameters_that_change_before_a_fit_count(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def extractor_for(name: object) -> Extractor:
        asked.append(str(name))
        network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=5), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()).eval()
        return Extractor(name=str(name), network=network, preprocessing=COLORS, dim=16, fingerprint=str(name), seen="nothing")

    monkeypatch.setattr("s2m2.recognition.classifier.extractor_for", extractor_for)
    images, labels = [paint(name, number) for name in ("red", "blue") for number in range(3)], [0, 0, 0, 1, 1, 1]
    model = ImageClassifier("one").fit(images, labels).fit(images, labels)
    model.set_params(backbone="two").fit(images, labels)
    assert asked == ["one", "two"]
    model.set_params(device="cpu").fit(images, labels)
    assert asked == ["one", "two", "two"]
    X, y = features(4, 5)
    model.set_params(backbone="features", reference=REFERENCE).fit(X, y)
    assert "12 classes" in model.calibration_.reference
    assert "9 classes" in model.set_params(reference=features(9, 12, seed=9)).fit(X, y).calibration_.reference
    with pytest.raises(InputError, match="reference has 3 features an image"):
        model.set_params(reference=(REFERENCE[0][:, :3], REFERENCE[1])).fit(X, y)


def test_auto_says_when_it_takes_the_fast_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("automatic", "classifier"):
        monkeypatch.setattr(f"s2m2.recognition.{module}.MAX_COSINE_ITEMS", 20)
    X, y = features(4, 6)
    model = ImageClassifier("features").fit(X[:18], y[:18])
    assert model.classifier_.name == "cosine"
    model.partial_fit(X[18:], y[18:])
    assert model.classifier_.name == "cosine_centroid"
    assert [note for note in model.notes_ if "cosine_centroid" in note]


def test_a_message_does_not_list_thousands_of_classes() -> None:
    X, _ = features(20, 1)
    model = ImageClassifier("features", "nearest_mean").fit(X, [f"bird {number}" for number in range(20)])
    with pytest.raises(InputError, match="there are bird 0, bird 1, bird 10, bird 11, bird 12 and 15 more"):
        model.remove_class("x")
    with pytest.raises(InputError, match="did you mean bird 7"):
        model.remove_class("birt 7")


@pytest.mark.parametrize(
    ("known", "new", "words"),
    [(3, 2**63, "64 bits"), (3, "owl", "'owl' is text, but the classes of the model are whole numbers"), ("owl", 3, "3 is a whole number")],
)
def test_labels_that_do_not_go_with_the_others_change_nothing(known: object, new: object, words: str) -> None:
    X, _ = features(3, 4)
    model = ImageClassifier("features", "nearest_mean").fit(X[:8], [known] * 4 + ([4] if known == 3 else ["wren"]) * 4)
    before = model.support_
    with pytest.raises(InputError, match=words):
        model.partial_fit(X[8:], np.array([new] * 4, dtype=object))
    if new == 2**63:
        with pytest.raises(InputError, match=words):
            model.rename_class(known, new)  # type: ignore[arg-type]
    assert model.support_ is before


def test_a_number_as_text_is_that_class() -> None:
    X, y = features(3, 4)
    model = ImageClassifier("features", "nearest_mean").fit(X[:11], y[:11]).partial_fit(X[11:], ["2"])
    assert model.classes_.tolist() == [0, 1, 2]
    assert model.remove_class("2").classes_.tolist() == [0, 1]


@pytest.mark.parametrize("typed", ["Cafe\u0301 owl", "Caf\u00e9  owl "], ids=["decomposed", "spaces"])
def test_a_class_is_found_in_another_spelling_of_the_same_text(typed: str) -> None:
    X, y = features(3, 3)
    names = np.array(["Caf\u00e9 owl", "hawk", "jay"], dtype=object)[y]
    model = ImageClassifier("features").fit(X, names)
    model.partial_fit(X[:1] + 1, [typed])
    assert model.classes_.tolist() == ["Caf\u00e9 owl", "hawk", "jay"]
    assert model.remove_class(typed).classes_.tolist() == ["hawk", "jay"]
