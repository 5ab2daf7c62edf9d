import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from s2m2.errors import InputError
from s2m2.evaluation.intervals import mean_and_interval
from s2m2.evaluation.results import TaskResults, load_results, save_results
from tests.reports.made_up import made_up_results

RESULTS = TaskResults(
    dataset="glyphs",
    split="novel",
    features="finetune",
    classifier="cosine",
    ways=5,
    shots=1,
    queries=15,
    tasks=4,
    seed=3,
    per_task=(0.2, 0.4, 1 / 3, 1.0),
    fingerprint="f0",
    data_digest="d0",
    settings={"epochs": 200, "scale": 2.0},
)


def test_the_interval_is_1_96_standard_errors_of_the_mean_over_tasks() -> None:
    values = np.array(RESULTS.per_task)
    assert RESULTS.mean == pytest.approx(values.mean())
    assert RESULTS.interval == pytest.approx(1.96 * values.std(ddof=1) / np.sqrt(4))


def test_the_published_interval_follows_from_its_number_of_tasks() -> None:
    # 600 tasks of which half score 0.80681 + d and half 0.80681 - d give an interval of 0.0081 at d = 0.10114 (CUB, 1-shot).
    mean, interval = mean_and_interval([0.80681 + 0.10114, 0.80681 - 0.10114] * 300)
    assert mean == pytest.approx(0.80681)
    assert interval == pytest.approx(0.0081, abs=1e-5)


def test_equal_tasks_have_an_interval_of_0_and_a_single_task_an_infinite_one() -> None:
    assert mean_and_interval([0.5] * 7) == (0.5, 0.0)
    assert mean_and_interval([0.5]) == (0.5, math.inf)


def test_results_survive_their_file(tmp_path: Path) -> None:
    path = save_results(tmp_path / "results", RESULTS)
    assert re.fullmatch(r"novel-finetune-cosine-5way-1shot-[0-9a-f]{8}\.json", path.name)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert load_results(path) == RESULTS


def test_a_file_is_json_even_where_an_interval_is_infinite(tmp_path: Path) -> None:
    def no_constant(name: str) -> None:
        raise AssertionError(name)

    path = save_results(tmp_path, replace(RESULTS, tasks=1, per_task=(0.5,)))
    stated = json.loads(path.read_text(encoding="utf-8"), parse_constant=no_constant)
    assert (stated["mean"], stated["interval"], stated["class_interval"]) == (0.5, None, None)
    assert load_results(path).interval == math.inf


def test_the_file_states_every_key_of_its_format(tmp_path: Path) -> None:
    stated = json.loads(save_results(tmp_path, RESULTS).read_text(encoding="utf-8"))
    keys = {"dataset", "split", "classifier", "ways", "shots", "queries", "tasks", "seed", "mean", "interval", "per_task"}
    assert keys <= set(stated)
    assert stated["mean"] == RESULTS.mean
    assert stated["interval"] == RESULTS.interval
    assert stated["per_task"] == list(RESULTS.per_task)


def test_results_that_differ_in_kind_get_files_of_their_own() -> None:
    changes = [{}, {"split": "validation"}, {"features": "pretrain"}, {"classifier": "nearest_mean"}, {"ways": 10}, {"shots": 5}]
    assert len({replace(RESULTS, **change).file_name for change in changes}) == len(changes)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"dataset": "glyphs"}', json.dumps({**json.loads(RESULTS.to_json()), "tasks": 5})])
def test_a_damaged_file_is_an_error_of_one_line_that_names_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"broken\.json holds no results") as caught:
        load_results(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.json"):
        load_results(tmp_path / "nowhere.json")


@pytest.mark.parametrize("per_task", [(0.5,) * 3, (0.5, 0.5, 0.5, 50.0), (0.5, 0.5, 0.5, math.nan)])
def test_accuracies_are_fractions_one_for_each_task(per_task: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"3 accuracies of 4 tasks|not a fraction"):
        replace(RESULTS, per_task=per_task)


def test_results_with_details_survive_their_file(tmp_path: Path) -> None:
    results = made_up_results("finetune", "cosine", 1, 0.6)
    path = save_results(tmp_path, results)
    assert load_results(path) == results
    stated = json.loads(path.read_text(encoding="utf-8"))
    assert stated["class_interval"] == results.class_interval
    assert results.class_interval is not None
    assert path.name == replace(results, details=None, created="", hardware="a GPU").file_name


def test_there_is_no_interval_over_classes_without_details_or_with_tasks_of_variable_ways() -> None:
    results = made_up_results("finetune", "cosine", 1, 0.6)
    assert replace(results, details=None).class_interval is None
    assert replace(results, protocol="variable").class_interval is None


@pytest.mark.parametrize(
    "broken", [{"classes": [3]}, {"calibration": None}, {"hardest": [{"number": 1}]}, {"confusion": [[1, 2]]}, {"unknown": {}}]
)
def test_damaged_details_are_an_error_that_names_the_file(tmp_path: Path, broken: dict[str, object]) -> None:
    stated = json.loads(made_up_results("finetune", "cosine", 1, 0.6).to_json())
    path = tmp_path / "broken.json"
    path.write_text(json.dumps({**stated, "details": {**stated["details"], **broken}}), encoding="utf-8")
    with pytest.raises(InputError, match=r"broken\.json holds no results"):
        load_results(path)


def test_tasks_of_two_files_are_kept_apart_and_mixed_ways_have_no_interval_over_classes() -> None:
    stored = replace(made_up_results("finetune", "cosine", 1, 0.6), protocol="stored", tasks_digest="a" * 64)
    assert stored.file_name != replace(stored, tasks_digest="b" * 64).file_name
    assert TaskResults.from_json(stored.to_json()) == stored
    assert stored.class_interval is not None
    mixed = replace(stored, ways=0, shots=0)
    assert mixed.class_interval is None
    assert "-stored-" in mixed.file_name


def test_results_of_version_0_1_are_read() -> None:
    results = load_results(Path(__file__).parent / "version_0_1" / "results.json")
    assert (results.classifier, results.tasks, results.transforms) == ("cosine", 12, ("cl2n", "rectify"))
    assert results.details is not None
    assert results.details.calibration.before.nll > 0
    assert results.details.open_set is not None
    assert 0 < results.details.open_set.score.recognized <= results.details.open_set.score.accepted
    stated = json.loads(results.to_json())
    assert "head" not in stated
    assert "unknown" not in stated["details"]
    assert TaskResults.from_json(results.to_json()) == results


def test_an_infinite_value_is_null_in_the_file_and_comes_back(tmp_path: Path) -> None:
    details = made_up_results("finetune", "cosine", 1, 0.6).details
    assert details is not None
    assert details.open_set is not None
    calibration = replace(details.calibration, before=replace(details.calibration.before, nll=math.inf))
    open_set = replace(details.open_set, score=replace(details.open_set.score, auroc_interval=math.inf))
    one = replace(RESULTS, tasks=1, per_task=(0.4,), details=replace(details, calibration=calibration, open_set=open_set))
    path = save_results(tmp_path, one)

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    stated = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    assert stated["interval"] is None
    assert stated["details"]["calibration"]["before"]["nll"] is None
    assert load_results(path) == one
    assert load_results(path).interval == math.inf
