"""Feature files as people have them: each format is read under any names, and a refusal says what the file holds."""

import io
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from s2m2.cli import main
from s2m2.errors import InputError
from s2m2.evaluation.feature_files import read_feature_file, read_feature_values

FEATURES = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
NUMBERS = np.arange(40) % 5
TEXTS = np.array([f"class {number}" for number in NUMBERS])


def hdf5(path: Path, **arrays: Any) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    with h5py.File(path, "w") as file:
        for name, value in arrays.items():
            file[name] = value.astype(h5py.string_dtype()) if value.dtype.kind == "U" else value


def npy(path: Path, labels: np.ndarray, beside: str) -> None:
    np.save(path, FEATURES)
    np.save(path.with_name(beside), labels)


def csv(path: Path, labels: np.ndarray, header: str | None = None, *, first: bool = False, delimiter: str = ",") -> None:
    lines = [header] if header else []
    for row, label in zip(FEATURES.tolist(), labels.tolist(), strict=True):
        cells = [repr(value) for value in row]
        lines.append(delimiter.join([str(label), *cells] if first else [*cells, str(label)]))
    path.write_text("\n".join(lines) + "\n")


WRITERS: dict[str, tuple[str, Callable[[Path], Any], bool]] = {
    "torch dict": ("f.pt", lambda path: torch.save({"features": torch.tensor(FEATURES), "labels": torch.tensor(NUMBERS)}, path), False),
    "torch dict of lists": ("f.pth", lambda path: torch.save({"feats": list(torch.tensor(FEATURES)), "y": TEXTS.tolist()}, path), True),
    "torch pair": ("f.pt", lambda path: torch.save((torch.tensor(FEATURES), torch.tensor(NUMBERS)), path), False),
    "torch in a dict": ("f.pt", lambda path: torch.save({"novel": {"X": torch.tensor(FEATURES), "y": torch.tensor(NUMBERS)}}, path), False),
    "old torch": (
        "f.tar",
        lambda path: torch.save(
            {"embeddings": torch.tensor(FEATURES), "targets": torch.tensor(NUMBERS)}, path, _use_new_zipfile_serialization=False
        ),
        False,
    ),
    "half precision": (
        "f.pt",
        lambda path: torch.save({"features": torch.tensor(FEATURES).double(), "labels": torch.tensor(NUMBERS).float()}, path),
        False,
    ),
    "npy pair": ("features.npy", lambda path: npy(path, NUMBERS, "labels.npy"), False),
    "npy names": ("novel_features.npy", lambda path: npy(path, TEXTS, "novel_labels.npy"), True),
    "npy X and y": ("X_novel.npy", lambda path: npy(path, NUMBERS.astype(float), "y_novel.npy"), False),
    "npz of floats": ("f.npz", lambda path: np.savez(path, X=FEATURES, y=NUMBERS.astype(float)), False),
    "npz without names": ("f.npz", lambda path: np.savez(path, FEATURES, TEXTS), True),
    "compressed npz": ("f.npz", lambda path: np.savez_compressed(path, features=FEATURES, labels=NUMBERS), False),
    "csv with a header": ("f.csv", lambda path: csv(path, TEXTS, "a,b,c,d,label"), True),
    "csv, label first": ("f.csv", lambda path: csv(path, NUMBERS, first=True), False),
    "tsv": ("f.tsv", lambda path: csv(path, TEXTS, delimiter="\t"), True),
    "text": ("f.txt", lambda path: csv(path, NUMBERS, delimiter=" "), False),
    "HDF5 of text": ("f.h5", lambda path: hdf5(path, embedding=FEATURES, names=TEXTS), True),
    "HDF5 in a group": ("f.hdf5", lambda path: hdf5(path, **{"novel/feats": FEATURES, "novel/target": NUMBERS}), False),
    "safetensors": ("f.safetensors", lambda path: save_file({"features": FEATURES, "labels": NUMBERS}, path), False),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_features_and_labels_are_read_from_every_format(tmp_path: Path, kind: str) -> None:
    name, write, text = WRITERS[kind]
    write(tmp_path / name)
    read = read_feature_file(tmp_path / name)
    np.testing.assert_allclose(read.features.numpy(), FEATURES, rtol=1e-6)
    assert [read.class_names[label] for label in read.labels.tolist()] == list(map(str, (TEXTS if text else NUMBERS).tolist()))
    np.testing.assert_allclose(read_feature_values(tmp_path / name), FEATURES, rtol=1e-6)


@pytest.mark.parametrize("kind", ["torch dict", "npy pair", "csv with a header", "HDF5 of text", "npz of floats"])
def test_every_format_is_scored_and_imported(tmp_path: Path, kind: str) -> None:
    name, write, _ = WRITERS[kind]
    write(tmp_path / name)
    flags = ["--evaluate.tasks", "5", "--evaluate.queries", "2", "--evaluate.shots", "1", "--evaluate.classifiers", "nearest_mean"]
    flags += ["--evaluate.details", "false", "--runtime.accelerator", "cpu", "--output", str(tmp_path / "results")]
    assert main(["evaluate", "--features", str(tmp_path / name), *flags]) == 0
    assert main(["import", str(tmp_path / name), "--output", str(tmp_path / "made.safetensors")]) == 0
    assert len(read_feature_file(tmp_path / "made.safetensors").class_names) == 5


@pytest.mark.parametrize(
    ("name", "write", "says"),
    [
        ("f.pt", lambda path: torch.save({"features": torch.tensor(FEATURES)}, path), r"no labels.*features \(40 x 4 float32\)"),
        (
            "f.pt",
            lambda path: torch.save({"epoch": 3, "state": {"w": torch.zeros(2, 3, 4)}}, path),
            r"no features.*state/w \(2 x 3 x 4 float32\)",
        ),
        ("f.pt", lambda path: torch.save({"train": torch.zeros(9, 4), "test": torch.zeros(9, 4)}, path), r"has train, test, and none"),
        ("f.pt", lambda path: torch.save(torch.tensor(FEATURES), path), r"one array \(40 x 4 float32\)"),
        (
            "f.pt",
            lambda path: torch.save({"features": torch.zeros(9, 4).to_sparse(), "labels": torch.arange(9)}, path),
            r"a tensor without its numbers",
        ),
        ("f.npz", lambda path: np.savez(path, features=FEATURES, labels=TEXTS.astype(object)), r"save it with \.astype\(str\)"),
        (
            "f.npz",
            lambda path: np.savez(path, features=FEATURES, labels=NUMBERS + 0.5),
            r"it holds features \(40 x 4 float32\), labels",
        ),
        ("f.npz", lambda path: np.savez(path, a=FEATURES, b=FEATURES, labels=NUMBERS), r"has a, b, and none of them is the features alone"),
        ("f.npy", lambda path: np.save(path, FEATURES), r"40 x 4 float32; their labels .* as labels\.npy"),
        ("f.npy", lambda path: np.save(path, np.array({"features": FEATURES}, dtype=object)), r"Python objects"),
        ("f.csv", lambda path: path.write_text("a,b,c\n0.5,1.5,2.5\n0.5,1.5,2.5\n"), r"no column of labels .* 3 columns \(a, b, c\)"),
        ("f.csv", lambda path: path.write_text("a,b,label\n0.5,1.5,x\n0.5,?,y\n"), r"'\?' in row 3, b, .* label is read as the label"),
        ("f.csv", lambda path: path.write_text("a,b,label\n0.5,1.5,x\n0.5,y\n"), r"has 2 cells in row 3, but 3 in row 1"),
        ("f.h5", lambda path: hdf5(path, data=FEATURES), r"no labels.*data \(40 x 4 float32\)"),
        ("f.safetensors", lambda path: save_file({"w": FEATURES}, path), r"no labels.*w \(40 x 4 F32\)"),
    ],
)
def test_a_refusal_says_what_the_file_holds(tmp_path: Path, name: str, write: Callable[[Path], Any], says: str) -> None:
    write(tmp_path / name)
    with pytest.raises(InputError, match=says) as error:
        read_feature_file(tmp_path / name)
    assert str(error.value).startswith(str(tmp_path / name))
    assert "\n" not in str(error.value)


def zeros_npz(path: Path) -> None:
    """One gigabyte of zeros in one megabyte."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (2**18, 2**10)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("features.npy", "w", force_zip64=True) as file:
        file.write(header.getvalue())
        for _ in range(2**10):
            file.write(bytes(2**20))


def zeros_torch(path: Path) -> None:
    """A torch file that is packed, which torch itself never does."""
    torch.save({"features": torch.zeros(2**24), "labels": torch.arange(4)}, path.with_suffix(".made"))
    with zipfile.ZipFile(path.with_suffix(".made")) as made, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in made.namelist():
            packed.writestr(name, made.read(name))
        packed.writestr("archive/data/9", bytes(2**22))


def endless_npz(path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (2**40, 2**10)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("features.npy", header.getvalue() + bytes(100))


def filled_hdf5(path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    with h5py.File(path, "w") as file:
        file.create_dataset("features", shape=(2**30, 2**10), dtype="f4", chunks=(2**10, 2**10))
        file["labels"] = NUMBERS


@pytest.mark.parametrize(
    ("name", "write", "says"),
    [
        ("f.npz", zeros_npz, "unpacks to .* bytes, more than 100 times its length"),
        ("f.npz", endless_npz, "has an array"),
        ("f.pt", zeros_torch, "is refused: it unpacks to .* bytes"),
        (
            "f.pt",
            lambda path: torch.save({"features": torch.zeros(1).expand(2**40, 2**10), "labels": torch.arange(9)}, path),
            r"is refused: a tensor of 1,125,899,906,842,624 numbers is stored as fewer",
        ),
        ("f.h5", filled_hdf5, r"is refused: its arrays are 4\.0 TiB"),
    ],
)
def test_what_states_far_more_than_it_has_is_refused_before_it_is_made(
    tmp_path: Path, name: str, write: Callable[[Path], Any], says: str
) -> None:
    write(tmp_path / name)
    with pytest.raises(InputError, match=says):
        read_feature_file(tmp_path / name)


def torch_file(path: Path, program: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/version", "3\n")


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x02}" + b")" + b"\x85" * 300_000 + b"K\x01s.",
        b"\x80\x02}" + b")" + b"2\x86" * 40 + b"K\x01s.",
        b"\x80\x02})q\x00" + b"".join(b"h\x00h\x00\x86q\x00" for _ in range(40)) + b"h\x00K\x01s.",
    ],
)
def test_keys_that_could_not_be_hashed_are_refused(tmp_path: Path, program: bytes) -> None:
    torch_file(tmp_path / "f.pt", program)
    with pytest.raises(InputError, match=r"is refused|is no pickle"):
        read_feature_file(tmp_path / "f.pt")
    (tmp_path / "old.tar").write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + program)
    assert main(["import", str(tmp_path / "old.tar"), "--output", str(tmp_path / "run")]) == 2


def test_a_list_that_holds_itself_ends(tmp_path: Path) -> None:
    endless: list[Any] = [1.0]
    for _ in range(60):
        endless = [endless, endless]
    torch.save({"features": endless, "labels": [0, 1]}, tmp_path / "f.pt")
    with pytest.raises(InputError, match=r"features \(list of 2\)"):
        read_feature_file(tmp_path / "f.pt")


def test_a_safetensors_header_cannot_lie(tmp_path: Path) -> None:
    header = b'{"features":{"dtype":"F32","shape":[1099511627776,4],"data_offsets":[0,17592186044416]}}'
    (tmp_path / "f.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(InputError, match="damaged"):
        read_feature_file(tmp_path / "f.safetensors")


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hdf5(tmp_path / "f.h5", features=FEATURES, labels=NUMBERS)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=r"f\.h5 is an HDF5 file.*s2m2\[hdf5\]"):
        read_feature_file(tmp_path / "f.h5")
