"""Suggestions of photos to label: they stand for the others, are no near-duplicates, and bad files are counted."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s2m2.errors import InputError
from s2m2.recognition import Answers, ImageClassifier
from s2m2.recognition import suggest as module
from s2m2.recognition.suggest import suggest
from tests.recognition.made_up_features import blobs, fitted


def test_a_class_that_is_not_there_yet_comes_first_and_each_suggestion_is_another() -> None:
    features, labels, centers = blobs(6, 5, width=0.5)
    known = np.array(labels) != "f"
    model = fitted(features[known], [label for label in labels if label != "f"])
    photos, true, _ = blobs(6, 12, width=0.5, seed=9, centers=centers)
    found = suggest(model, np.concatenate([photos, photos]), count=6)
    rows = [int(one.photo.removeprefix("X[").removesuffix("]")) for one in found]
    assert true[rows[0] % 72] == "f"
    assert found[0].similar >= 20
    assert len({row % 72 for row in rows}) == 6
    assert found.photos == 144


@pytest.mark.parametrize(
    ("probabilities", "unknown", "reason"),
    [
        ([0.1, 0.5, 0.4], False, "between b and c"),
        ([0.9, 0.1, 0.0], False, "like a, in a way that no labeled image shows"),
        ([0.4, 0.3, 0.3], True, "unlike any class"),
    ],
)
def test_the_reason_is_in_words(probabilities: list[float], unknown: bool, reason: str) -> None:
    answers = Answers(probabilities=np.array([probabilities]), classes=("a", "b", "c"), unknown=np.array([unknown]))
    assert module._reason(answers, 0) == reason


def test_labeled_images_are_not_suggested() -> None:
    features, labels, _ = blobs(4, 5)
    assert list(suggest(fitted(features, labels), features)) == []


def test_photos_stream_and_more_than_the_pool_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_POOL", 30)
    features, labels, centers = blobs(4, 5)
    photos, _, _ = blobs(4, 50, seed=3, centers=centers)
    found = suggest(fitted(features, labels), photos, count=40)
    assert found.photos == 200
    assert 10 < len(found) <= 30


def test_images_that_cannot_be_read_are_skipped_and_counted(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for name in ("a1", "a2", "b1", "b2", "c1", "c2"):
        Image.fromarray(generator.integers(0, 255, (3, 3, 3), dtype=np.uint8)).resize((40, 40), 0).save(tmp_path / f"{name}.png")
    (tmp_path / "bad.png").write_text("no image")
    files = [tmp_path / f"{name}.png" for name in ("a1", "a2", "b1", "b2")]
    model = ImageClassifier().fit(files, ["a", "a", "b", "b"])
    found = suggest(model, [tmp_path / "bad.png", tmp_path / "c1.png", tmp_path / "c2.png"])
    assert found.photos == 2
    assert len(found.skipped) == 1
    assert "bad.png" in found.skipped[0]
    with pytest.raises(InputError, match=r"no readable photo.*bad\.png"):
        suggest(model, [tmp_path / "bad.png"])


def test_a_count_below_one_is_refused() -> None:
    with pytest.raises(InputError, match="count is 0"):
        suggest(fitted(*blobs(3, 3)[:2]), np.zeros((1, 24)), count=0)
