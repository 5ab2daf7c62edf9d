"""Feature files: read as written, or refused with a reason."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from s2m2.errors import InputError
from s2m2.evaluation.feature_files import feature_set, read_feature_file, write_feature_file

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(6, 3))
LABELS = np.array([7, 3, 7, 3, 9, 9])


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **{"features": FEATURES, "labels": LABELS, **arrays})
    return path


def test_whole_numbers_become_classes_named_by_them(tmp_path: Path) -> None:
    dataset = read_feature_file(saved(tmp_path / "f.npz"))
    np.testing.assert_array_equal(dataset.features.numpy(), FEATURES.astype(np.float32))
    assert [dataset.class_names[label] for label in dataset.labels.tolist()] == ["7", "3", "7", "3", "9", "9"]
    assert dataset.class_names == ("3", "7", "9")
    assert dataset.indices.tolist() == list(range(6))


@pytest.mark.parametrize("kind", ["U", "S"])
def test_labels_may_be_text(tmp_path: Path, kind: str) -> None:
    labels = np.array(["b", "a", "b", "a", "c", "c"]).astype(kind)
    dataset = read_feature_file(saved(tmp_path / "f.npz", labels=labels))
    assert [dataset.class_names[label] for label in dataset.labels.tolist()] == ["b", "a", "b", "a", "c", "c"]


@pytest.mark.parametrize("labels", [[2, 0, 2, 0, 1, 1], ["z", "x", "z", "x", "y", "y"]])
def test_class_names_may_be_stated(tmp_path: Path, labels: list[Any]) -> None:
    dataset = read_feature_file(saved(tmp_path / "f.npz", labels=np.array(labels), class_names=np.array(["x", "y", "z"])))
    assert dataset.class_names == ("x", "y", "z")
    assert dataset.labels.tolist() == [2, 0, 2, 0, 1, 1]


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_what_is_written_is_read_again(tmp_path: Path, ending: str) -> None:
    dataset = feature_set(FEATURES, LABELS)
    write_feature_file(tmp_path / f"made{ending}", dataset)
    again = read_feature_file(tmp_path / f"made{ending}")
    assert torch.equal(again.features, dataset.features)
    assert torch.equal(again.labels, dataset.labels)
    assert (again.class_names, again.fingerprint) == (dataset.class_names, dataset.fingerprint)


def test_other_features_have_another_fingerprint() -> None:
    assert feature_set(FEATURES, LABELS).fingerprint != feature_set(FEATURES + 1, LABELS).fingerprint


NOT_FINITE = FEATURES.copy()
NOT_FINITE[4, 1] = np.nan


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"labels": LABELS[:5]}, "has 6 rows of features, but 5 labels"),
        ({"features": NOT_FINITE}, "not finite, first in row 4"),
        ({"features": FEATURES * 1e300}, "not finite"),
        ({"features": FEATURES[0]}, "shape"),
        ({"features": FEATURES[:0], "labels": LABELS[:0]}, "not real numbers in rows and columns"),
        ({"features": FEATURES.astype(complex)}, "type complex128"),
        ({"features": FEATURES.astype(object)}, r"objects, which are pickled and not read; save it with \.astype\(str\)"),
        ({"labels": LABELS.astype(object)}, r"objects, which are pickled and not read; save it with \.astype\(str\)"),
        ({"labels": LABELS + 0.5}, "labels of shape"),
        ({"labels": np.zeros(6, dtype=int)}, "a single class"),
        ({"class_names": np.array(["a", "b"])}, "labels from 3 to 9, but 2 class_names"),
        ({"labels": np.array([-1, 0, 0, 1, 1, 1]), "class_names": np.array(["a", "b"])}, "labels from -1"),
        ({"labels": np.array(list("aabbcc")), "class_names": np.array(["a", "b"])}, "the label 'c'"),
        ({"class_names": np.array(["a"] * 10)}, "one distinct text a class"),
        ({"class_names": np.arange(10)}, "class_names of shape"),
    ],
)
def test_an_unusable_file_is_named_in_one_line(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        read_feature_file(saved(tmp_path / "f.npz", **arrays))
    assert str(error.value).startswith(str(tmp_path / "f.npz"))
    assert "\n" not in str(error.value)


def test_a_missing_array_a_missing_file_and_another_ending_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", features=FEATURES)
    with pytest.raises(InputError, match=r"has no labels: .* it holds features \(6 x 3 float64\)"):
        read_feature_file(tmp_path / "f.npz")
    with pytest.raises(InputError, match="no feature file"):
        read_feature_file(tmp_path / "none.npz")
    (tmp_path / "f.bin").write_bytes(b"x\0")
    with pytest.raises(InputError, match="is no feature file"):
        read_feature_file(tmp_path / "f.bin")
    with (tmp_path / "single.npz").open("wb") as file:
        np.save(file, FEATURES)
    with pytest.raises(InputError, match=r"has features alone, 6 x 3 float64; .* labels.npy"):
        read_feature_file(tmp_path / "single.npz")


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_a_damaged_file_is_named(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"f{ending}"
    write_feature_file(path, feature_set(FEATURES, LABELS))
    whole = path.read_bytes()
    for content in (b"", b"hello", whole[:-30], whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(InputError, match="damaged"):
            read_feature_file(path)
