"""A saved model: the same answers, nothing pickled, and damage that is noticed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2m2.classifiers import NearestMean, Ridge
from s2m2.errors import InputError
from s2m2.recipe import DataConfig, ModelConfig, Recipe
from s2m2.recognition import ImageClassifier
from s2m2.recognition.reference import Reference
from s2m2.recognition.saving import MODEL, upload_model
from tests.evaluation.random_run import random_run
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
    assert not any(model.for_others().support_.thumbnails)
    assert any(model.support_.thumbnails)


def test_a_loaded_model_calibrates_as_the_saved_one_did(model: ImageClassifier, saved: Path) -> None:
    loaded, (X, y) = ImageClassifier.load(saved), features(1, 5, seed=21)
    one, two = (which.partial_fit(X, np.full(len(y), "new")).calibration_ for which in (model, loaded))
    assert one.reference == two.reference != ""
    assert one.temperature == pytest.approx(two.temperature, rel=0.05)


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the content of `model.json`."""
    about = json.loads((folder / MODEL).read_text())
    change(about)
    (folder / MODEL).write_text(json.dumps(about))


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that the module `hostile` writes when it is imported."""
    (tmp_path / "code").mkdir()
    marker = tmp_path / "it ran"
    (tmp_path / "code" / "hostile_part.py").write_text(
        f"import pathlib\npathlib.Path({str(marker)!r}).touch()\nfrom s2m2.classifiers import Ridge as Popen\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    return marker


@pytest.mark.parametrize("classifier", ["hostile_part:Popen", {"name": "hostile_part:Popen"}])
def test_opening_a_model_runs_no_code_unless_it_is_trusted(saved: Path, hostile: Path, classifier: object) -> None:
    edit(saved, lambda about: about.update(automatic=False, settings={**about["settings"], "classifier": classifier}))
    for opened in (ImageClassifier.load, ImageClassifier.from_pretrained):
        with pytest.raises(InputError, match=r"model\.json names the classifier 'hostile_part:Popen'.*trust_code=True"):
            opened(str(saved))
    assert not hostile.exists()
    ImageClassifier.load(saved, trust_code=True)


@pytest.mark.parametrize(
    "backbone",
    [
        "timm:hf_hub:someone/net",
        "timm:hf-hub:someone/net",
        "timm:hf-hub:weights-0a.safetensors",
        "timm:resnet10t:/a.safetensors",
        "/run",
        "..",
    ],
)
def test_backbones_from_elsewhere_are_refused(tmp_path: Path, backbone: str) -> None:
    color_model().fit(color_folder(tmp_path / "colors")).save(tmp_path / "model")
    edit(tmp_path / "model", lambda about: about["settings"].update(backbone=backbone))
    with pytest.raises(InputError, match=r"model\.json names the backbone .*trust_code=True"):
        ImageClassifier.load(tmp_path / "model")


def run_model(root: Path, name: str, width: int) -> ImageClassifier:
    recipe = Recipe(data=DataConfig(image_size=28, resize_ratio=1.15, path="secret"), model=ModelConfig(backbone="conv4", width=width))
    run = random_run(root / name, recipe, "pretrain").path
    return ImageClassifier(run).fit([paint(color, number) for color in ("red", "blue") for number in range(2)], [0, 0, 1, 1])


def test_a_model_brings_its_run_and_replaces_that_of_another(tmp_path: Path) -> None:
    first, second, photo = run_model(tmp_path, "first", 8), run_model(tmp_path, "second", 4), [paint("red", 9)]
    first.save(tmp_path / "model")
    second.save(tmp_path / "model", overwrite=True)
    assert len(list((tmp_path / "model").glob("backbone*"))) == 1
    moved = (tmp_path / "model").rename(tmp_path / "moved")
    shutil.rmtree(tmp_path / "second")
    loaded = ImageClassifier.load(moved)
    np.testing.assert_array_equal(loaded.predict_proba(photo), second.predict_proba(photo))
    loaded.save(moved, overwrite=True)
    assert ImageClassifier.load(moved).predict(photo).tolist() == second.predict(photo).tolist()


def test_the_backbone_folder_of_an_older_model_is_read_and_kept(tmp_path: Path) -> None:
    model, folder, photo = run_model(tmp_path, "run", 8), tmp_path / "model", [paint("red", 9)]
    model.save(folder)
    next(folder.glob("backbone-*")).rename(folder / "backbone")
    edit(folder, lambda about: about["settings"].update(backbone="backbone"))
    loaded = ImageClassifier.load(folder)
    np.testing.assert_array_equal(loaded.predict_proba(photo), model.predict_proba(photo))
    loaded.save(folder, overwrite=True)
    np.testing.assert_array_equal(ImageClassifier.load(folder).predict_proba(photo), model.predict_proba(photo))


def test_a_copied_run_whose_network_is_code_of_others_is_refused(tmp_path: Path, hostile: Path) -> None:
    run_model(tmp_path, "run", 8).save(tmp_path / "model")
    (recipe,) = (tmp_path / "model").glob("backbone-*/recipe.yaml")
    recipe.write_text(recipe.read_text().replace("backbone: conv4", "backbone: hostile_part:Popen"))
    with pytest.raises(InputError, match=r"model\.json names a backbone of the network 'hostile_part:Popen'"):
        ImageClassifier.load(tmp_path / "model")
    assert not hostile.exists()


def test_a_file_of_weights_moves_with_the_model(tmp_path: Path) -> None:
    import timm
    from safetensors.torch import save_file

    save_file(timm.create_model("test_vit", num_classes=3).state_dict(), tmp_path / "w.safetensors")
    images = [paint(color, number) for color in ("red", "blue") for number in range(2)]
    model = ImageClassifier(f"timm:test_vit:{tmp_path / 'w.safetensors'}").fit(images, [0, 0, 1, 1])
    model.save(tmp_path / "model")
    (tmp_path / "w.safetensors").unlink()
    loaded = ImageClassifier.load((tmp_path / "model").rename(tmp_path / "moved"))
    np.testing.assert_array_equal(loaded.predict_proba(images), model.predict_proba(images))
    loaded.save(tmp_path / "moved", overwrite=True)
    assert len(list((tmp_path / "moved").glob("weights-*"))) == 1
    assert str(tmp_path) not in (tmp_path / "moved" / "README.md").read_text() + (tmp_path / "moved" / MODEL).read_text()


def test_the_classifier_is_saved_with_all_its_settings(saved: Path, tmp_path: Path) -> None:
    stated = json.loads((saved / MODEL).read_text())["settings"]["classifier"]
    assert stated["name"] == "cosine"
    assert stated["scale"] == 10.0
    assert stated["epochs"] == 200
    assert ImageClassifier.load(saved).classifier == "auto"
    edit(saved, lambda about: about["settings"]["classifier"].update(epochs=7))
    assert ImageClassifier.load(saved).classifier_.settings()["epochs"] == 7
    ImageClassifier("features", Ridge(penalty=3.0)).fit(*features(3, 4)).save(tmp_path / "ridge")
    assert ImageClassifier.load(tmp_path / "ridge").classifier == {"name": "ridge", "penalty": 3.0}


def test_an_object_without_a_name_is_not_saved(tmp_path: Path) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    class Own(NearestMean):
        """Another one."""

    for classifier in (KNeighborsClassifier(2), Own()):
        with pytest.raises(InputError, match="is an object that cannot be saved"):
            ImageClassifier("features", classifier).fit(*features(3, 4)).save(tmp_path / "model")
        assert not (tmp_path / "model").exists()


def test_a_reference_keeps_every_bit(model: ImageClassifier, saved: Path) -> None:
    kept, reference = ImageClassifier.load(saved).reference, model.own_reference()
    assert isinstance(kept, Reference)
    assert reference is not None
    np.testing.assert_array_equal(kept.features, reference.features)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda about: about.pop("fingerprint"), "it lacks fingerprint"),
        (lambda about: about.update(fingerprint=3), "fingerprint"),
        (lambda about: about.update(calibration=[]), "calibration is no object"),
        (lambda about: about["calibration"].pop("truth"), "it lacks 'truth'"),
        (lambda about: about["calibration"].update(temperature="hot"), "temperature is 'hot'"),
        (lambda about: about["calibration"].update(familiarity=["a"]), "damaged"),
        (lambda about: about["settings"].update(color="red"), "unknown setting 'color'"),
        (lambda about: about["settings"].pop("unknown"), "its settings lack unknown"),
        (lambda about: about["settings"].update(unknown="often"), "unknown is 'often'"),
        (lambda about: about["settings"].update(classifier={"name": "ridge", "colour": 1}), "no setting colour"),
        (lambda about: about["settings"].update(classifier={}), "no name"),
        (lambda about: about["digests"].pop(), "24 labels, but 23 digests"),
        (lambda about: about["labels"].__setitem__(0, 2**70), "labels has"),
        (lambda about: about["labels"].__setitem__(0, [1]), "labels has"),
        (lambda about: about.update(labels=["a"] * 24), "one class only"),
        (
            lambda about: about.update(changes=[{"action": "x", "items": [99], "before": [None], "after": ["a"]}]),
            "items that are not there",
        ),
        (lambda about: about.update(files=["images"]), "files has no digests"),
        (lambda about: about.update(notes=None), "notes is no list"),
    ],
)
def test_a_wrong_key_is_one_line(saved: Path, change: Callable[[dict[str, Any]], object], words: str) -> None:
    edit(saved, change)
    with pytest.raises(InputError, match=words) as error:
        ImageClassifier.load(saved)
    assert "model.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_state_that_is_saved_while_another_is_read_is_read_in_its_place(
    model: ImageClassifier, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s2m2.recognition import opening

    read, calls = opening._read_about, []

    def slow(folder: Path) -> dict[str, Any]:
        about = read(folder)
        if not calls:
            calls.append(1)
            model.rename_class("a", "z").save(saved, overwrite=True)
            model.remove_class("b").purge().save(saved, overwrite=True)
        return about

    monkeypatch.setattr(opening, "_read_about", slow)
    assert ImageClassifier.load(saved).classes_.tolist() == ["d e", "z", "ç"]


def test_names_are_those_below_the_fitted_folder(tmp_path: Path) -> None:
    model = color_model().fit(color_folder(tmp_path / "colors"))
    assert "blue/blue 0.png" in model.support_.names
    model.save(tmp_path / "model")
    assert str(tmp_path) not in (tmp_path / "model" / MODEL).read_text()


def test_purge_forgets_what_was_taken_out(model: ImageClassifier) -> None:
    before = model.remove_class("a").predict_proba(features(4, 2)[0])
    assert len(model.support_) == 24
    assert len(model.purge().support_) == 18
    np.testing.assert_array_equal(model.predict_proba(features(4, 2)[0]), before)
    with pytest.raises(InputError, match="no change"):
        model.undo()


def test_an_upload_has_no_names_removed_images_or_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, uploaded = color_folder(tmp_path / "colors"), tmp_path / "uploaded"
    (root / "red" / "broken.png").write_bytes(b"no image")
    model = color_model().fit(root).remove_class("green")

    class Hub:
        def create_repo(self, name: str, **_: object) -> str:
            return name

        def upload_folder(self, *, folder_path: Path, **_: object) -> None:
            shutil.copytree(folder_path, uploaded)

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    upload_model(model, "me/colors", private=True, thumbnails=False)
    text = (uploaded / MODEL).read_text() + (uploaded / "README.md").read_text()
    assert not [word for word in (str(tmp_path), ".png", "green", "license:") if word in text]
    assert "1 image left out" in text
    assert len(json.loads((uploaded / MODEL).read_text())["labels"]) == 8
    assert len(model.support_) == 12
