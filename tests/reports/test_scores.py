from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from s2m2.evaluation.compare import compare_results
from s2m2.evaluation.results import TaskResults, newest_results
from s2m2.reports.scores import latest_of_kind, paired_change, percent, percent_both, score_grids, score_table
from s2m2.tasks.episodes import task_label
from tests.reports.made_up import made_up_results

# Hand-written from the definition: per-task accuracies 0.4, 0.5, 0.6, 0.7 have mean 55 % and 1.96 * 0.1291 / 2 = 12.65 %.
GOLDEN = """\
                   Few-shot accuracy
┏━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ classifier           ┃    pretrained ┃    fine-tuned ┃
┡━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│ 5-way 1-shot         │               │               │
│ cosine               │ 55.00 (12.65) │ 65.00 (12.65) │
│ nearest_mean         │               │ 50.00 (12.65) │
├──────────────────────┼───────────────┼───────────────┤
│ 5-way 5-shot         │               │               │
│ cosine               │ 75.00 (12.65) │               │
└──────────────────────┴───────────────┴───────────────┘
Accuracy (%) on novel classes of glyphs: mean of 4 tasks (seed 0), 15 queries
per class.
In brackets: half-width of the 95% interval for these classes again (1.96 std /
sqrt(tasks))."""


def four_tasks(features: str, classifier: str, shots: int, mean: float, split: str = "novel") -> TaskResults:
    return TaskResults(
        dataset="glyphs",
        split=split,
        features=features,
        classifier=classifier,
        ways=5,
        shots=shots,
        queries=15,
        tasks=4,
        seed=0,
        per_task=tuple(mean + offset for offset in (-0.15, -0.05, 0.05, 0.15)),
        fingerprint="f",
        data_digest="d",
    )


def printed(results: list[TaskResults]) -> str:
    console = Console(width=80, force_terminal=False, no_color=True)
    with console.capture() as capture:
        console.print(score_table(results))
    return "\n".join(line.rstrip() for line in capture.get().rstrip().splitlines())


def test_the_score_table_sets_the_stages_side_by_side_in_percent():
    results = [
        four_tasks("finetune", "nearest_mean", 1, 0.5),
        four_tasks("finetune", "cosine", 1, 0.65),
        four_tasks("pretrain", "cosine", 5, 0.75),
        four_tasks("pretrain", "cosine", 1, 0.55),
    ]
    assert printed(results) == GOLDEN


def test_fifteen_classifiers_on_three_features_fit_80_characters_and_no_name_is_cut():
    classifiers = [f"a_classifier_of_long_name_{number}" for number in range(15)]
    results = [
        four_tasks(features, classifier, shots, 0.5)
        for classifier in classifiers
        for shots in (1, 5)
        for features in ("pixels", "pretrain", "finetune")
    ]
    text = printed(results)
    assert max(map(len, text.splitlines())) <= 80
    assert all(text.replace("\n", "").count(classifier[:20]) >= 2 for classifier in classifiers)
    assert "…" not in text


def test_more_features_than_fit_become_further_tables():
    names = ("pixels", "pretrain", "finetune", "finetune-crops5", "features from a file")
    text = printed([four_tasks(name, "cosine", 1, 0.5) for name in names])
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("Few-shot accuracy") >= 2
    assert text.count("50.00 (12.65)") == 5


def test_the_interval_over_classes_leads_and_that_for_these_classes_again_stands_in_brackets():
    result = made_up_results("finetune", "cosine", 1, 0.65)
    text = printed([result])
    assert percent(result) == f"{100 * result.mean:.2f} ± {100 * result.class_interval:.2f}"
    assert percent_both(result) == f"{percent(result)} ({100 * result.interval:.2f})"
    assert percent_both(result) in text
    assert "In brackets: that for these classes again" in " ".join(text.split())


