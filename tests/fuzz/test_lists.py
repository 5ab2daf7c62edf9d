"""Lists of images, tables and files of features with any content: read, or refused by name."""

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save as safetensors_bytes

from s2m2.data.sources.file_lists import read_list
from s2m2.escaping import FORMULA_STARTS, csv_cell, plain_cell
from s2m2.evaluation.feature_files import read_feature_file, read_feature_values
from s2m2.recognition.sources import check_photos, labeled_images, list_photos
from s2m2.tasks.episodes import EpisodeSpec
from s2m2.tasks.sampler import TaskSampler
from s2m2.tasks.saved_tasks import load_tasks, save_tasks
from tests.fuzz.mutations import accepts_or_refuses, contents, documents, texts, write_document

FEATURES, LABELS = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32), np.arange(12) % 3
LIST = "filename,label\na.png,robin\nb.png,robin\nc/d.png,owl\n"
PIECES = [",", '"', '""', "\n", "\r", "\r\n", "\t", ";", "\ufeff", "'=1", "filename", "label", "../../etc", "nan", "1e999", " "]
JSON_LIST = {"label_names": ["a", "b"], "image_names": ["a.png", "b.png"], "image_labels": [0, 1]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@given(text=texts(LIST, PIECES))
def test_csv_lists(folder: Path, text: str) -> None:
    (folder / "list.csv").write_bytes(text.encode(errors="surrogatepass"))
    accepts_or_refuses(lambda: read_list(folder / "list.csv"))
    accepts_or_refuses(lambda: labeled_images(folder / "list.csv", None))


@given(document=documents(JSON_LIST))
def test_json_lists(folder: Path, document: object) -> None:
    write_document(folder / "list.json", document)
    accepts_or_refuses(lambda: read_list(folder / "list.json"))


@given(
    arguments=st.lists(
        st.text(max_size=12).filter(lambda text: "\0" not in text) | st.sampled_from(["**/*", "[", "x" * 5000, "~a/b"]), max_size=3
    )
)
def test_names_of_photos(folder: Path, arguments: list[str]) -> None:
    names = [os.path.join(folder, name.lstrip("/~.*")) for name in arguments]  # noqa: PTH118 (as a shell gives them; not the whole disk)
    accepts_or_refuses(lambda: check_photos(names))
    accepts_or_refuses(lambda: list(list_photos(names)))


@given(text=st.text(max_size=12))
def test_cells_of_csv_are_no_formulas_and_come_back(text: str) -> None:
    assert not csv_cell(text).startswith(FORMULA_STARTS)
    if csv_cell(text) in (text, f"'{text}"):  # control characters stay escaped
        assert plain_cell(csv_cell(text)) == text


def files() -> dict[str, bytes]:
    """A file of features of each format."""
    written: dict[str, bytes] = {"safetensors": safetensors_bytes({"features": FEATURES, "labels": LABELS})}
    arrays: dict[str, Any] = {"features": FEATURES, "labels": LABELS}
    for name, save in (
        ("npz", lambda file: np.savez(file, **arrays)),
        ("npy", lambda file: np.save(file, FEATURES)),
        ("pt", lambda file: torch.save({name: torch.from_numpy(value) for name, value in arrays.items()}, file)),
        ("tar", lambda file: torch.save((torch.from_numpy(FEATURES), LABELS.tolist()), file, _use_new_zipfile_serialization=False)),
    ):
        file = io.BytesIO()
        save(file)
        written[name] = file.getvalue()
    written["csv"] = b"a,b,label\n0.5,1,x\n1,2,y\n3,-1e3,x\n"
    return written


FILES = files()


@given(data=st.data())
def test_feature_files(folder: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(FILES)))
    path = folder / f"f.{name}"
    path.write_bytes(data.draw(contents(FILES[name])))
    accepts_or_refuses(lambda: read_feature_file(path))
    accepts_or_refuses(lambda: read_feature_values(path))


@given(text=texts(FILES["csv"].decode(), PIECES))
def test_tables_of_features(folder: Path, text: str) -> None:
    (folder / "t.csv").write_bytes(text.encode(errors="surrogatepass"))
    accepts_or_refuses(lambda: read_feature_file(folder / "t.csv"))


@pytest.fixture(scope="module")
def tasks(folder: Path) -> bytes:
    spec = EpisodeSpec(ways=2, shots=1, queries=1, tasks=3, seed=0)
    labels = torch.from_numpy(LABELS)
    save_tasks(folder / "tasks.npz", TaskSampler(labels, spec), spec, torch.arange(12))
    return (folder / "tasks.npz").read_bytes()


@given(data=st.data())
def test_saved_tasks(folder: Path, tasks: bytes, data: st.DataObject) -> None:
    (folder / "tasks.npz").write_bytes(data.draw(contents(tasks)))
    accepts_or_refuses(lambda: load_tasks(folder / "tasks.npz", torch.arange(12), torch.from_numpy(LABELS)))


def test_json_lists_hold(folder: Path) -> None:
    """What the changes start from is right itself."""
    (folder / "list.json").write_text(json.dumps(JSON_LIST))
    assert len(read_list(folder / "list.json")) == 2
    for name, content in FILES.items():
        (folder / f"f.{name}").write_bytes(content)
        np.testing.assert_allclose(read_feature_values(folder / f"f.{name}")[0, 0], 0.5 if name == "csv" else FEATURES[0, 0], rtol=1e-6)
