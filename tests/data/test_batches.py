"""Batches: whole, shuffled by seed and epoch, shared without overlap."""

import pytest
import torch

from s2m2.data.batches import epoch_order, fetch, local_batch, ordered_batches, resident, steps_per_epoch
from s2m2.errors import InputError
from s2m2.seeding import StepStream


def test_an_epoch_meets_each_picture_at_most_once() -> None:
    order = epoch_order(103, seed=0, stage="pretrain", epoch=0)
    streams = [
        StepStream(seed=0, stage="pretrain", step=step, batch_size=10, rank=rank, world_size=2) for step in range(10) for rank in (0, 1)
    ]
    met = torch.cat([local_batch(order, stream.step, stream) for stream in streams])
    assert len(met) == steps_per_epoch(103, 10) * 10 == 100
    assert len(met.unique()) == 100


def test_what_is_left_out_changes_with_the_epoch() -> None:
    left = [set(epoch_order(103, 0, "pretrain", epoch)[100:].tolist()) for epoch in range(4)]
    assert len({frozenset(rest) for rest in left}) == 4


def test_too_few_pictures_for_a_batch_is_an_error_that_says_so() -> None:
    with pytest.raises(InputError, match="12 base pictures, too few for a batch size of 16"):
        steps_per_epoch(12, 16)


def test_ordered_batches_cover_everything_once() -> None:
    assert [item for part in ordered_batches(10, 4) for item in range(10)[part]] == list(range(10))


def test_fetching_keeps_the_order_of_the_rows() -> None:
    images = torch.arange(5, dtype=torch.uint8)[:, None, None, None].expand(5, 2, 2, 3)
    device = torch.device("cpu")
    assert fetch(resident(images, device), torch.tensor([3, 1]), device)[:, 0, 0, 0].tolist() == [3, 1]
