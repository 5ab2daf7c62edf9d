import base64
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from s2m2.classifiers import NearestMean
from s2m2.evaluation.accuracies import ExampleTask, example_task
from s2m2.evaluation.features import FeatureSet
from s2m2.reports.images import (
    CORRECT,
    FRAME,
    MAX_HARD,
    MAX_TILE_SIZE,
    THUMBNAIL_SIZE,
    WRONG,
    DrawnTask,
    Tile,
    hard_task_tiles,
    image_tile,
    project,
    project_task,
    projection_plot,
    resized,
    sample_splits,
    task_tiles,
    thumbnail,
)
from s2m2.reports.plots import svg
from s2m2.tasks.episodes import EpisodeIndices, EpisodeSpec
from tests.data.one_dataset import one_dataset
from tests.evaluation.trials import made_up_features
from tests.reports.made_up import made_up_dataset, made_up_details, made_up_task


def pixels(tile: Tile) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(tile.source.removeprefix("data:image/png;base64,")))))


def test_right_queries_have_green_frames_and_wrong_ones_red_frames_with_the_predicted_class():
    example = made_up_task(made_up_dataset())
    for way, row in enumerate(task_tiles(example)):
        for answer, tile in zip(example.predicted[way], row.queries, strict=True):
            right = answer == way
            image = pixels(tile)
            border = np.ones(image.shape[:2], dtype=bool)
            border[FRAME:-FRAME, FRAME:-FRAME] = False
            assert (image[border] == (CORRECT if right else WRONG)).all()
            assert tile.note == ("" if right else example.class_names[answer])


def test_the_image_inside_a_frame_is_the_query_with_every_pixel_a_square():
    example = made_up_task(made_up_dataset())
    image = pixels(task_tiles(example)[2].queries[3])[FRAME:-FRAME, FRAME:-FRAME]
    np.testing.assert_array_equal(image[::2, ::2], example.query[2][3])
    np.testing.assert_array_equal(image[1::2, 1::2], example.query[2][3])


def test_support_images_have_no_frame():
    example = made_up_task(made_up_dataset())
    np.testing.assert_array_equal(pixels(task_tiles(example)[1].support[0])[::2, ::2], example.support[1][0])


def test_correct_queries_are_counted_even_if_not_all_are_shown():
    example = made_up_task(made_up_dataset(each=40), wrong=30)
    rows = task_tiles(example)
    assert sum(row.correct for row in rows) == example.correct == 5 * 39 - 30
    assert all(row.total == 39 and len(row.queries) == 15 for row in rows)


def test_a_task_of_many_classes_is_shown_in_part():
    example = made_up_task(made_up_dataset())
    wide = replace(
        example,
        class_names=tuple(map(str, range(20))),
        support=example.support * 4,
        query=example.query * 4,
        predicted=example.predicted * 4,
    )
    assert len(task_tiles(wide)) == 10


@pytest.mark.parametrize(("size", "edge"), [(28, 56), (32, 64), (84, 84), (300, MAX_TILE_SIZE)])
def test_small_images_are_enlarged_by_a_whole_factor_and_large_ones_reduced(size, edge):
    assert resized(np.zeros((size, size, 3), dtype=np.uint8)).shape == (edge, edge, 3)


def test_a_tile_knows_its_size():
    tile = image_tile(np.zeros((32, 16, 3), dtype=np.uint8), alt="black", frame=CORRECT)
    assert pixels(tile).shape == (tile.height, tile.width, 3)


def test_samples_show_classes_of_each_split_with_their_own_images():
    dataset = made_up_dataset()
    samples = sample_splits(one_dataset(dataset), classes=2, images=3)
    assert [(part.split, part.classes, part.images) for part in samples] == [("base", 5, 40), ("validation", 2, 16), ("novel", 3, 24)]
    for part in samples:
        assert len(part.sample) == 2
        for shown in part.sample:
            number = dataset.class_names.index(shown.name)
            assert number in dataset.splits[part.split]
            own = dataset.images[dataset.labels == number]
            assert len(shown.tiles) == 3
            assert all((own == pixels(tile)[::2, ::2]).all(axis=(1, 2, 3)).any() for tile in shown.tiles)


def test_a_split_without_classes_is_left_out():
    dataset = made_up_dataset()
    assert [part.split for part in sample_splits(one_dataset(replace(dataset, splits={**dataset.splits, "validation": ()})))] == [
        "base",
        "novel",
    ]


