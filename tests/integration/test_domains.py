"""Images of several datasets in one run, and tasks of one run in another."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from s2m2.cli import main
from s2m2.data.catalog import load_datasets, query_indices
from s2m2.data.dataset import ImageDataset, open_dataset
from s2m2.data.writing import DatasetContents, write_dataset
from s2m2.errors import InputError
from s2m2.evaluation.task_kinds import task_sources
from s2m2.recipe import DataConfig, EvaluateConfig
from tests.evaluation.trials import made_up_features
from tests.integration.tiny import tiny_flags, without_report


@pytest.fixture(scope="module")
def other_folder(tmp_path_factory: pytest.TempPathFactory, glyph_folder: Path) -> Path:
    """The same glyphs upside down and larger, in other splits, but for the first class."""
    dataset = open_dataset(glyph_folder)
    images = np.ascontiguousarray(np.kron(dataset.images[8:, ::-1], np.ones((1, 2, 2, 1), dtype=np.uint8)))
    numbers = tuple(range(49))
    folder = tmp_path_factory.mktemp("other") / "upside_down"
    contents = DatasetContents(
        name="upside down",
        size=(images.shape[1], images.shape[2]),
        labels=dataset.labels[8:] - 1,
        class_names=dataset.class_names[1:],
        splits={"base": numbers[:20], "validation": numbers[20:30], "novel": numbers[30:]},
        settings={},
    )
    write_dataset(folder, contents, [images])
    return folder


def evaluate(dataset: Path, run: Path, *, report: bool = False, **changes: str) -> int:
    # Raw pixels need no training, and tasks show as well on them.
    flags = tiny_flags(dataset, run, evaluate__features="pixels", evaluate__classifiers="nearest_mean", **changes)
    with nullcontext() if report else without_report():
        return main(["evaluate", *flags])


def results_of(run: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in sorted((run / "results").glob("*.json"))]


def test_base_and_novel_classes_may_come_from_different_datasets(glyph_folder: Path, other_folder: Path, tmp_path: Path) -> None:
    brief = {"pretrain__epochs": "1", "finetune__epochs": "1", "evaluate__classifiers": "nearest_mean", "evaluate__shots": "1"}
    others = {"data__validation_dataset": str(other_folder), "evaluate__novel_dataset": str(other_folder)}
    assert main(["run", *tiny_flags(glyph_folder, tmp_path / "run", **others, **brief)]) == 0
    results = results_of(tmp_path / "run")
    assert {result["dataset"] for result in results} == {"upside down"}
    assert {result["data_digest"] for result in results} == {open_dataset(other_folder).digest}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "S2M2 on glyphs to upside down" in page
    assert "Novel data digest" in page


def test_a_trained_run_may_be_scored_on_another_dataset_later(glyph_folder: Path, other_folder: Path, tmp_path: Path) -> None:
    assert evaluate(glyph_folder, tmp_path / "run", evaluate__shots="1", evaluate__details="false") == 0
    assert evaluate(glyph_folder, tmp_path / "run", evaluate__shots="1", evaluate__novel_dataset=str(other_folder)) == 0
    assert {result["dataset"] for result in results_of(tmp_path / "run")} == {"glyphs", "upside down"}


def test_support_and_queries_may_come_from_different_datasets(glyph_folder: Path, other_folder: Path, tmp_path: Path) -> None:
    assert evaluate(glyph_folder, tmp_path / "run", evaluate__query_dataset=str(other_folder), evaluate__shots="3") == 0
    (result,) = results_of(tmp_path / "run")
    support_dataset, query_dataset = open_dataset(glyph_folder), open_dataset(other_folder)
    assert result["data_digest"] == f"{support_dataset.digest}+{query_dataset.digest}"
    for task in result["details"]["hardest"]:
        for way in task["ways"]:
            assert all(support_dataset.class_names[support_dataset.labels[index]] == way["name"] for index in way["support"])
            indices = [index - len(support_dataset.images) for index, _ in way["wrong"]]
            assert all(query_dataset.class_names[query_dataset.labels[index]] == way["name"] for index in indices)


def test_queries_of_another_split_are_other_features(glyph_folder: Path, other_folder: Path, tmp_path: Path) -> None:
    for split in ("novel", "validation"):
        flags = {"evaluate__query_dataset": str(other_folder), "evaluate__shots": "1", "evaluate__split": split, "evaluate__ways": "2"}
        assert evaluate(glyph_folder, tmp_path / "run", **flags) == 0
    assert [result["split"] for result in results_of(tmp_path / "run")] == ["novel", "validation"]


def test_datasets_beside_a_downloaded_one_may_be_downloaded_too(monkeypatch: pytest.MonkeyPatch, glyph_folder: Path) -> None:
    names: list[str] = []

    def download(name: str) -> ImageDataset:
        names.append(name)
        return open_dataset(glyph_folder)

    monkeypatch.setattr("s2m2.data.catalog.downloaded_dataset", download)
    load_datasets(DataConfig(path="mini_imagenet", download="learn2learn", validation_dataset="cub"), EvaluateConfig(novel_dataset="cub"))
    assert names == ["mini_imagenet", "cub", "cub"]


def test_queries_are_found_by_the_names_of_their_classes(glyph_folder: Path, other_folder: Path) -> None:
    datasets = load_datasets(DataConfig(path=str(glyph_folder)), EvaluateConfig(query_dataset=str(other_folder)))
    indices, labels = query_indices(datasets, "novel")
    assert set(labels.tolist()) == set(datasets.novel.splits["novel"]) - {0}
    assert datasets.queries is not None
    assert [datasets.queries.class_names[label] for label in datasets.queries.labels[indices]] == [
        datasets.novel.class_names[label] for label in labels
    ]
    np.testing.assert_array_equal(datasets.image("novel", len(datasets.novel.images) + 5), datasets.queries.images[5])
    np.testing.assert_array_equal(datasets.image("novel", 5), datasets.novel.images[5])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluate__novel_dataset": "/no/such"}, "--evaluate.novel_dataset: no dataset /no/such"),
        ({"data__validation_dataset": "/no/such"}, "--data.validation_dataset: no dataset /no/such"),
        ({"evaluate__query_dataset": "/no/such"}, "--evaluate.query_dataset: no dataset /no/such"),
        ({"evaluate__query_dataset": "OTHER", "evaluate__queries": "9"}, "has 8 images, but 1 shots and 9 queries need 9"),
        ({"evaluate__query_dataset": "OTHER", "evaluate__protocols": "variable"}, "variable tasks take support and queries from one"),
        ({"evaluate__tasks_from": "/no/such.npz"}, "no file of tasks /no/such.npz"),
        ({"evaluate__query_dataset": "SAME"}, "where the support comes from"),
        ({"evaluate__query_dataset": "OTHER", "evaluate__tasks_from": "x.npz"}, "--evaluate.tasks_from names support and queries"),
    ],
)
def test_what_cannot_be_scored_is_said_before_anything_is_written(
    glyph_folder: Path, other_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str], message: str
) -> None:
    folders = {"OTHER": str(other_folder), "SAME": str(glyph_folder)}
    named = {name: folders.get(value, value) for name, value in changes.items()}
    assert evaluate(glyph_folder, tmp_path / "run", **named) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_datasets_without_a_class_in_common_are_refused(glyph_folder: Path) -> None:
    dataset = open_dataset(glyph_folder)
    datasets = load_datasets(DataConfig(path=str(glyph_folder)), EvaluateConfig())
    renamed = tuple(f"other {name}" for name in dataset.class_names)
    crossed = replace(datasets, queries=replace(dataset, class_names=renamed, digest="another"))
    with pytest.raises(InputError, match="has no class of the novel classes"):
        query_indices(crossed, "novel")


def test_tasks_in_which_a_class_has_no_query_are_scored_and_shown(glyph_folder: Path, tmp_path: Path) -> None:
    flags = {"evaluate__protocols": "dirichlet", "evaluate__dirichlet_concentration": "0.01", "evaluate__shots": "1"}
    assert evaluate(glyph_folder, tmp_path / "run", report=True, **flags) == 0
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.parametrize("protocol", ["fixed", "variable"])
def test_saved_tasks_score_as_sampled_ones(glyph_folder: Path, tmp_path: Path, protocol: str) -> None:
    tasks = tmp_path / "tasks"
    assert evaluate(glyph_folder, tmp_path / "one", evaluate__save_tasks=str(tasks), evaluate__protocols=protocol) == 0
    files = sorted(tasks.iterdir())
    fixed = ["5-way-1-shot-3-queries-seed-0.npz", "5-way-5-shot-3-queries-seed-0.npz"]
    assert [file.name for file in files] == (["variable-tasks-seed-0.npz"] if protocol == "variable" else fixed)
    names = " ".join(map(str, files))
    assert evaluate(glyph_folder, tmp_path / "two", evaluate__tasks_from=names, evaluate__ways="2", evaluate__tasks="7") == 0
    for one, other in zip(results_of(tmp_path / "one"), results_of(tmp_path / "two"), strict=True):
        for name in ("per_task", "ways", "shots", "queries", "tasks", "seed", "protocol"):
            assert one[name] == other[name]
        assert one["tasks_digest"] == ""
        assert len(other["tasks_digest"]) == 64


def test_different_tasks_are_saved_in_different_files(tmp_path: Path) -> None:
    config = EvaluateConfig(ways=(3,), shots=(1,), queries=3, tasks=4, save_tasks=tmp_path)
    changes = [{}, {"seed": 1}, {"queries": 2}, {"split": "validation"}]
    changes += [{"protocols": ("dirichlet",)}, {"protocols": ("dirichlet",), "dirichlet_concentration": 0.5}, {"protocols": ("variable",)}]
    for change in changes:
        task_sources(replace(config, **change), made_up_features())
    names = {path.name for path in tmp_path.iterdir()}
    assert len(names) == len(changes)
    assert {"3-way-1-shot-3-queries-seed-0.npz", "variable-tasks-seed-0.npz"} < names
