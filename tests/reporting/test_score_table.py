import numpy as np
import pytest
from rich.console import Console

from s2m2.evaluation.results import TaskResults
from s2m2.reporting.score_table import paired_change, percent, score_grids, score_table
from tests.reporting.made_up import made_up_results

# Hand-written from the definition: per-task accuracies 0.4, 0.5, 0.6, 0.7 have mean 55 % and 1.96 * 0.1291 / 2 = 12.65 %.
GOLDEN = """\
                       Few-shot accuracy
┏━━━━━━┳━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ ways ┃ shots ┃ head         ┃    pretrained ┃    fine-tuned ┃
┡━━━━━━╇━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│    5 │     1 │ cosine       │ 55.00 ± 12.65 │ 65.00 ± 12.65 │
│    5 │     1 │ nearest_mean │               │ 50.00 ± 12.65 │
│    5 │     5 │ cosine       │ 75.00 ± 12.65 │               │
└──────┴───────┴──────────────┴───────────────┴───────────────┘
Accuracy in percent on novel classes of glyphs: mean over 4
tasks (seed 0) with 15 queries a class, ± half the width of its
95% interval, 1.96 std / sqrt(tasks)."""


def four_tasks(features: str, head: str, shots: int, mean: float, split: str = "novel") -> TaskResults:
    return TaskResults(
        dataset="glyphs",
        split=split,
        features=features,
        head=head,
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
    console = Console(width=100, force_terminal=False, no_color=True)
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


def test_results_of_different_splits_never_share_a_row():
    novel, validation = four_tasks("pretrain", "cosine", 1, 0.5), four_tasks("finetune", "cosine", 1, 0.6, split="validation")
    grids = score_grids([novel, validation])
    assert [grid.rows[0].results for grid in grids] == [(novel,), (validation,)]
    text = printed([novel, validation])
    assert "novel classes" in text
    assert "validation classes" in text


def test_a_later_result_for_the_same_cell_replaces_the_earlier_one():
    grid = score_grids([four_tasks("pretrain", "cosine", 1, 0.5), four_tasks("pretrain", "cosine", 1, 0.6)])[0]
    assert [row.cells for row in grid.rows] == [("60.00 ± 12.65",)]


def test_a_cell_says_what_its_result_says():
    result = made_up_results("finetune", "cosine", 1, 0.65)
    assert percent(result) == f"{100 * result.mean:.2f} ± {100 * result.interval:.2f}"


def test_the_change_over_the_same_tasks_has_the_interval_of_the_differences():
    before, after = four_tasks("pretrain", "cosine", 1, 0.5), four_tasks("finetune", "cosine", 1, 0.6)
    gain, half = paired_change(before, after)
    assert gain == pytest.approx(0.1)
    assert half == pytest.approx(0.0, abs=1e-12)
    early, late = made_up_results("pretrain", "cosine", 1, 0.5), made_up_results("finetune", "cosine", 1, 0.6)
    gains = np.subtract(late.per_task, early.per_task)
    assert paired_change(early, late) == pytest.approx((gains.mean(), 1.96 * gains.std(ddof=1) / np.sqrt(gains.size)))
