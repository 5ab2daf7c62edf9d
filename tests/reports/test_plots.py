import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest

from s2m2.reporting.plots import svg
from s2m2.reporting.score_plots import MAX_BINS, _bin_edges, accuracy_plot
from s2m2.reporting.training_plots import MAX_POINTS, training_plots
from s2m2.runs.directory import RunDirectory
from s2m2.runs.metrics import read_metrics
from tests.reporting.made_up import FINETUNED, PRETRAINED, made_up_results, made_up_run


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
    kept, stop = marks["kept: 58.62 % after epoch 3"], marks["stopped by patience (4)"]
    assert list(kept.get_xdata()) == [FINETUNED.best_epoch]
    np.testing.assert_allclose(kept.get_ydata(), [FINETUNED.best_score])
    assert set(stop.get_xdata()) == {FINETUNED.epochs}


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
    axes = accuracy_plot(results).figure.axes[0]
    assert [line.get_xdata()[0] for line in axes.lines] == [result.mean for result in results]
    shares = [patch.get_data().values.sum() for patch in axes.patches]
    np.testing.assert_allclose(shares, 1)


def test_an_svg_is_one_element_with_variable_colors_that_loads_nothing():
    drawn = svg(accuracy_plot([made_up_results("finetune", "cosine", 5, 0.8)]))
    assert "http" not in drawn
    assert "var(--red)" in drawn
    assert "#c4512d" not in drawn
    root = ET.fromstring(drawn.replace("xlink:href", "href"))
    assert root.tag == "svg"
    assert "viewBox" in root.attrib
    assert "width" not in root.attrib
    assert any("after fine-tuning" in (text.text or "") for text in root.iter("text"))


def test_drawing_leaves_the_settings_of_matplotlib_alone():
    before = dict(mpl.rcParams)
    svg(accuracy_plot([made_up_results("finetune", "cosine", 5, 0.8)]))
    assert dict(mpl.rcParams) == before
