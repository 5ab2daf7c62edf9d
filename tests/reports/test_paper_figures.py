"""Figures for papers: the curves, the bands, the size, fonts in the file, and looks that differ without color."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from s2m2.errors import InputError
from s2m2.evaluation.results import TaskResults
from s2m2.reports.paper_figures import WIDTH, PaperFigure, paper_figures, write_figures
from s2m2.reports.paper_rows import PaperTable, Source, paper_table
from tests.reports.planted import planted

GRID = [
    planted(name, gain, shots=shots, ways=ways) for name, gain in (("cosine", 0.05), ("ridge", 0.0)) for shots in (1, 5) for ways in (5, 10)
]


def made(results: list[TaskResults], name: str = "a") -> PaperTable:
    return paper_table([Source(name=name, results=tuple(results), is_folder=True)], {}, published=False)


def lines(figure: Figure) -> dict[str, list[list[float]]]:
    return {str(line.get_label()): np.asarray(line.get_xydata()).tolist() for line in figure.axes[0].lines}


def test_curves_run_through_the_means_against_shots_and_against_ways() -> None:
    figures = {one.name: one.figure for one in paper_figures(made(GRID), "classes")}
    assert list(figures) == [
        "made_up-novel-5way-shots",
        "made_up-novel-10way-shots",
        "made_up-novel-1shot-ways",
        "made_up-novel-5shot-ways",
    ]
    expected = [[one.shots, one.mean] for one in GRID if (one.classifier, one.ways) == ("cosine", 10)]
    assert lines(figures["made_up-novel-10way-shots"])["cosine classifier"] == expected
    expected = [[one.ways, one.mean] for one in GRID if (one.classifier, one.shots) == ("ridge", 1)]
    assert lines(figures["made_up-novel-1shot-ways"])["ridge regression"] == expected


@pytest.mark.parametrize("interval", ["classes", "tasks", "both", "none"])
def test_bands_are_the_interval_that_is_asked_for(interval: str) -> None:
    results = [planted("cosine", 0.05, shots=shots) for shots in (1, 5)]
    (one,) = paper_figures(made(results), interval)  # type: ignore[arg-type]
    bands = one.figure.axes[0].collections
    assert len(bands) == (interval != "none")
    for band in bands:
        heights = np.asarray(band.get_paths()[0].vertices)[:, 1]
        first = results[0].interval if interval == "tasks" else results[0].class_interval
        assert first is not None
        assert heights.min() == pytest.approx(results[0].mean - first)


def test_a_figure_has_the_width_of_a_column_and_no_two_curves_look_alike_in_gray() -> None:
    results = [planted(f"own:Head{number}", number / 100, shots=shots) for number in range(12) for shots in (1, 5)]
    (one,) = paper_figures(made(results), "none")
    assert one.figure.get_size_inches()[0] == WIDTH == 3.3
    looks = {(str(line._unscaled_dash_pattern), line.get_marker()) for line in one.figure.axes[0].lines}  # type: ignore[attr-defined]
    assert len(looks) == 12


def test_files_hold_their_fonts_load_nothing_and_are_equal_for_equal_results(tmp_path: Path) -> None:
    table = made([planted(name, 0.0, shots=shots) for name in ("cosine", "own:$x$鳥") for shots in (1, 5)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paths = write_figures(tmp_path / "one", paper_figures(table, "classes"))
        again = write_figures(tmp_path / "two", paper_figures(table, "classes"))
    assert [path.suffix for path in paths] == [".pdf", ".svg"]
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in again]
    assert sorted((tmp_path / "one").iterdir()) == sorted(paths)
    pdf, svg = paths[0].read_bytes(), paths[1].read_text(encoding="utf-8")
    assert pdf.startswith(b"%PDF")
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert "<text" not in svg


def test_names_of_datasets_are_safe_in_the_names_of_files(tmp_path: Path) -> None:
    results = [replace(one, dataset="../a b/c") for one in GRID[:3]]
    (one, other) = paper_figures(made(results), "none")
    assert one.name == "_a_b_c-novel-5way-shots"
    (path, _) = write_figures(tmp_path, [PaperFigure(name=one.name, figure=one.figure)])
    assert path.parent == tmp_path
    assert other.name == "_a_b_c-novel-1shot-ways"


def test_every_curve_is_in_the_legend_whatever_its_name() -> None:
    results = [planted(name, 0.0, shots=shots) for name in ("_hidden:Head", "cosine") for shots in (1, 5)]
    (one,) = paper_figures(made(results), "none")
    assert [text.get_text() for text in one.figure.legends[0].get_texts()] == ["cosine classifier", "_hidden:Head"]
    (alone,) = paper_figures(made(results[:2]), "none")
    assert not alone.figure.legends


def test_one_number_of_shots_and_of_ways_makes_no_curve() -> None:
    with pytest.raises(InputError, match="--figures: a curve takes results of two numbers of shots or of ways"):
        paper_figures(made(GRID[:1]), "classes")
