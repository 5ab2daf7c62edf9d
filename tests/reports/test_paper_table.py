"""Tables for papers: numbers by hand, bold by the test alone, rows and columns in order, and names that no format obeys."""

import csv
import io
import math
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import s2m2
from s2m2.errors import InputError
from s2m2.escaping import plain_cell
from s2m2.evaluation.compare import compare_results
from s2m2.evaluation.ranking import holm
from s2m2.evaluation.results import TaskResults, save_results
from s2m2.reports.scores import CLASSIFIERS
from tests.reports.made_up import made_up_results
from tests.reports.planted import CLASSES, planted

STRONG, MIDDLE, WEAK = planted("cosine", 0.05), planted("ridge", 0.02), planted("nearest_mean", 0.0)
EVEN = planted("tim", 0.05, noise=3)
HOSTILE = r"\input{x} & 5% $a_b$ #^~ | <b> `c` *d* [e] =f"


def cells(text: str) -> list[list[str]]:
    """The cells of a Markdown table, header first."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines if "---" not in line]


def notes(text: str) -> str:
    return text.split("|\n\n")[-1]


def csv_rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def hand_made() -> TaskResults:
    """Accuracies of 40, 50, 60 and 70 %: mean 55, half-width 1.96 * 12.91 / 2 = 12.65."""
    return TaskResults(
        dataset="glyphs", split="novel", features="finetune", classifier="cosine", ways=5, shots=1, queries=15, tasks=4, seed=0,
        per_task=(0.4, 0.5, 0.6, 0.7), fingerprint="f", data_digest="d",
    )  # fmt: skip


def test_numbers_are_those_of_a_hand_calculation() -> None:
    text = s2m2.table(hand_made(), interval="tasks")
    assert cells(text) == [["classifier", "5-way 1-shot"], ["cosine classifier", "55.00 ± 12.65"]]
    assert text.startswith("Accuracy (%) on novel classes of glyphs: mean of 4 tasks (seed 0), 15 queries per class.\n\n| ")
    assert "these classes again (1.96 std / sqrt(tasks)); it says nothing of new classes" in notes(text)
    assert cells(s2m2.table(hand_made(), digits=0, interval="none"))[1][1] == "55"
    assert cells(s2m2.table(hand_made(), digits=4))[1][1] == "55.0000 (12.6517)"  # classes are not known


@pytest.mark.parametrize(
    ("interval", "form"), [("classes", "{0} ± {1}"), ("tasks", "{0} ± {2}"), ("both", "{0} ± {1} ({2})"), ("none", "{0}")]
)
def test_each_interval_is_that_of_the_result(interval: str, form: str) -> None:
    assert STRONG.class_interval is not None
    numbers = [f"{100 * value:.2f}" for value in (STRONG.mean, STRONG.class_interval, STRONG.interval)]
    text = s2m2.table(STRONG, interval=interval)
    assert cells(text)[1][1] == form.format(*numbers)
    assert ("for other classes of the kind" in text) == (interval in ("classes", "both"))
    assert ("In brackets" in text) == (interval == "both")


def test_the_best_is_bold_where_it_beats_all_others() -> None:
    text = s2m2.table([WEAK, STRONG, MIDDLE])
    scores = {row[0]: row[1] for row in cells(text)[1:]}
    assert [name for name, score in scores.items() if "**" in score] == ["cosine classifier"]
    assert scores["cosine classifier"].startswith(f"**{100 * STRONG.mean:.2f}** ± ")
    assert (
        "Bold: shown to be better than every other entry of its column (paired test over classes, two-sided at 5 %, adjusted by Holm"
        in text
    )
    assert "Nothing is bold" not in text
    assert "**" not in s2m2.table([WEAK, STRONG, MIDDLE], bold="none")
    assert "Bold" not in s2m2.table([WEAK, STRONG, MIDDLE], bold="none")


def test_of_a_tie_nothing_is_bold_or_all_of_it() -> None:
    text = s2m2.table([STRONG, WEAK, EVEN])
    assert "**" not in text
    assert "Nothing is bold: the best entry is not shown to be better than all others." in text
    level = s2m2.table([STRONG, WEAK, EVEN], bold="level")
    assert [row[0] for row in cells(level)[1:] if "**" in row[1]] == ["cosine classifier", "TIM-GD"]
    assert "Bold: the best entry of its column, and all that are not shown to be worse (paired test" in level


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ([], "one entry alone"),
        ([replace(WEAK, seed=1)], "entries of different tasks, seed 0 and 1"),
        ([replace(WEAK, details=None)], "entries that do not state their classes, or have every class in every task"),
    ],
)
def test_without_a_test_nothing_is_bold_and_the_note_says_why(others: list[TaskResults], why: str) -> None:
    for rule in ("winner", "level"):
        text = s2m2.table([STRONG, *others], bold=rule)
        assert "**" not in text
        assert f"Nothing is bold: there is no test of {why}." in text
        assert "Bold:" not in text


def test_reasons_name_their_columns() -> None:
    five = [planted("cosine", 0.05, shots=5), planted("tim", 0.05, shots=5, noise=3)]
    ten = planted("cosine", 0.0, shots=10)
    text = s2m2.table([STRONG, WEAK, *five, ten])
    assert cells(text)[0] == ["classifier", "5-way 1-shot", "5-way 5-shot", "5-way 10-shot"]
    assert [row[3] for row in cells(text)[1:]].count("") == 2
    assert "Nothing is bold in 5-way 5-shot: the best entry is not" in text
    assert "Nothing is bold in 5-way 10-shot: there is no test of one entry alone." in text
    assert [bool(re.search(r"\*\*", row[1])) for row in cells(text)[1:]] == [True, False, False]


def test_few_classes_are_said_of_interval_and_test() -> None:
    text = s2m2.table([made_up_results("finetune", name, 1, 0.6) for name in ("cosine", "ridge")])
    assert notes(text).count("(of 8 classes only: wide, and may miss a difference)") == 2


def test_rows_are_told_apart_by_what_differs_and_the_rest_is_said_once() -> None:
    text = s2m2.table([STRONG, WEAK])
    assert cells(text)[0][0] == "classifier"
    assert "All rows: after fine-tuning." in text
    changed = [
        replace(STRONG, settings={"scale": 2.0}),
        replace(STRONG, settings={"scale": 9.0}),
        replace(STRONG, transforms=("center", "unit")),
    ]
    text = s2m2.table(changed)
    assert cells(text)[0][:2] == ["classifier", "transforms"]
    assert [row[:2] for row in cells(text)[1:]] == [
        ["cosine classifier scale=2.0", ""],
        ["cosine classifier scale=9.0", ""],
        ["cosine classifier", "center, unit"],
    ]


def test_sources_come_as_given_stages_in_order_and_a_name_stands_where_it_changes() -> None:
    results = [replace(STRONG, features=name) for name in ("finetune", "pixels", "pretrain")]
    text = s2m2.table({"late": results, "early": [replace(WEAK, features="pretrain"), replace(STRONG, features="pretrain")]})
    assert [row[:3] for row in cells(text)] == [
        ["run", "features", "classifier"],
        ["late", "raw pixels", "cosine classifier"],
        ["", "after pretraining", "cosine classifier"],
        ["", "after fine-tuning", "cosine classifier"],
        ["early", "after pretraining", "cosine classifier"],
        ["", "after pretraining", "nearest class mean"],
    ]


def test_columns_are_kinds_of_tasks_and_name_their_classes_where_these_differ() -> None:
    results = [
        planted("cosine", 0, ways=10),
        planted("cosine", 0, shots=5),
        replace(STRONG, protocol="dirichlet", concentration=2.0),
        STRONG,
    ]
    assert cells(s2m2.table(results))[0][1:] == ["5-way 1-shot", "5-way 5-shot", "10-way 1-shot", "5-way 1-shot, dirichlet (2)"]
    other = replace(STRONG, split="validation")
    header = cells(s2m2.table([STRONG, other]))[0]
    assert header[1:] == ["made up, novel classes, 5-way 1-shot", "made up, validation classes, 5-way 1-shot"]
    text = s2m2.table([STRONG, other], format="latex")
    assert r" & \multicolumn{1}{c}{made up, novel classes} & \multicolumn{1}{c}{made up, validation classes} \\" in text
    assert r"\cmidrule(lr){2-2} \cmidrule(lr){3-3}" in text


def test_the_same_images_under_two_names_are_one_column() -> None:
    assert len(cells(s2m2.table([STRONG, replace(WEAK, dataset="another name")]))[0]) == 2


def test_csv_has_every_number_and_gives_names_back() -> None:
    results = [STRONG, WEAK, MIDDLE]
    rows = csv_rows(s2m2.table({HOSTILE: results}, format="csv", digits=0))
    assert [row["classifier"] for row in rows] == ["cosine", "nearest_mean", "ridge"]
    assert all(plain_cell(row["source"]) == HOSTILE for row in rows)
    by_name = {one.classifier: one for one in results}
    adjusted = holm({0: compare_results(STRONG, WEAK).class_p_value or 0, 1: compare_results(STRONG, MIDDLE).class_p_value or 0})
    for row in rows:
        one = by_name[row["classifier"]]
        assert [float(row[name]) for name in ("accuracy", "interval_over_classes", "interval_these_classes_again")] == [
            one.mean, one.class_interval, one.interval,
        ]  # fmt: skip
        assert (row["tasks"], row["seed"], row["ways"], row["shots"], row["classes"]) == ("300", "0", "5", "1", str(CLASSES))
        assert row["is_bold"] == row["is_best"] == str(one is STRONG)
    assert rows[0]["behind_best"] == rows[0]["p_over_classes_holm"] == rows[0]["untested"] == ""
    comparison = compare_results(STRONG, WEAK)
    assert float(rows[1]["behind_best"]) == pytest.approx(STRONG.mean - WEAK.mean)
    assert float(rows[1]["behind_best_interval_over_classes"]) == comparison.class_interval
    assert float(rows[1]["p_over_classes"]) == comparison.class_p_value
    assert [float(row["p_over_classes_holm"]) for row in rows[1:]] == [adjusted[0], adjusted[1]]
    assert float(rows[1]["p_these_classes_again"]) == comparison.p_value
    alone = csv_rows(s2m2.table(hand_made(), format="csv"))[0]
    assert (alone["interval_over_classes"], alone["untested"]) == ("", "one entry alone")
    assert float(alone["accuracy"]) == pytest.approx(0.55)


def test_an_interval_of_one_task_is_nowhere() -> None:
    one = replace(hand_made(), tasks=1, per_task=(0.5,))
    assert math.isinf(one.interval)
    assert cells(s2m2.table(one, interval="both"))[1][1] == "50.00"
    assert csv_rows(s2m2.table(one, format="csv"))[0]["interval_these_classes_again"] == ""


def test_latex_is_a_table_of_booktabs() -> None:
    text = s2m2.table([STRONG, WEAK], format="latex", caption="5% & more", label="tab:scores")
    assert r"\caption{5\% \& more}" in text
    assert r"\label{tab:scores}" in text
    assert rf"    cosine classifier & \textbf{{{100 * STRONG.mean:.2f}}} $\pm$ {100 * (STRONG.class_interval or 0):.2f} \\" in text
    for command in (r"\begin{tabular}{lc}", r"\toprule", r"\midrule", r"\bottomrule", r"\end{table}"):
        assert text.count(command) == 1
    assert "Accuracy (\\%) on novel classes" in text.split(r"\footnotesize")[1]  # as the caption does not say it
    assert r"\label" not in s2m2.table(STRONG, format="latex")
    assert "footnotesize" not in s2m2.table(
        [STRONG, replace(STRONG, features="pretrain", classifier="ridge")], format="latex", interval="none", bold="none"
    )


def test_names_are_shown_and_never_obeyed() -> None:
    given = {HOSTILE: STRONG, "plain": WEAK}
    row = next(line for line in s2m2.table(given, format="latex").splitlines() if "input" in line)
    assert row.startswith(r"    \textbackslash{}input\{x\} \& 5\% \$a\_b\$ \#\textasciicircum{}\textasciitilde{} ")
    assert len(re.findall(r"(?<!\\)&", row)) == 2
    shown = cells(s2m2.table(given))[1]
    assert len(shown) == 3
    assert shown[0].startswith(r"\\input{x} & 5% $a\_b$ \#^\~ \| \<b\> \`c\` \*d\*")


def test_the_published_row_stands_below_in_no_test() -> None:
    ours = [replace(planted("cosine", 0.05, shots=shots), dataset="cifar_fs") for shots in (1, 5, 10)]
    rival = [replace(planted("tim", 0.0, shots=shots), dataset="cifar_fs") for shots in (1, 5, 10)]
    text = s2m2.table([*ours, *rival], published=True)
    assert cells(text)[-1] == [r"S2M2\_R, WRN-28-10 (Mangla et al., 2020)", "74.81 (0.19)", "87.47 (0.13)", ""]
    assert "takes part in no test" in text
    assert all("**" in score for score in cells(text)[1][1:])  # though the published mean is larger
    assert cells(s2m2.table(ours, published=True, interval="tasks"))[-1][1] == "74.81 ± 0.19"
    row = csv_rows(s2m2.table(ours, published=True, format="csv"))[-1]
    assert (float(row["accuracy"]), row["shots"], row["p_over_classes"]) == (pytest.approx(0.8747), "5", "")
    latex = s2m2.table({"a": ours, "b": rival}, published=True, format="latex")
    assert r"\multicolumn{2}{l}{S2M2\_R, WRN-28-10 (Mangla et al., 2020)} & 74.81 (0.19)" in latex
    for other in (replace(ours[0], split="validation"), replace(ours[0], dataset="birds"), planted("cosine", 0, ways=10)):
        with pytest.raises(InputError, match="published: there are numbers for"):
            s2m2.table(other, published=True)


def test_paths_and_results_of_python_make_the_same_rows(tmp_path: Path) -> None:
    for one in (STRONG, WEAK):
        save_results(tmp_path / "one" / "results", one)
    of_path, of_results = s2m2.table(tmp_path / "one"), s2m2.table([STRONG, WEAK])
    assert of_path == of_results == s2m2.table({"any": str(tmp_path / "one")})


def test_runs_of_one_name_stay_apart(tmp_path: Path) -> None:
    for folder, one in (("one", STRONG), ("two", replace(STRONG, fingerprint="f1" * 32))):
        save_results(tmp_path / folder / "quick" / "results", one)
    paths = [tmp_path / folder / "quick" for folder in ("one", "two")]
    assert [row["source"] for row in csv_rows(s2m2.table(paths, format="csv"))] == list(map(str, paths))
    assert [row["source"] for row in csv_rows(s2m2.table([paths[0], STRONG], format="csv"))] == ["quick", ""]
    with pytest.raises(InputError, match="are for one cell"):
        s2m2.table({"both": paths})


def test_of_several_results_of_a_run_for_one_cell_the_newest_counts(tmp_path: Path) -> None:
    old, new = replace(STRONG, created="2031-01-01"), replace(STRONG, created="2031-01-02", seed=7)
    for one in (new, old):
        save_results(tmp_path / "results", one)
    assert csv_rows(s2m2.table(tmp_path, format="csv"))[0]["seed"] == "7"
    with pytest.raises(InputError, match="two results of cosine on finetune, 5-way 1-shot are for one cell"):
        s2m2.table([old, new])


def test_evaluations_of_features_make_a_table() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(12), 12)
    features = (rng.normal(size=(12, 8))[labels] + rng.normal(size=(144, 8))).astype(np.float32)
    results = {
        name: s2m2.evaluate(features, labels, name, ways=3, shots=1, queries=3, tasks=40) for name in ("nearest_mean", "cosine_centroid")
    }
    text = s2m2.table(list(results.values()), interval="none", bold="none")
    assert cells(text)[1:] == [[CLASSIFIERS[name], f"{100 * one.mean:.2f}"] for name, one in results.items()]


def has_latex() -> bool:
    return (
        all(shutil.which(name) for name in ("pdflatex", "kpsewhich"))
        and subprocess.run(["kpsewhich", "booktabs.sty"], check=False).returncode == 0
    )


@pytest.mark.slow
@pytest.mark.skipif(not has_latex(), reason="needs pdflatex and booktabs")
def test_latex_of_any_name_compiles(tmp_path: Path) -> None:
    names = {HOSTILE + " [1] --x 'é' ?` Dvořák ß ± ω 鳥 \x1b": [STRONG, WEAK], "* b": MIDDLE, "[c]": replace(EVEN, split="validation")}
    (tmp_path / "table.tex").write_text(s2m2.table(names, format="latex", caption=HOSTILE, label="tab:a_b"), encoding="utf-8")
    document = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n\\input{table}\n\\ref{tab:a_b}\n\\end{document}\n"
    (tmp_path / "paper.tex").write_text(document, encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
