"""Released feature files: padding dropped, labels kept, nothing executed, errors named."""

import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2m2.errors import InputError
from s2m2.evaluation.feature_files import read_feature_file

h5py = pytest.importorskip("h5py", reason="the extra hdf5 is not installed")

FEATURES = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
LABELS = np.array([80, 80, 81, 81, 81, 99, 0, 0])


def hdf5(path: Path, **changes: Any) -> Path:
    arrays = {"all_feats": FEATURES, "all_labels": LABELS, "count": np.array([6]), **changes}
    with h5py.File(path, "w") as file:
        for name, value in arrays.items():
            if value is not None:
                file[name] = value
    return path


def pickled(path: Path, content: object) -> Path:
    path.write_bytes(pickle.dumps(content))
    return path


def test_features_beyond_the_count_are_padding(tmp_path: Path) -> None:
    dataset = read_feature_file(hdf5(tmp_path / "novel.hdf5"))
    np.testing.assert_array_equal(dataset.features.numpy(), FEATURES[:6])
    assert dataset.class_names == ("80", "81", "99")
    assert dataset.labels.tolist() == [0, 0, 1, 1, 1, 2]


@pytest.mark.parametrize("count", [np.array(6), np.array([6], dtype=np.int32)])
def test_a_count_may_have_any_whole_type(tmp_path: Path, count: np.ndarray) -> None:
    assert len(read_feature_file(hdf5(tmp_path / "novel.hdf5", count=count)).features) == 6


@pytest.mark.parametrize("key", [int, str, np.int64, float])
def test_a_pickled_dict_gives_every_vector_its_label(tmp_path: Path, key: Any) -> None:
    content = {key(12): [FEATURES[0], FEATURES[1]], key(7): [FEATURES[2]]}
    dataset = read_feature_file(pickled(tmp_path / "novel_features.plk", content))
    np.testing.assert_array_equal(dataset.features.numpy(), FEATURES[:3])
    assert [dataset.class_names[label] for label in dataset.labels.tolist()] == ["12", "12", "7"]


def test_vectors_may_be_lists_of_numbers_or_one_matrix(tmp_path: Path) -> None:
    content = {0: FEATURES[:2], 1: FEATURES[2:4].tolist()}
    np.testing.assert_array_equal(read_feature_file(pickled(tmp_path / "f.plk", content)).features.numpy(), FEATURES[:4])


class Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def test_a_pickle_that_executes_something_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is refused"):
        read_feature_file(pickled(tmp_path / "f.plk", {0: [FEATURES[0]], 1: Hostile(tmp_path / "ran")}))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"all_feats": None}, r"has no features: .*; it holds all_labels"),
        ({"count": None}, "has no count"),
        ({"all_labels": None, "count": None}, "has no labels"),
        ({"count": np.array([9])}, "a count of 9, but has 8 rows"),
        ({"count": np.array([0])}, "a count of 0"),
        ({"count": np.array([2])}, "a single class"),
        ({"all_feats": FEATURES * np.nan}, "not finite"),
        ({"all_feats": FEATURES.ravel()}, "shape"),
        ({"all_feats": h5py.SoftLink("/all_labels")}, r"has no features: .*; it holds all_labels"),
        ({"all_feats": h5py.ExternalLink("other.hdf5", "/all_feats")}, r"has no features: .*; it holds all_labels"),
    ],
)
def test_the_fault_of_an_hdf5_file_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_feature_file(hdf5(tmp_path / "f.hdf5", **changes))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "it holds list of 2"),
        ({}, "it holds nothing"),
        ({0: [[1.0, 2.0]], 1: [[1.0, 2.0, 3.0]]}, "vectors of 2 numbers, but of 3 under the label 1"),
        ({0: [[1.0], [1.0, 2.0]]}, "no list of vectors of one length under the label 0"),
        ({0: 1.0}, "no list of vectors of one length under the label 0"),
        ({0: []}, "no list of vectors of one length under the label 0"),
        ({0: [["a"]]}, "no list of vectors"),
        ({0: [[1.0]], "a": [[1.0]]}, "numbers and labels that are text"),
        ({0.5: [[1.0]], 1: [[1.0]]}, "the label 0.5"),
        ({0: [[1.0]]}, "a single class"),
    ],
)
def test_the_fault_of_a_pickle_is_named(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_feature_file(pickled(tmp_path / "f.plk", content))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    whole = hdf5(tmp_path / "f.hdf5").read_bytes()
    for content in (whole[:600], whole[:20], b"hello", b""):
        (tmp_path / "f.hdf5").write_bytes(content)
        with pytest.raises(InputError, match=r"damaged|no pickle"):
            read_feature_file(tmp_path / "f.hdf5")
    with pytest.raises(InputError, match="no feature file"):
        read_feature_file(tmp_path / "none")


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hdf5(tmp_path / "f.hdf5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=r"s2m2\[hdf5\]"):
        read_feature_file(path)
