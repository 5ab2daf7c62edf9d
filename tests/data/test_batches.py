"""Base images, the holdout and label noise; batches: whole, shuffled by seed and epoch, disjoint between processes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from s2m2.data.batches import (
    BatchReader,
    StepItems,
    epoch_order,
    fetch,
    local_batch,
    resident,
    split_base,
    steps_per_epoch,
)
from s2m2.data.dataset import ImageDataset, LabeledImages
from s2m2.errors import InputError
from s2m2.random import StepStream
from s2m2.recipe import DataConfig

IMAGES, CLASSES = 40, 5


def dataset(sizes: tuple[int, ...] = (IMAGES,) * (CLASSES + 1)) -> ImageDataset:
    """Classes in no order of their numbers; the last is a novel one."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return ImageDataset(
        name="small",
        images=np.zeros((len(labels), 4, 4, 3), dtype=np.uint8),
        labels=np.random.default_rng(0).permutation(labels),
        class_names=tuple("abcdefgh"[: len(sizes)]),
        splits={"base": tuple(reversed(range(len(sizes) - 1))), "novel": (len(sizes) - 1,)},
        digest="0",
    )


def test_all_base_images_are_trained_on_with_their_classes_by_default() -> None:
    whole, split = dataset(), split_base(dataset(), DataConfig(), seed=0)
    assert split.indices.tolist() == whole.indices("base").tolist()
    assert split.labels.tolist() == whole.labels[whole.indices("base")].tolist()
    assert torch.equal(split.labels, split.true_labels)
    assert not len(split.holdout_indices)


def test_the_fraction_held_out_is_of_every_class_and_never_trained_on() -> None:
    split = split_base(dataset(), DataConfig(holdout_fraction=0.2), seed=0)
    assert torch.bincount(split.holdout_labels).tolist() == [8] * CLASSES
    assert torch.bincount(split.labels).tolist() == [32] * CLASSES
    assert torch.cat([split.indices, split.holdout_indices]).sort().values.tolist() == dataset().indices("base").tolist()
    assert dataset().labels[split.holdout_indices].tolist() == split.holdout_labels.tolist()


def test_the_fraction_of_wrong_labels_is_exact_and_spread_over_the_other_classes() -> None:
    split = split_base(dataset(), DataConfig(holdout_fraction=0.2, label_noise=0.5), seed=0)
    wrong = split.labels != split.true_labels
    assert int(wrong.sum()) == 80
    shifts = (split.labels - split.true_labels)[wrong] % CLASSES
    assert torch.bincount(shifts, minlength=CLASSES)[0] == 0
    assert torch.bincount(shifts, minlength=CLASSES)[1:].min() > 8
    clean = split_base(dataset(), DataConfig(holdout_fraction=0.2), seed=0)
    assert torch.equal(clean.true_labels, split.true_labels)
    assert torch.equal(clean.holdout_indices, split.holdout_indices)


def test_the_seed_decides_who_is_held_out_and_corrupted() -> None:
    config = DataConfig(holdout_fraction=0.2, label_noise=0.5)
    one, same, other = (split_base(dataset(), config, seed) for seed in (0, 0, 1))
    assert torch.equal(one.holdout_indices, same.holdout_indices)
    assert torch.equal(one.labels, same.labels)
    assert not torch.equal(one.holdout_indices, other.holdout_indices)
    assert not torch.equal(one.labels != one.true_labels, other.labels != other.true_labels)


def test_a_class_with_nothing_left_to_train_on_is_named() -> None:
    with pytest.raises(InputError, match=r"--data\.holdout_fraction is 0\.9, which leaves class c no image to train on"):
        split_base(dataset((10, 10, 2, 10)), DataConfig(holdout_fraction=0.9), seed=0)


@pytest.mark.parametrize(("setting", "value"), [("holdout_fraction", 1.0), ("holdout_fraction", -0.1), ("label_noise", 1.5)])
def test_fractions_out_of_range_are_refused(setting: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"--data\.{setting} is"):
        DataConfig(**{setting: value})  # type: ignore[arg-type]


def test_an_epoch_meets_each_image_at_most_once() -> None:
    order = epoch_order(103, seed=0, stage="pretrain", epoch=0)
    streams = [
        StepStream(seed=0, stage="pretrain", step=step, batch_size=10, rank=rank, world_size=2) for step in range(10) for rank in (0, 1)
    ]
    items = torch.cat([local_batch(order, stream.step, stream) for stream in streams])
    assert len(items) == steps_per_epoch(103, 10) * 10 == 100
    assert len(items.unique()) == 100


def test_what_is_left_out_changes_with_the_epoch() -> None:
    left = [set(epoch_order(103, 0, "pretrain", epoch)[100:].tolist()) for epoch in range(4)]
    assert len({frozenset(rest) for rest in left}) == 4


