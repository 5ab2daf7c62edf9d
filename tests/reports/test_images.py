import base64
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from s2m2.data.catalog import ImageDatasets
from s2m2.data.episodes import EpisodeIndices
from s2m2.evaluation import evaluate
from s2m2.evaluation.features import FeatureSet
from s2m2.reporting.images import FRAME, LARGEST, RIGHT, WRONG, DrawnTask, Tile, draw_task, image_tile, resized, sample_splits
from tests.reporting.made_up import made_up_table, made_up_task


def pixels(tile: Tile) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(tile.source.removeprefix("data:image/png;base64,")))))


def test_right_queries_have_green_frames_and_wrong_ones_red_frames_with_the_predicted_class():
    example = made_up_task(made_up_table())
    for way, row in enumerate(draw_task(example)):
        for answer, tile in zip(example.predicted[way], row.queries, strict=True):
            right = answer == way
            drawn = pixels(tile)
            border = np.ones(drawn.shape[:2], dtype=bool)
            border[FRAME:-FRAME, FRAME:-FRAME] = False
            assert (drawn[border] == (RIGHT if right else WRONG)).all()
            assert tile.note == ("" if right else example.class_names[answer])


def test_the_image_inside_a_frame_is_the_query_with_every_pixel_a_square():
    example = made_up_task(made_up_table())
    drawn = pixels(draw_task(example)[2].queries[3])[FRAME:-FRAME, FRAME:-FRAME]
    np.testing.assert_array_equal(drawn[::2, ::2], example.query[2][3])
    np.testing.assert_array_equal(drawn[1::2, 1::2], example.query[2][3])


def test_support_images_have_no_frame():
    example = made_up_task(made_up_table())
    np.testing.assert_array_equal(pixels(draw_task(example)[1].support[0])[::2, ::2], example.support[1][0])


def test_recognised_queries_are_counted_though_not_all_are_drawn():
    example = made_up_task(made_up_table(each=40), wrong=30)
    rows = draw_task(example)
    assert sum(row.right for row in rows) == example.right == 5 * 39 - 30
    assert all(row.total == 39 and len(row.queries) == 15 for row in rows)


def test_a_task_of_many_classes_is_drawn_in_part():
    example = made_up_task(made_up_table())
    wide = replace(
        example,
        class_names=tuple(map(str, range(20))),
        support=example.support * 4,
        query=example.query * 4,
        predicted=example.predicted * 4,
    )
    assert len(draw_task(wide)) == 10


@pytest.mark.parametrize(("side", "drawn"), [(28, 56), (32, 64), (84, 84), (300, LARGEST)])
def test_small_images_are_enlarged_by_a_whole_factor_and_large_ones_reduced(size, drawn):
    assert resized(np.zeros((size, size, 3), dtype=np.uint8)).shape == (drawn, drawn, 3)


def test_a_tile_knows_its_size():
    tile = image_tile(np.zeros((32, 16, 3), dtype=np.uint8), alt="black", frame=RIGHT)
    assert pixels(tile).shape == (tile.height, tile.width, 3)


def test_samples_show_classes_of_each_split_with_their_own_images():
    table = made_up_table()
    samples = sample_splits(ImageDatasets.of_one(table), classes=2, images=3)
    assert [(part.split, part.classes, part.images) for part in samples] == [("base", 5, 40), ("validation", 2, 16), ("novel", 3, 24)]
    for part in samples:
        assert len(part.sample) == 2
        for shown in part.sample:
            number = table.class_names.index(shown.name)
            assert number in table.splits[part.split]
            own = table.images[table.labels == number]
            assert len(shown.tiles) == 3
            assert all((own == pixels(tile)[::2, ::2]).all(axis=(1, 2, 3)).any() for tile in shown.tiles)


def test_a_split_without_classes_is_left_out():
    table = made_up_table()
    assert [part.split for part in sample_splits(ImageDatasets.of_one(replace(table, splits={**table.splits, "validation": ()})))] == [
        "base",
        "novel",
    ]


def test_the_images_of_an_evaluated_task_are_those_of_its_rows():
    table = made_up_table()
    rows = torch.from_numpy(table.rows("novel"))
    known = FeatureSet(
        features=torch.zeros(len(rows), 2),
        labels=torch.from_numpy(table.labels)[rows],
        rows=rows,
        class_names=table.class_names,
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
    task = evaluate.ExampleTask(episode=episode, predicted=torch.tensor([0, 1, 1, 0]))
    example = DrawnTask.from_evaluation(lambda row: table.images[row], known, task, classifier="cosine", features="finetune")
    assert example.class_names == ("class 9", "class 7")
    for drawn, expected in ((example.support, [[72], [58]]), (example.query, [[73, 76, 79], [56]])):
        for images, rows_of_way in zip(drawn, expected, strict=True):
            np.testing.assert_array_equal(images, table.images[rows_of_way])
    assert (example.right, example.queries) == (3, 4)
