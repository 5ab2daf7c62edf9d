"""`s2m2 serve`: answers as the model gives them, and changes that stay, can be undone, and never leave half of something."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from s2m2.errors import InputError
from s2m2.recognition import ImageClassifier
from s2m2.recognition.serving.app import create_app
from s2m2.recognition.serving.shared_model import SharedModel
from tests.recognition.serving_models import (
    IMAGES,
    ORIGIN,
    color_pixels,
    counts,
    images,
    local_access,
    photo,
    save_colors,
    shared_colors,
    small_limits,
    tiny_extractor,
)


def test_photos_are_named_as_the_model_names_them(client: TestClient, shared: SharedModel) -> None:
    seeds = {"Red": 101, "Green": 102, "Blue": 103}
    answer = client.post("/predict", files=images(*(photo(color, seed) for color, seed in seeds.items()))).json()
    expected = shared.current.model.answers([color_pixels(color, seed) for color, seed in seeds.items()])
    sets = shared.current.model.sets(expected.probabilities, 0.95)
    for position, one in enumerate(answer["predictions"]):
        ranked = {item["label"]: item["probability"] for item in one["probabilities"]}
        assert [ranked[label] for label in expected.classes] == pytest.approx(expected.probabilities[position].tolist(), abs=1e-6)
        assert list(ranked.values()) == sorted(ranked.values(), reverse=True)
        assert (one["label"], one["unknown"], one["error"]) == (expected.labels()[position], bool(expected.unknown[position]), None)
        assert one["probability"] == max(ranked.values())
        assert tuple(one["set"]) == sets[position]


def test_a_photo_of_none_of_the_classes_has_no_label(client: TestClient, shared: SharedModel) -> None:
    gray = photo("Gray")
    assert shared.current.model.answers([color_pixels("Gray", 100)]).unknown.all()
    one = client.post("/predict", files=images(gray), params={"top": 2}).json()["predictions"][0]
    assert (one["label"], one["unknown"], len(one["probabilities"])) == (None, True, 2)


def test_a_new_class_is_learned_undone_and_learned_across_restarts(client: TestClient, folder: Path) -> None:
    white = photo("White", 7)
    before = client.get("/classes").json()
    answer = client.post("/corrections", files=images(white), data={"label": "  Snow \n white "}).json()
    assert counts(answer) == {**counts(before), "Snow white": 1}
    assert answer["last_change"] == "added 1 photo of Snow white"
    assert client.post("/predict", files=images(white)).json()["predictions"][0]["probabilities"][0]["label"] == "Snow white"
    restarted = shared_colors(folder)
    with TestClient(create_app(restarted, local_access(), small_limits()), base_url=ORIGIN) as again:
        assert counts(again.get("/classes").json()) == counts(answer)
        assert counts(again.post("/undo").json()) == counts(before)
        assert again.post("/undo").status_code == 409
    assert counts(TestClientOnce(folder).classes()) == counts(before)


class TestClientOnce:
    """A server that is started for one question."""

    __test__ = False

    def __init__(self, folder: Path) -> None:
        self.app = create_app(shared_colors(folder), local_access(), small_limits())

    def classes(self) -> Any:
        with TestClient(self.app, base_url=ORIGIN) as client:
            return client.get("/classes").json()


def test_photos_old_and_new_get_their_label_in_one_change(client: TestClient) -> None:
    old, new = photo("Red", 0), photo("Red", 55)
    before = counts(client.get("/classes").json())
    answer = client.post("/corrections", files=images(old, new, new), data={"label": "Blue"}).json()
    assert counts(answer) == {**before, "Red": IMAGES - 1, "Blue": IMAGES + 2}
    same = client.post("/corrections", files=images(old, new), data={"label": "Blue"}).json()
    assert (same["version"], counts(same)) == (answer["version"], counts(answer))
    assert counts(client.post("/undo").json()) == before


def test_classes_are_renamed_merged_and_removed(client: TestClient) -> None:
    assert counts(client.post("/classes/rename", json={"label": "Red", "name": "Rouge"}).json())["Rouge"] == IMAGES
    assert counts(client.post("/classes/rename", json={"label": "Rouge", "name": "Blue"}).json()) == {"Blue": 2 * IMAGES, "Green": IMAGES}
    refused = client.post("/classes/remove", json={"label": "Green"})
    assert (refused.status_code, refused.json()["detail"]) == (422, "Green cannot be removed: two classes are needed at least")
    merged = client.post("/classes/rename", json={"label": "Green", "name": "Blue"})
    assert (merged.status_code, merged.json()["detail"]) == (422, "this would leave one class only; two are needed at least")
    client.post("/undo")
    client.post("/undo")
    assert counts(client.post("/classes/remove", json={"label": "Green"}).json()) == {"Red": IMAGES, "Blue": IMAGES}


def test_a_change_of_another_version_is_refused(client: TestClient) -> None:
    before = client.post("/corrections", files=images(photo("White", 7)), data={"label": "White", "version": "0"}).json()
    assert before["version"] == 1
    for response in (
        client.post("/corrections", files=images(photo("White", 8)), data={"label": "White", "version": "0"}),
        client.post("/undo", json={"version": 0}),
        client.post("/classes/rename", json={"label": "White", "name": "Snow", "version": 0}),
        client.post("/classes/remove", json={"label": "White", "version": 0}),
    ):
        assert response.status_code == 409
        assert response.json()["detail"] == "the model has changed: it has version 1, not 0; look at it again"
    assert client.get("/classes").json() == before
    wrong = client.post("/corrections", files=images(photo("White", 8)), data={"label": "White", "version": "x"})
    assert (wrong.status_code, wrong.json()["detail"]) == (422, "version must be a whole number, as the last answer had it")
    assert client.post("/undo", json={"version": 1}).json()["version"] == 2


def test_classes_of_any_name_are_corrected_renamed_and_removed(tmp_path: Path) -> None:
    long, spaced, apart = "r" * 120, " Green  one", "Ble\u0301"  # the accent apart, as macOS writes names of folders
    shared = shared_colors(save_colors(tmp_path / "names", {"Red": long, "Green": spaced, "Blue": apart}))
    with TestClient(create_app(shared, local_access(), small_limits()), base_url=ORIGIN) as client:
        for number, (text, label) in enumerate(
            [(long, long), (spaced, spaced), ("Green one", spaced), (apart, apart), ("Bl\u00e9", apart)]
        ):
            before = counts(client.get("/classes").json())
            after = client.post("/corrections", files=images(photo("White", number)), data={"label": text}).json()
            assert counts(after) == {**before, label: before[label] + 1}
        new = client.post("/corrections", files=images(photo("White", 9)), data={"label": " Ne\u0301w  one "}).json()
        assert counts(new)["N\u00e9w one"] == 1
        assert long in counts(client.post("/classes/rename", json={"label": "N\u00e9w one", "name": long}).json())
        assert apart not in counts(client.post("/classes/remove", json={"label": "Bl\u00e9"}).json())


def test_whole_numbers_stay_whole_numbers(tmp_path: Path) -> None:
    shared = shared_colors(save_colors(tmp_path / "numbers", {"Red": 1, "Green": 2, "Blue": 10}))
    with TestClient(create_app(shared, local_access(), small_limits()), base_url=ORIGIN) as client:
        assert client.post("/predict", files=images(photo("Blue"))).json()["predictions"][0]["probabilities"][0]["label"] == 10
        answer = client.post("/corrections", files=images(photo("Blue")), data={"label": "3"}).json()
        assert list(counts(answer)) == [1, 2, 3, 10]
        refused = client.post("/corrections", files=images(photo("Blue")), data={"label": "blue"})
        assert refused.json()["detail"] == "the classes of this model are whole numbers, but blue is none"


def test_the_downloaded_model_answers_alike(client: TestClient, shared: SharedModel, tmp_path: Path) -> None:
    client.post("/corrections", files=images(photo("White", 7)), data={"label": "White"})
    response = client.get("/model.zip")
    assert response.headers["content-disposition"] == 'attachment; filename="colors.zip"'
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert all(name.startswith("colors/") and not Path(name).name.startswith(".") for name in archive.namelist())
        archive.extractall(tmp_path / "there")
    model = ImageClassifier.load(tmp_path / "there" / "colors")
    model._extractor = tiny_extractor()
    some = [color_pixels(color, 9) for color in ("Red", "White")]
    assert np.array_equal(model.predict_proba(some), shared.current.model.predict_proba(some))


def test_thumbnails_are_those_of_labeled_images(steady: TestClient) -> None:
    summary = steady.get("/classes").json()["classes"][0]
    response = steady.get(f"/thumbnails/{summary['thumbnails'][0]}")
    assert response.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(response.content)).size == (24, 20)
    assert steady.get("/thumbnails/..%2Fmodel.json").status_code == 404


def test_the_interface_describes_itself_and_asks_no_other_host(steady: TestClient) -> None:
    document = steady.get("/openapi.json").json()
    assert {"/predict", "/classes", "/corrections", "/undo", "/health", "/model.zip"} <= set(document["paths"])
    assert "multipart/form-data" in document["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert steady.get("/docs").status_code == steady.get("/redoc").status_code == 404
    for path in ("/", "/page.css", "/page.js", "/elements.js", "/requests.js", "/icon.svg"):
        response = steady.get(path)
        assert response.headers["content-security-policy"].startswith("default-src 'self'; ")
        outside = response.text.replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in outside
        assert "https://" not in outside


def test_a_change_that_cannot_be_saved_changes_nothing(client: TestClient, shared: SharedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: ImageClassifier, folder: Path, *, overwrite: bool = False) -> None:
        raise InputError(f"{folder} cannot be written: No space left on device")

    before = client.get("/classes").json()
    with monkeypatch.context() as patch:
        patch.setattr(ImageClassifier, "save", full)
        refused = client.post("/corrections", files=images(photo("Red", 77)), data={"label": "Blue"})
    assert refused.status_code == 422
    assert "No space left" in refused.json()["detail"]
    assert client.get("/classes").json() == before
    assert client.post("/corrections", files=images(photo("Red", 77)), data={"label": "Blue"}).status_code == 200


def test_what_another_program_wrote_is_not_overwritten(client: TestClient, folder: Path) -> None:
    other = ImageClassifier.load(folder)
    other._extractor = tiny_extractor()
    other.rename_class("Red", "Rouge").save(folder, overwrite=True)
    refused = client.post("/corrections", files=images(photo("Red", 77)), data={"label": "Blue"})
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "another program has changed the model's folder; start `s2m2 serve` again",
    )
    assert "Rouge" in ImageClassifier.load(folder).classes_


def test_a_model_of_features_is_refused(tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    ImageClassifier("features").fit(features, ["a", "b"] * 3).save(tmp_path / "model")
    with pytest.raises(InputError, match="model takes features, not images"):
        SharedModel(tmp_path / "model")
