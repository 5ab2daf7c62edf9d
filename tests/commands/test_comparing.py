import csv
from dataclasses import replace
from pathlib import Path

import pytest

from s2m2.cli import main
from s2m2.evaluation.compare import compare_results
from s2m2.evaluation.results import save_results
from tests.reports.made_up import made_up_results, made_up_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up_run(tmp_path_factory.mktemp("runs") / "one").path


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "other"
    for classifier, shots in (("cosine", 1), ("nearest_mean", 1), ("cosine", 5)):
        save_results(path / "results", replace(made_up_results("finetune", classifier, shots, 0.7), fingerprint="a1" * 32))
    save_results(path / "results", replace(made_up_results("finetune", "cosine", 10, 0.7), seed=1))
    return path


def test_two_classifiers_of_a_run_are_compared_on_the_features_of_its_last_stage(run: Path, tmp_path: Path, capsys) -> None:
    dataset = tmp_path / "dataset.csv"
    assert main(["compare", str(run), "--classifiers", "cosine", "nearest_mean", "--output", str(dataset)]) == 0
    rows = list(csv.DictReader(dataset.read_text(encoding="utf-8").splitlines()))
    assert [(row["shots"], row["a_classifier"], row["b_classifier"], row["a_features"]) for row in rows] == [
        ("1", "cosine", "nearest_mean", "finetune"),
        ("5", "cosine", "nearest_mean", "finetune"),
    ]
    first, second = made_up_results("finetune", "cosine", 1, 0.65), made_up_results("finetune", "nearest_mean", 1, 0.64)
    expected = compare_results(first, second)
    assert float(rows[0]["difference"]) == pytest.approx(expected.difference)
    assert float(rows[0]["p_these_classes_again"]) == pytest.approx(expected.p_value)
    assert float(rows[0]["interval_over_classes"]) == pytest.approx(expected.class_interval)
    printed = capsys.readouterr().out
    assert expected.class_interval is not None
    assert f"{100 * expected.difference:+.2f} ± {100 * expected.class_interval:.2f}" in printed
    assert list(rows[0])[-4:] == ["interval_over_classes", "p_over_classes", "interval_these_classes_again", "p_these_classes_again"]
    assert "for other classes of the kind" in " ".join(printed.split())
    assert max(map(len, printed.splitlines()[:-1])) <= 80


def test_two_runs_are_compared_classifier_by_classifier_where_their_tasks_are_the_same(run: Path, other: Path, tmp_path: Path) -> None:
    dataset = tmp_path / "dataset.md"
    assert main(["compare", str(run), str(other), "--output", str(dataset)]) == 0
    lines = dataset.read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith("| 5-way") for line in lines) == 3
    assert sum("nearest_mean" in line for line in lines) == 1


def test_two_stages_and_two_files_can_be_compared(run: Path, capsys) -> None:
    assert main(["compare", str(run), "--features", "pretrain", "finetune", "--classifiers", "cosine"]) == 0
    files = [str(next((run / "results").glob(f"novel-{stage}-cosine-5way-1shot-*.json"))) for stage in ("pretrain", "finetune")]
    by_run = capsys.readouterr().out
    assert main(["compare", *files]) == 0
    first = next(line for line in capsys.readouterr().out.splitlines() if "1-shot" in line)
    assert first in by_run


@pytest.mark.parametrize("last", ["finetune-crops30", "finetune-ensemble2"])
def test_the_last_stage_is_known_by_the_beginning_of_its_name(tmp_path: Path, last: str) -> None:
    for features in (last, "pixels", "pretrain-crops30"):
        for classifier in ("cosine", "nearest_mean"):
            save_results(tmp_path / "run" / "results", made_up_results(features, classifier, 1, 0.6))
    arguments = ["compare", str(tmp_path / "run"), "--classifiers", "cosine", "nearest_mean", "--output", str(tmp_path / "dataset.csv")]
    assert main(arguments) == 0
    rows = list(csv.DictReader((tmp_path / "dataset.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["a_features"], row["b_features"]) for row in rows] == [(last, last)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RUN"], "alone leaves nothing to compare"),
        (["RUN", "FILE"], "FILE is not the directory of a run"),
        (["RUN", "nowhere"], "there is nothing at nowhere"),
        (["nowhere"], "there is nothing at nowhere"),
        (["nowhere", "RUN"], "there is nothing at nowhere"),
        (["nowhere", "FILE"], "there is nothing at nowhere"),
        (["RUN", "--classifiers", "cosine", "svm"], "--classifiers has svm, but RUN has results of cosine, nearest_mean"),
        (["RUN", "--features", "late", "finetune"], "--features has late"),
        (["FILE"], "name a second one"),
        (["FILE", "OTHER FILE"], "different tasks, shots 1 and 5"),
        (["FILE", "nowhere.json"], "there is nothing at nowhere.json"),
        (["FILE", "RUN"], "RUN holds no results"),
        (["RUN", "SEED"], "no results of the same tasks; the closest differ in seed 0 and 1"),
        (["RUN", "EMPTY"], "holds no results"),
        (["RUN", "OTHER", "--output", "x.txt"], "--output is x.txt"),
        (["RUN", "OTHER", "--classifiers", "a", "b", "c"], "--classifiers"),
        (["a", "b", "c"], "takes FIRST and SECOND"),
        ([], "needs --first"),
    ],
)
def test_what_cannot_be_compared_is_one_line(run: Path, other: Path, tmp_path: Path, capsys, arguments: list[str], message: str) -> None:
    save_results(tmp_path / "seed" / "results", replace(made_up_results("finetune", "cosine", 1, 0.6), seed=1))
    (tmp_path / "empty").mkdir()
    results = run / "results"
    names = {
        "RUN": run,
        "OTHER": other,
        "SEED": tmp_path / "seed",
        "EMPTY": tmp_path / "empty",
        "FILE": next(results.glob("novel-finetune-cosine-5way-1shot-*.json")),
        "OTHER FILE": next(results.glob("novel-finetune-cosine-5way-5shot-*.json")),
    }
    assert main(["compare", *(str(names.get(argument, argument)) for argument in arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("s2m2 compare: ")
    assert error.count("\n") == 1
    assert message.replace("RUN", str(run)).replace("FILE", str(names["FILE"])) in error
