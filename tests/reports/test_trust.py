from dataclasses import replace

import numpy as np

from s2m2.reports.trust import MAX_CONFUSION, confused_pairs, confusion_plot, reliability_plot
from tests.reports.made_up import made_up_details

DETAILS = made_up_details(np.random.default_rng(0).uniform(0.2, 0.9, 400))


def test_the_confusion_matrix_states_the_percentage_of_each_pair_of_classes():
    axes = confusion_plot(DETAILS).figure.axes[0]
    cells = {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in axes.texts}
    for true, predicted, count in DETAILS.confusion:
        assert cells[true, predicted] == f"{100 * count / DETAILS.classes[true].queries:.0f}"
    assert len(axes.get_yticklabels()) == len(DETAILS.classes)


def test_many_classes_have_no_matrix_but_pairs():
    many = replace(DETAILS, classes=DETAILS.classes * 3)
    assert len(many.classes) > MAX_CONFUSION
    assert confusion_plot(many) is None
    pairs = confused_pairs(many, 3)
    assert [fraction for _, _, fraction in pairs] == sorted((fraction for _, _, fraction in confused_pairs(many, 99)), reverse=True)[:3]


def test_the_reliability_diagram_goes_through_the_mean_confidence_and_accuracy_of_each_bin():
    before = reliability_plot(DETAILS, "5-way 1-shot").figure.axes[0].lines[0]
    np.testing.assert_allclose(before.get_xdata(), [(number + 0.5) / 15 for number in range(15)])
    np.testing.assert_allclose(before.get_ydata(), [min(1.0, (number + 2) / 18) for number in range(15)])
    axes = reliability_plot(DETAILS, "5-way 1-shot").figure.axes[0]
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 1), (0, 1))
    alone = replace(DETAILS, calibration=replace(DETAILS.calibration, after=None, temperature=None, tasks=0))
    assert len(reliability_plot(alone, "5-way 1-shot").figure.axes[0].lines) == 2