def test_the_images_of_an_evaluated_task_are_those_of_its_indices():
    dataset = made_up_dataset()
    rows = torch.from_numpy(dataset.indices("novel"))
    feature_set = FeatureSet(
        features=torch.zeros(len(rows), 2),
        labels=torch.from_numpy(dataset.labels)[rows],
        indices=rows,
        class_names=dataset.class_names,
        fingerprint="f",
    )
    # Classes 9 and 7, of which the features hold rows 16 to 23 and 0 to 7; three queries are of the first class, one of the second.
    episode = EpisodeIndices(
        classes=torch.tensor([[9, 7]]),
        support=torch.tensor([[16, 2]]),
        support_ways=torch.tensor([[0, 1]]),
        query=torch.tensor([[17, 20, 0, 23]]),
        query_ways=torch.tensor([[0, 0, 1, 0]]),
        shots=1,
    )
    task = ExampleTask(episode=episode, predicted=torch.tensor([0, 1, 1, 0]))
    example = DrawnTask.from_evaluation(lambda row: dataset.images[row], feature_set, task, classifier="cosine", features="finetune")
    assert example.class_names == ("class 9", "class 7")
    for shown, expected in ((example.support, [[72], [58]]), (example.query, [[73, 76, 79], [56]])):
        for images, rows_of_way in zip(shown, expected, strict=True):
            np.testing.assert_array_equal(images, dataset.images[rows_of_way])
    assert (example.correct, example.queries) == (3, 4)


def test_neighbors_among_the_features_stay_neighbors_in_the_plane():
    rng = np.random.default_rng(0)
    ways = np.repeat(np.arange(4), 15)
    features = (20 * np.eye(4, 30)[ways] + rng.normal(size=(60, 30))).astype(np.float32)
    points = project(features)
    distances = np.linalg.norm(points[:, None] - points, axis=2) + 1e9 * np.eye(60)
    assert (ways[distances.argmin(axis=1)] == ways).all()
    np.testing.assert_array_equal(points, project(features))
    assert project(np.ones((12, 3), dtype=np.float32)).shape == (12, 2)


def test_the_projection_of_a_task_has_its_support_and_queries():
    features, spec = made_up_features(), EpisodeSpec(ways=3, shots=2, queries=4, tasks=1)
    task = example_task(features, spec, NearestMean())
    projection = project_task(features, task)
    assert projection.support.sum() == 6
    assert np.bincount(projection.ways).tolist() == [6, 6, 6]
    assert projection.class_names == tuple(features.class_names[number] for number in task.episode.classes[0])
    axes = projection_plot(projection).figure.axes[0]
    assert sum(len(points.get_offsets()) for points in axes.collections) == 18
    few = example_task(features, replace(spec, queries=1), NearestMean())
    assert project_task(features, few) is None


def test_names_with_dollars_and_markup_are_text():
    task = made_up_task(made_up_dataset())
    named = replace(task.projection, class_names=("$x_2$", "a < b", *task.projection.class_names[2:]))
    drawing = svg(projection_plot(named))
    assert "$x_2$" in drawing
    assert "a &lt; b" in drawing


def test_a_thumbnail_is_small_and_of_its_image():
    dataset = made_up_dataset(size=84)
    tile = thumbnail(dataset.images[0], alt="one")
    assert (tile.width, tile.height) == (THUMBNAIL_SIZE, THUMBNAIL_SIZE)
    assert len(tile.source) < 6000
    small = thumbnail(np.zeros((28, 14, 3), dtype=np.uint8), alt="two")
    assert (small.width, small.height) == (THUMBNAIL_SIZE // 2, THUMBNAIL_SIZE) or (small.width, small.height) == (20, 40)
    assert small.source.startswith("data:image/png;base64,")


def test_hard_tasks_show_the_worst_class_first_and_the_predicted_class_of_each_query():
    dataset = made_up_dataset(each=20)
    hard = made_up_details(np.full(400, 0.5)).hardest[0]
    ways = tuple(replace(way, right=15 - number, wrong=((1, 0),) * number) for number, way in enumerate(hard.ways * 2))
    tiles = hard_task_tiles(replace(hard, ways=ways), lambda index: dataset.images[index])
    assert tiles.classes == 10
    assert [way.correct for way in tiles.ways] == [6, 7, 8, 9, 10, 11][:MAX_HARD]
    assert all(len(way.queries) <= MAX_HARD for way in tiles.ways)
    assert tiles.ways[0].queries[0].note == ways[0].name


@pytest.mark.parametrize("ways", [2, 40])
def test_tasks_of_few_and_of_many_ways_have_a_projection(ways):
    features = made_up_features(classes=ways, spread=0.5)
    task = example_task(features, EpisodeSpec(ways=ways, shots=2, queries=4, tasks=1), NearestMean())
    assert torch.from_numpy(project_task(features, task).points).isfinite().all()
