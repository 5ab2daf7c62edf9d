from dataclasses import replace

import numpy as np
import pytest

from s2m2.reporting.score_plots import accuracy_plot, curves
from s2m2.reporting.score_table import score_grids
from tests.reporting.made_up import made_up_results


def test_curves_run_through_the_means_of_each_head_on_the_last_features():
    results = [
        replace(made_up_results(features, classifier, shots, 0.4 + 0.05 * shots), ways=ways)
        for features in ("pretrain", "finetune")
        for classifier in ("cosine", "nearest_mean")
        for shots in (1, 2, 5)
        for ways in (5, 10)
    ]
    (grid,) = score_grids(results)
    drawn = curves(grid)
    assert [plot.title for plot in drawn] == [
        "Accuracy against shots, 5 ways",
        "Accuracy against shots, 10 ways",
        "Accuracy against ways, 1 shot",
        "Accuracy against ways, 2 shots",
        "Accuracy against ways, 5 shots",
    ]
    lines = {container.get_label(): container.lines[0] for container in drawn[1].figure.axes[0].containers}
    expected = [one.mean for one in results if (one.features, one.classifier, one.ways) == ("finetune", "cosine", 10)]
    np.testing.assert_allclose(np.array(lines["cosine classifier"].get_xdata(), dtype=float), [1, 2, 5])
    np.testing.assert_allclose(np.array(lines["cosine classifier"].get_ydata(), dtype=float), expected)


def test_one_number_of_ways_and_shots_has_no_curve():
    (grid,) = score_grids([made_up_results("finetune", "cosine", 1, 0.5)])
    assert curves(grid) == ()


@pytest.mark.parametrize("protocol", ["s2m2", "variable"])
def test_tasks_of_unknown_numbers_of_queries_have_a_histogram(protocol):
    plot = accuracy_plot([replace(made_up_results("finetune", "cosine", 1, 0.5), protocol=protocol, queries=0)])
    assert protocol in plot.title
    assert plot.figure.axes[0].patches
