from dataclasses import replace

import numpy as np
import pytest
import torch

from s2m2.data.episodes import EpisodeSpec
from s2m2.evaluation.classifiers import nearest_mean
from s2m2.evaluation.evaluate import example_task
from s2m2.reporting.detail_plots import MAX_CLASSES, confused_pairs, confusion_plot, projection_plot, reliability_plot
from s2m2.reporting.hard_tasks import MAX_DRAWN, SIZE, draw_hard_tasks, thumbnail
from s2m2.reporting.plots import svg
from s2m2.reporting.projection import plane, project_task
from tests.evaluation.trials import made_up_features
from tests.reporting.made_up import made_up_details, made_up_table, made_up_task

DETAILS = made_up_details(np.random.default_rng(0).uniform(0.2, 0.9, 400))


def test_the_confusion_matrix_states_the_share_of_each_pair_of_classes():
    axes = confusion_plot(DETAILS).figure.axes[0]
    drawn = {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in axes.texts}
    for true, predicted, count in DETAILS.confusion:
        assert drawn[true, predicted] == f"{100 * count / DETAILS.classes[true].queries:.0f}"
    assert len(axes.get_yticklabels()) == len(DETAILS.classes)


def test_many_classes_have_no_matrix_but_pairs():
    many = replace(DETAILS, classes=DETAILS.classes * 3)
    assert len(many.classes) > MAX_CLASSES
    assert confusion_plot(many) is None
    pairs = confused_pairs(many, 3)
    assert [share for _, _, share in pairs] == sorted((share for _, _, share in confused_pairs(many, 99)), reverse=True)[:3]


def test_the_reliability_diagram_goes_through_the_mean_confidence_and_accuracy_of_each_bin():
    before = reliability_plot(DETAILS, "5-way 1-shot").figure.axes[0].lines[1]
    np.testing.assert_allclose(before.get_xdata(), [(number + 0.5) / 15 for number in range(15)])
    np.testing.assert_allclose(before.get_ydata(), [min(1.0, (number + 2) / 18) for number in range(15)])
    alone = replace(DETAILS, calibration=replace(DETAILS.calibration, after=None, temperature=None, tasks=0))
    assert len(reliability_plot(alone, "5-way 1-shot").figure.axes[0].lines) == 2


def test_neighbors_among_the_features_stay_neighbors_in_the_plane():
    rng = np.random.default_rng(0)
    ways = np.repeat(np.arange(4), 15)
    features = (20 * np.eye(4, 30)[ways] + rng.normal(size=(60, 30))).astype(np.float32)
    points = plane(features)
    distances = np.linalg.norm(points[:, None] - points, axis=2) + 1e9 * np.eye(60)
    assert (ways[distances.argmin(axis=1)] == ways).all()
    np.testing.assert_array_equal(points, plane(features))
    assert plane(np.ones((12, 3), dtype=np.float32)).shape == (12, 2)


def test_the_projection_of_a_task_has_its_support_and_queries():
    table, spec = made_up_features(), EpisodeSpec(ways=3, shots=2, queries=4, tasks=1)
    task = example_task(table, spec, nearest_mean, name="nearest_mean")
    found = project_task(table, task)
    assert found.support.sum() == 6
    assert np.bincount(found.ways).tolist() == [6, 6, 6]
    assert found.class_names == tuple(table.class_names[number] for number in task.episode.classes[0])
    axes = projection_plot(found).figure.axes[0]
    assert sum(len(points.get_offsets()) for points in axes.collections) == 18
    few = example_task(table, replace(spec, queries=1), nearest_mean, name="nearest_mean")
    assert project_task(table, few) is None


def test_names_with_dollars_and_markup_are_text():
    task = made_up_task(made_up_table())
    named = replace(task.projection, class_names=("$x_2$", "a < b", *task.projection.class_names[2:]))
    drawing = svg(projection_plot(named))
    assert "$x_2$" in drawing
    assert "a &lt; b" in drawing


def test_a_thumbnail_is_small_and_of_its_image():
    table = made_up_table(size=84)
    tile = thumbnail(table.images[0], alt="one")
    assert (tile.width, tile.height) == (SIZE, SIZE)
    assert len(tile.source) < 6000
    small = thumbnail(np.zeros((28, 14, 3), dtype=np.uint8), alt="two")
    assert (small.width, small.height) == (SIZE // 2, SIZE) or (small.width, small.height) == (20, 40)
    assert small.source.startswith("data:image/png;base64,")


def test_hard_tasks_are_drawn_worst_class_first_with_what_each_query_was_taken_for():
    table = made_up_table(each=20)
    hard = DETAILS.hardest[0]
    ways = tuple(replace(way, right=15 - number, wrong=((1, 0),) * number) for number, way in enumerate(hard.ways * 2))
    drawn = draw_hard_tasks((replace(hard, ways=ways),), lambda row: table.images[row])[0]
    assert drawn.classes == 10
    assert [way.right for way in drawn.ways] == [6, 7, 8, 9, 10, 11][:MAX_DRAWN]
    assert all(len(way.wrong) <= MAX_DRAWN for way in drawn.ways)
    assert drawn.ways[0].wrong[0].note == ways[0].name


@pytest.mark.parametrize("ways", [2, 40])
def test_tasks_of_few_and_of_many_ways_have_a_projection(ways):
    table = made_up_features(classes=ways, spread=0.5)
    task = example_task(table, EpisodeSpec(ways=ways, shots=2, queries=4, tasks=1), nearest_mean, name="nearest_mean")
    assert torch.from_numpy(project_task(table, task).points).isfinite().all()
