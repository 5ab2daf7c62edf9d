import xml.etree.ElementTree as ET
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest

from s2m2.errors import InputError
from s2m2.reports.plots import (
    MAX_BINS,
    MAX_POINTS,
    _bin_edges,
    accuracy_curves,
    classifier_style,
    distribution_plot,
    save_figure,
    svg,
    training_plots,
)
from s2m2.reports.scores import CLASSIFIERS, score_grids
from s2m2.runs.directory import RunDirectory
from s2m2.runs.expectation import ExpectedEpoch, ExpectedStage
from s2m2.runs.logging import read_metrics
from tests.reports.made_up import FINETUNED, PRETRAINED, made_up_results, made_up_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return made_up_run(tmp_path_factory.mktemp("runs") / "quick")


def test_a_stage_has_losses_validation_training_accuracy_and_learning_rate(run):
    rows = read_metrics(run.metrics)
    titles = [plot.title for plot in training_plots(rows, "pretrain", PRETRAINED)]
    assert titles == ["Loss", "Accuracy on validation classes", "Accuracy on training images", "Learning rate"]
    assert training_plots(rows, "a stage that never ran", None) == ()


def test_the_curves_show_the_logged_values_over_all_epochs(run):
    rows = read_metrics(run.metrics)
    for plot in training_plots(rows, "finetune", FINETUNED):
        low, high = plot.figure.axes[0].get_xlim()
        assert low == 0
        assert high >= FINETUNED.epochs
    losses = {line.get_label(): line for line in training_plots(rows, "finetune", FINETUNED)[0].figure.axes[0].lines}
    assert set(losses) == {"total", "mixup", "class", "rotation"}
    logged = [row["mixup"] for row in rows if row["stage"] == "finetune" and row["kind"] == "train"]
    np.testing.assert_allclose(losses["mixup"].get_ydata(), logged)


def test_the_validation_plot_marks_the_best_epoch_and_the_stopping_point(run):
    axes = training_plots(read_metrics(run.metrics), "finetune", FINETUNED)[1].figure.axes[0]
    marks = {line.get_label(): line for line in axes.lines}
    best, stop = marks["best: 58.62 % after epoch 3"], marks["stopped by patience (4)"]
    assert list(best.get_xdata()) == [FINETUNED.best_epoch]
    np.testing.assert_allclose(best.get_ydata(), [FINETUNED.best_score])
    assert set(stop.get_xdata()) == {FINETUNED.epochs}


def test_the_validation_plot_shows_what_the_recipe_should_give(run):
    epochs = {epoch: ExpectedEpoch(score=0.5 + epoch / 50, spread=0.01, interval=0.002, runs=3) for epoch in (0, 1, 2, 3, 4)}
    stage = ExpectedStage(minutes_per_epoch=1.0, epochs=epochs)
    rows = read_metrics(run.metrics)
    lines = {line.get_label(): line for line in training_plots(rows, "finetune", FINETUNED, stage)[1].figure.axes[0].lines}
    assert list(lines["expected of the recipe"].get_xdata()) == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(lines["expected of the recipe"].get_ydata(), [epochs[epoch].score for epoch in range(5)])
    np.testing.assert_allclose(lines["behind below this"].get_ydata(), [epochs[epoch].score - stage.margin(epoch) for epoch in range(5)])


def test_the_loss_of_one_part_is_one_line():
    rows = [{"stage": "pretrain", "kind": "train", "epoch": 1.0, "loss": 2.0, "class": 2.0, "accuracy": 0.5, "learning_rate": 0.1}]
    assert [line.get_label() for line in training_plots(rows, "pretrain", None)[0].figure.axes[0].lines] == ["total"]


def test_a_long_curve_is_averaged_and_keeps_its_mean():
    count = 10 * MAX_POINTS
    values = np.random.default_rng(0).random(count)
    rows = [
        {"stage": "pretrain", "kind": "train", "epoch": step / 100, "loss": value, "learning_rate": 0.1}
        for step, value in enumerate(values)
    ]
    (line,) = training_plots(rows, "pretrain", None)[0].figure.axes[0].lines
    assert len(line.get_ydata()) == MAX_POINTS
    np.testing.assert_allclose(np.mean(line.get_ydata()), values.mean())


@pytest.mark.parametrize("answers", [10, 75, 300, 2975])
def test_every_bin_of_the_histogram_holds_equally_many_possible_accuracies(answers):
    edges = _bin_edges(answers)
    counts, _ = np.histogram(np.arange(answers + 1) / answers, edges)
    assert counts.sum() == answers + 1
    assert len(counts) <= MAX_BINS
    assert set(counts[:-1]) == {counts[0]}