def test_too_few_images_for_a_batch_is_an_error_that_says_so() -> None:
    with pytest.raises(InputError, match="12 base images, too few for a batch size of 16"):
        steps_per_epoch(12, 16)


def test_fetching_keeps_the_order_of_the_rows() -> None:
    images = torch.arange(5, dtype=torch.uint8)[:, None, None, None].expand(5, 2, 2, 3)
    device = torch.device("cpu")
    assert fetch(resident(images, device), torch.tensor([3, 1]), device)[:, 0, 0, 0].tolist() == [3, 1]


def stream_of(step: int, rank: int = 0, world_size: int = 1) -> StepStream:
    return StepStream(seed=3, stage="pretrain", step=step, batch_size=10, rank=rank, world_size=world_size)


def mapped_images(folder: Path) -> Tensor:
    """57 images in a memory map, each of one value."""
    images = np.lib.format.open_memmap(folder / "images.npy", mode="w+", dtype=np.uint8, shape=(57, 4, 4, 3))
    images[:] = np.arange(57, dtype=np.uint8)[:, None, None, None]
    return torch.from_numpy(images)


def test_two_batches_of_a_step_have_orders_of_their_own() -> None:
    one, other = (epoch_order(53, 3, "pretrain", 0, batch) for batch in (0, 1))
    assert not torch.equal(one, other)
    assert torch.equal(one.sort().values, other.sort().values)


def reader(images: Tensor, end: int = 15, batches: int = 1) -> BatchReader:
    """Steps over the 53 last images, whose classes are twice their indices: 5 steps an epoch."""
    indices = torch.arange(4, 57)
    items = LabeledImages(images=images, indices=indices, labels=2 * indices, proportions=torch.arange(57) / 8)
    return BatchReader(items, stream_of, torch.device("cpu"), batches=batches, end=end)


@pytest.mark.parametrize("batches", [1, 2])
def test_what_is_read_ahead_is_what_a_step_would_fetch_itself(tmp_path: Path, batches: int) -> None:
    images, indices = mapped_images(tmp_path), torch.arange(4, 57)
    read = reader(images, batches=batches)
    for step in range(15):  # three epochs
        orders = [epoch_order(53, 3, "pretrain", step // 5, batch) for batch in range(batches)]
        items = torch.cat([local_batch(order, step % 5, stream_of(step)) for order in orders])
        batch = read(step)
        assert torch.equal(batch.images, images[indices[items]])
        assert torch.equal(batch.labels, 2 * indices[items])
        assert batch.proportions is not None
        assert torch.equal(batch.proportions, indices[items] / 8)


def test_a_run_that_is_continued_reads_from_where_it_left_off(tmp_path: Path) -> None:
    images = mapped_images(tmp_path)
    whole = reader(images)
    expected = [whole(step) for step in range(15)]
    for start in (0, 7, 12):
        continued = reader(images)
        for step in range(start, 15):
            assert torch.equal(continued(step).images, expected[step].images)
    for step in (9, 4, 4, 14):  # nothing was read ahead for these
        assert torch.equal(whole(step).images, expected[step].images)


def test_nothing_is_read_beyond_the_last_step_nor_changed_behind_a_steps_back(tmp_path: Path) -> None:
    asked: list[int] = []

    def watched(step: int) -> StepStream:
        asked.append(step)
        return stream_of(step)

    indices = torch.arange(57)
    items = LabeledImages(images=mapped_images(tmp_path), indices=indices, labels=indices)
    read = BatchReader(items, watched, torch.device("cpu"), end=4)
    first = read(0)
    copy = first.images.clone()
    for step in range(1, 4):
        read(step)
    assert asked == [0, 1, 2, 3]
    assert torch.equal(first.images, copy)


def test_an_image_that_cannot_be_read_is_an_error_in_the_step_that_needs_it() -> None:
    def broken(step: int) -> StepStream:
        if step == 1:
            raise OSError("no such block")
        return stream_of(step)

    indices = torch.arange(20)
    items = LabeledImages(images=torch.zeros(20, 2, 2, 3, dtype=torch.uint8), indices=indices, labels=indices)
    read = BatchReader(items, broken, torch.device("cpu"), end=4)
    read(0)
    with pytest.raises(OSError, match="no such block"):
        read(1)


def test_processes_fraction_the_items_of_a_step() -> None:
    whole = StepItems(53, stream_of, 1, torch.device("cpu"))
    parts = [StepItems(53, lambda step, rank=rank: stream_of(step, rank, 2), 1, torch.device("cpu")) for rank in (0, 1)]
    for step in (0, 4, 5, 11):
        assert torch.equal(torch.cat([part(step) for part in parts]), whole(step))
