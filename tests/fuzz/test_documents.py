"""JSON files of results, datasets, models and stages with any content: read, or refused by name."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from s2m2.analysis.measurements import load_analysis, save_analysis
from s2m2.data.dataset import open_dataset
from s2m2.evaluation.api import evaluate
from s2m2.evaluation.results import load_results, newest_results, read_results
from s2m2.recognition import ImageClassifier
from s2m2.reports.analysis_tables import analysis_tables
from s2m2.reports.scores import score_grids
from s2m2.reports.tables import scores_csv, scores_markdown
from s2m2.runs.checkpoint import Outcome, load_outcome, save_outcome
from s2m2.runs.directory import RunDirectory
from s2m2.runs.provenance import read_provenance
from tests.fuzz.mutations import accepts_or_refuses, contents, documents, write_document
from tests.reports.made_up_analysis import made_up_analysis

FEATURES, LABELS = np.random.default_rng(0).normal(size=(60, 4)), np.arange(60) % 6
RESULTS = json.loads(evaluate(FEATURES, LABELS, "nearest_mean", tasks=3, queries=2).results.to_json())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@given(document=documents(RESULTS))
def test_results_of_other_values(folder: Path, document: object) -> None:
    run = RunDirectory(folder / "run")
    run.results.mkdir(parents=True, exist_ok=True)
    write_document(run.results / "one.json", document)

    def tables() -> None:
        newest = newest_results(read_results(run))[0]
        scores_csv(newest)
        scores_markdown(score_grids(newest))

    accepts_or_refuses(tables)


@given(content=contents(json.dumps(RESULTS).encode()))
def test_results_of_other_bytes(folder: Path, content: bytes) -> None:
    (folder / "one.json").write_bytes(content)
    accepts_or_refuses(lambda: load_results(folder / "one.json"))


@given(data=st.data())
def test_analyses(folder: Path, data: st.DataObject) -> None:
    save_analysis(folder / "analysis.json", made_up_analysis())
    write_document(folder / "analysis.json", data.draw(documents(json.loads((folder / "analysis.json").read_text()))))

    def tables() -> None:
        analysis = load_analysis(folder / "analysis.json")
        assert analysis is not None
        Console(file=io.StringIO()).print(analysis_tables(analysis))

    accepts_or_refuses(tables)


@given(data=st.data())
def test_descriptions_of_datasets(folder: Path, glyph_folder: Path, data: st.DataObject) -> None:
    copy = folder / "dataset"
    if not copy.exists():
        shutil.copytree(glyph_folder, copy)
    valid = json.loads((glyph_folder / "dataset.json").read_text())
    valid["class_names"] = valid["class_names"][:4]  # or nearly all changes would be in it
    write_document(copy / "dataset.json", data.draw(documents({**valid})))
    accepts_or_refuses(lambda: open_dataset(copy))


@pytest.fixture(scope="module")
def model(folder: Path) -> tuple[Path, Any]:
    """A saved model, and its description."""
    ImageClassifier(backbone="features").fit(FEATURES, LABELS).save(folder / "model")
    return folder / "model", json.loads((folder / "model" / "model.json").read_text())


@given(data=st.data())
def test_descriptions_of_models(model: tuple[Path, Any], data: st.DataObject) -> None:
    path, valid = model
    write_document(path / "model.json", data.draw(documents(valid)))
    accepts_or_refuses(lambda: ImageClassifier.load(path).predict(FEATURES[:2]))


@given(document=documents({"epochs": 3, "best_epoch": 2, "best_score": 0.5, "seconds": 1.5}), content=st.none() | st.binary(max_size=40))
def test_outcomes_and_provenance(folder: Path, document: object, content: bytes | None) -> None:
    run = RunDirectory(folder / "stages")
    save_outcome(run.outcome("pretrain"), Outcome(epochs=3, best_epoch=2))
    for path in (run.outcome("pretrain"), run.provenance):
        write_document(path, document) if content is None else path.write_bytes(content)
    accepts_or_refuses(lambda: load_outcome(run.outcome("pretrain")))
    accepts_or_refuses(lambda: read_provenance(run))