def test_the_histogram_marks_the_means_and_counts_every_task():
    results = [made_up_results("pretrain", "cosine", 1, 0.5), made_up_results("finetune", "cosine", 1, 0.6)]
    axes = distribution_plot(results).figure.axes[0]
    assert [line.get_xdata()[0] for line in axes.lines] == [result.mean for result in results]
    fractions = [patch.get_data().values.sum() for patch in axes.patches]
    np.testing.assert_allclose(fractions, 1)


def test_an_svg_is_one_element_with_variable_colors_that_loads_nothing():
    element = svg(distribution_plot([made_up_results("finetune", "cosine", 5, 0.8)]))
    assert "http" not in element
    assert "var(--red)" in element
    assert "#c4512d" not in element
    root = ET.fromstring(element.replace("xlink:href", "href"))
    assert root.tag == "svg"
    assert root.attrib["role"] == "img"
    assert root[0].tag == "title"
    assert "Histogram of the accuracies of 400 5-way 5-shot tasks" in (root[0].text or "")
    assert "viewBox" in root.attrib
    assert "width" not in root.attrib
    assert any("after fine-tuning" in (text.text or "") for text in root.iter("text"))


def test_drawing_leaves_the_settings_of_matplotlib_alone():
    before = dict(mpl.rcParams)
    svg(distribution_plot([made_up_results("finetune", "cosine", 5, 0.8)]))
    assert dict(mpl.rcParams) == before


def test_curves_run_through_the_means_of_each_classifier_on_the_last_features():
    results = [
        replace(made_up_results(features, classifier, shots, 0.4 + 0.05 * shots), ways=ways)
        for features in ("pretrain", "finetune")
        for classifier in ("cosine", "nearest_mean")
        for shots in (1, 2, 5)
        for ways in (5, 10)
    ]
    (grid,) = score_grids(results)
    plots = accuracy_curves(grid)
    assert [plot.title for plot in plots] == [
        "Accuracy against shots, 5 ways",
        "Accuracy against shots, 10 ways",
        "Accuracy against ways, 1 shot",
        "Accuracy against ways, 2 shots",
        "Accuracy against ways, 5 shots",
    ]
    lines = {container.get_label(): container.lines[0] for container in plots[1].figure.axes[0].containers}
    expected = [one.mean for one in results if (one.features, one.classifier, one.ways) == ("finetune", "cosine", 10)]
    np.testing.assert_allclose(np.array(lines["cosine classifier"].get_xdata(), dtype=float), [1, 2, 5])
    np.testing.assert_allclose(np.array(lines["cosine classifier"].get_ydata(), dtype=float), expected)


def test_one_number_of_ways_and_shots_has_no_curve():
    (grid,) = score_grids([made_up_results("finetune", "cosine", 1, 0.5)])
    assert accuracy_curves(grid) == ()


@pytest.mark.parametrize("protocol", ["s2m2", "variable"])
def test_tasks_of_unknown_numbers_of_queries_have_a_histogram(protocol):
    plot = distribution_plot([replace(made_up_results("finetune", "cosine", 1, 0.5), protocol=protocol, queries=0)])
    assert protocol in plot.title
    assert plot.figure.axes[0].patches


def test_a_classifier_looks_the_same_in_every_plot_and_unlike_the_others():
    styles = {name: classifier_style(name) for name in CLASSIFIERS}
    assert len({str(style) for style in styles.values()}) == len(CLASSIFIERS)
    assert classifier_style("my_package.heads:MyHead") == classifier_style("my_package.heads:MyHead")
    results = [made_up_results("finetune", name, shots, 0.5) for name in ("tim", "cosine") for shots in (1, 5)]
    for subset in (results, results[:2]):
        (plot,) = accuracy_curves(score_grids(subset)[0])
        lines = {container.get_label(): container.lines[0] for container in plot.figure.axes[0].containers}
        assert lines["TIM-GD"].get_color() == styles["tim"]["color"]


def test_axes_of_accuracies_end_at_100_percent():
    results = [made_up_results("finetune", "cosine", shots, 0.999) for shots in (1, 5)]
    assert distribution_plot(results[:1]).figure.axes[0].get_xlim()[1] == 1
    assert accuracy_curves(score_grids(results)[0])[0].figure.axes[0].get_ylim()[1] <= 1


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_the_main_plot_of_a_run_is_a_file(run, tmp_path, suffix, start):
    assert save_figure(run, tmp_path / f"main{suffix}").read_bytes().startswith(start)
    with pytest.raises(InputError, match="has no results to plot"):
        save_figure(RunDirectory(tmp_path), tmp_path / "none.png")