def test_settings_transforms_and_protocols_make_rows_of_their_own():
    base = replace(four_tasks("finetune", "cosine", 1, 0.5), settings={"scale": 2.0, "epochs": 200})
    others = [
        replace(base, settings={"scale": 10.0, "epochs": 200}),
        replace(base, transforms=("center", "unit")),
        replace(base, protocol="dirichlet", concentration=2.0),
        replace(base, protocol="dirichlet", concentration=1.0),
        replace(base, protocol="variable", ways=0, shots=0, queries=0),
    ]
    grids = score_grids([base, *others])
    assert [len(grid.rows) for grid in grids] == [3, 1, 1, 1]
    assert [row.label for row in grids[0].rows] == ["cosine scale=2.0", "cosine scale=10.0", "cosine scale=2.0, center, unit"]
    assert [grid.rows[0].task for grid in grids[1:]] == ["5-way 1-shot, dirichlet"] * 2 + ["variable tasks"]
    assert "Dirichlet(1)" in grids[2].caption


def test_of_results_of_older_and_newer_weights_only_the_newer_ones_count():
    old = [
        replace(four_tasks("finetune", classifier, 1, 0.3), fingerprint="old", created="2031-01-01")
        for classifier in ("cosine", "nearest_mean")
    ]
    new = replace(four_tasks("finetune", "cosine", 1, 0.6), fingerprint="new", created="2031-01-02")
    other = replace(four_tasks("pretrain", "cosine", 1, 0.5), fingerprint="another stage", created="2030-01-01")
    newest, older = newest_results([new, *old, other])
    assert newest == [new, other]
    assert older == 2


def test_results_of_different_splits_never_share_a_row():
    novel, validation = four_tasks("pretrain", "cosine", 1, 0.5), four_tasks("finetune", "cosine", 1, 0.6, split="validation")
    grids = score_grids([novel, validation])
    assert [grid.rows[0].results for grid in grids] == [(novel,), (validation,)]
    text = printed([novel, validation])
    assert "novel classes" in text
    assert "validation classes" in text


def test_a_later_result_for_the_same_cell_replaces_the_earlier_one():
    grid = score_grids([four_tasks("pretrain", "cosine", 1, 0.5), four_tasks("pretrain", "cosine", 1, 0.6)])[0]
    assert [row.cells for row in grid.rows] == [("60.00 (12.65)",)]


def test_a_cell_says_what_its_result_says():
    result = made_up_results("finetune", "cosine", 1, 0.65)
    assert percent(result) == f"{100 * result.mean:.2f} ± {100 * result.class_interval:.2f}"


def test_the_change_over_the_same_tasks_has_the_interval_of_the_differences():
    before, after = four_tasks("pretrain", "cosine", 1, 0.5), four_tasks("finetune", "cosine", 1, 0.6)
    gain, half = paired_change(before, after)
    assert gain == pytest.approx(0.1)
    assert half == pytest.approx(0.0, abs=1e-12)
    early, late = made_up_results("pretrain", "cosine", 1, 0.5), made_up_results("finetune", "cosine", 1, 0.6)
    gains = np.subtract(late.per_task, early.per_task)
    comparison = compare_results(early, late)
    assert paired_change(early, late) == pytest.approx((gains.mean(), comparison.class_interval))
    bare = [replace(one, details=None) for one in (early, late)]
    assert paired_change(*bare) == pytest.approx((gains.mean(), 1.96 * gains.std(ddof=1) / np.sqrt(gains.size)))


def test_tasks_of_files_have_words_of_their_own_and_each_file_has_a_grid():
    one = replace(four_tasks("finetune", "cosine", 1, 0.5), protocol="stored", tasks_digest="a1" * 32)
    other = replace(one, tasks_digest="b2" * 32, queries=0, created="2031")
    grids = score_grids([one, other])
    assert [grid.rows[0].results for grid in grids] == [(other,), (one,)]
    assert latest_of_kind(grids) == grids
    assert "4 tasks of file b2b2b2b2, queries as in the file." in grids[0].caption
    assert "4 tasks of file a1a1a1a1, 15 queries per class." in grids[1].caption


def test_kinds_of_tasks_in_words():
    assert task_label(5, 1) == "5-way 1-shot"
    assert task_label(5, 0, "stored") == "5-way, stored"
    assert task_label(0, 0, "stored") == "stored tasks"
    assert task_label(0, 0, "variable") == "variable tasks"


def test_one_query_is_singular():
    (grid,) = score_grids([replace(four_tasks("finetune", "cosine", 1, 0.5), queries=1)])
    assert ", 1 query per class." in grid.caption
