"""`s2m2 table`: printed or written, by format and ending, with its choices; and wrong calls, which leave nothing."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from s2m2.cli import main
from s2m2.evaluation.results import save_results
from tests.reports.made_up import made_up_run
from tests.reports.planted import planted


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs on the same tasks: `a`, and `b c`, which is better."""
    folder = tmp_path_factory.mktemp("runs")
    for name, gain in (("a", 0.0), ("b c", 0.05)):
        for classifier, more in (("cosine", 0.01), ("nearest_mean", 0.0)):
            for shots in (1, 5):
                save_results(folder / name / "results", planted(classifier, gain + more, shots=shots, noise=len(name)))
    return folder / "a", folder / "b c"


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["table", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_the_table_of_two_runs_is_printed_or_written_alike(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, ending in (("markdown", "md"), ("latex", "tex"), ("csv", "csv")):
        shown = printed(capsys, *runs, "--format", kind)
        path = tmp_path / "new" / f"scores.{ending}"
        assert printed(capsys, *runs, "--output", path) == f"table: {path}\n"
        assert path.read_text(encoding="utf-8") == shown
        assert sorted(entry.name for entry in path.parent.iterdir()).count(path.name) == 1
    assert "| b c | **" not in printed(capsys, *runs)
    assert printed(capsys, *runs) == printed(capsys, *runs, "--format", "markdown")
    assert printed(capsys, *runs, "--output", tmp_path / "x.txt", "--format", "csv").startswith("table: ")


def test_rows_and_columns_are_chosen(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, *runs, "--classifiers", "cosine", "--shots", "1", "--names", "Ours, [old]: x", "Ours")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows[0] == "| run | 5-way 1-shot |"
    assert [row.split(" | ")[0] for row in rows[2:]] == [r"| Ours, \[old\]: x", "| Ours"]
    assert "All rows: after fine-tuning, cosine classifier." in text
    assert " | **" in rows[3]
    text = printed(
        capsys, *runs, "--shots", "5", "--classifiers", "nearest_mean", "--format", "csv", "--ways", "5", "--seeds", "0", "--tasks", "300"
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["source"], row["classifier"], row["shots"]) for row in rows] == [("a", "nearest_mean", "5"), ("b c", "nearest_mean", "5")]


def test_files_of_a_run_are_one_source_and_others_have_their_own(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_a = sorted((runs[0] / "results").glob("*cosine*.json"))
    alone = tmp_path / "alone.json"
    alone.write_bytes(of_a[0].read_bytes())
    text = printed(capsys, *of_a, alone, "--format", "csv")
    assert [row["source"] for row in csv.DictReader(io.StringIO(text))] == ["a", "a", "alone"]


def test_runs_of_one_name_are_told_apart_by_their_paths(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = tmp_path / "a"
    save_results(twin / "results", replace(planted("cosine", 0.0), seed=1))
    rows = list(csv.DictReader(io.StringIO(printed(capsys, runs[0], twin, "--format", "csv"))))
    assert {row["source"] for row in rows} == {str(runs[0]), str(twin)}
    assert {row["untested"] for row in rows if row["shots"] == "1"} == {"entries of different tasks, seed 0 and 1"}


def test_the_run_of_a_recipe_makes_a_table_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made_up_run(tmp_path / "quick")
    text = printed(capsys, run.path, "--figures", tmp_path / "figures", "--output", tmp_path / "scores.tex", "--features", "finetune")
    names = [f"made_up-novel-5way-shots.{ending}" for ending in ("pdf", "svg")]
    assert text.splitlines() == [f"table: {tmp_path / 'scores.tex'}", *(f"figure: {tmp_path / 'figures' / name}" for name in names)]
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "needs RUN: directories of runs, or files of results"),
        (["nowhere"], "there is nothing at nowhere; a table is made of run directories and files of results"),
        (["EMPTY"], "EMPTY holds no results; `s2m2 evaluate --run EMPTY` makes them"),
        (["TEXT"], "TEXT holds no results: "),
        (["A", "A"], "A is there twice, A and A"),
        (["A", "FILE"], "FILE is there twice, A and FILE"),
        (["A", "B", "--names", "x"], "--names has 1 name, but there are 2 to name: A, B"),
        (["A", "B", "--names", "x", "x"], "--names is ['x', 'x'], but must be different values"),
        (["A", "--names", " "], "--names is [' '], but must be names that can be seen"),
        (["A", "--classifiers", "svm"], "--classifiers has svm, but the results have cosine, nearest_mean"),
        (["A", "--features", "pretrain"], "--features has pretrain, but the results have finetune"),
        (["A", "--shots", "3"], "--shots has 3, but the results have 1, 5"),
        (["A", "--shots", "x"], "--shots has x, but each value must be a whole number"),
        (["A", "--seeds", "4"], "--seeds has 4, but the results have 0"),
        (["A", "--format", "html"], "--format is html, but must be one of latex, markdown, csv"),
        (["A", "--interval", "sd"], "--interval is sd, but must be one of classes, tasks, both, none"),
        (["A", "--bold", "all"], "--bold is all, but must be one of winner, level, none"),
        (["A", "--digits", "5"], "--digits is 5, but must be from 0 to 4"),
        (["A", "--output", "x.txt"], "--output is x.txt, but must be a name that ends with .tex, .md, .csv, or needs --format beside it"),
        (["A", "--output", "x.md", "--format", "csv"], "--format is csv, but must be markdown, as --output is x.md"),
        (["A", "--label", "a b", "--format", "latex"], "--label is 'a b', but must be letters, digits and"),
        (["A", "--label", "tab:a"], "--label is tab:a, but must be null, as markdown has none"),
        (["A", "--caption", "words", "--format", "csv"], "--caption is 'words', but must be null, as csv has none"),
        (["A", "--published", "true"], "--published: there are numbers for 5-way 1- and 5-shot tasks of novel classes of mini_imagenet, "),
        (["A", "--shots", "1", "--figures", "here"], "--figures: a curve takes results of two numbers of shots or of ways"),
        (["A", "--figures", "TEXT", "--output", "x.md"], "--figures TEXT is a file, not a folder"),
        (["A", "--figure", "here"], "no flag --figure; did you mean --figures?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_call_is_one_line_and_leaves_nothing(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    text = tmp_path / "text.json"
    text.write_text("x")
    names = {"A": runs[0], "B": runs[1], "EMPTY": tmp_path / "empty", "TEXT": text, "FILE": next((runs[0] / "results").iterdir())}
    assert main(["table", *(str(names.get(argument, argument)) for argument in arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("s2m2 table: ")
    assert error.count("\n") == 1
    words = [
        str(names.get(word.rstrip(",;"), word)) + word[len(word.rstrip(",;")) :] if word.rstrip(",;") in names else word
        for word in message.split(" ")
    ]
    assert " ".join(words).replace("EMPTY`", f"{names['EMPTY']}`") in error
    assert list(Path.cwd().iterdir()) == []


def test_help_names_what_a_table_is_made_of(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "--help")
    assert text.startswith("usage: s2m2 table RUN... [--output FILE]")
    for flag in ("--names", "--classifiers", "--interval", "--bold", "--digits", "--caption", "--label", "--published", "--figures"):
        assert f"\n  {flag} " in text
