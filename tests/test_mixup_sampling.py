"""Who is mixed with whom: reorderings within blocks, the same on any number of processes, and circles through classes."""

import pytest
import torch

from s2m2.mixup import sample_partners, sample_partners_of_class
from s2m2.random import generator_for


@pytest.mark.parametrize(("batch", "world"), [(1, 1), (7, 1), (16, 1), (64, 1), (64, 8), (96, 3), (48, 6), (250, 2)])
def test_partners_are_a_reordering_within_the_part_of_each_process(batch: int, world: int) -> None:
    for step in range(20):
        (partners,) = sample_partners(batch, generator_for(0, step), world)
        size = batch // world
        assert partners.sort().values.tolist() == list(range(batch))
        assert torch.equal(partners // size, torch.arange(batch) // size)


@pytest.mark.parametrize("batch", [64, 128, 256])
@pytest.mark.parametrize("partners", [1, 3])
def test_the_same_pairs_meet_on_1_2_4_and_8_processes(batch: int, partners: int) -> None:
    alone = sample_partners(batch, generator_for(5), partners=partners)
    assert all(torch.equal(sample_partners(batch, generator_for(5), world, partners), alone) for world in (2, 4, 8))


def test_all_pairs_of_a_block_are_equally_likely() -> None:
    samples, batch, block = 2000, 64, 8
    within = torch.block_diag(*[torch.ones(block, block) - torch.eye(block)] * (batch // block)).bool()
    probability = 1 / (block - 1)
    expected, deviation = samples * probability, (samples * probability * (1 - probability)) ** 0.5
    meetings = torch.zeros(2, batch, batch)
    for step in range(samples):
        sampled = sample_partners(batch, generator_for(0, step), partners=2)
        for number, partners in enumerate(sampled):
            meetings[number, torch.arange(batch), partners] += 1
    for counts in meetings:
        assert (counts[within] - expected).abs().max() < 5 * deviation
        assert counts[~within].sum() == 0


@pytest.mark.parametrize("batch", [2, 9, 64])
def test_no_image_is_its_own_partner_and_none_has_one_partner_twice(batch: int) -> None:
    count = min(3, batch - 1)
    for step in range(50):
        partners = sample_partners(batch, generator_for(1, step), partners=count)
        together = torch.cat([torch.arange(batch)[None], partners])
        assert all(len(set(column)) == count + 1 for column in together.T.tolist())


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ValueError, match="64 cannot be shared equally by 3"):
        sample_partners(64, generator_for(0), 3)


def test_too_many_partners_for_a_block_are_refused() -> None:
    with pytest.raises(ValueError, match="8 partners for each image need more than the 8 images"):
        sample_partners(64, generator_for(0), partners=8)


def test_partners_come_from_their_generator_alone() -> None:
    before = torch.random.get_rng_state()
    assert torch.equal(sample_partners(64, generator_for(1)), sample_partners(64, generator_for(1)))
    assert not torch.equal(sample_partners(64, generator_for(1)), sample_partners(64, generator_for(2)))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_partners_of_a_class_are_others_of_it_where_there_are_any() -> None:
    for step in range(50):
        generator = generator_for(2, step)
        labels = torch.randint(9, (32,), generator=generator)
        alone = torch.bincount(labels, minlength=9)[labels] == 1
        for partners in sample_partners_of_class(labels, torch.rand(2, 32, generator=generator)):
            assert partners.sort().values.tolist() == list(range(32))
            assert torch.equal(labels[partners], labels)
            assert torch.equal(partners == torch.arange(32), alone)


def test_all_pairs_of_a_class_are_equally_likely() -> None:
    labels, samples = torch.tensor([1, 0, 1, 1, 0, 1]), 2000
    meetings = torch.zeros(6, 6)
    for step in range(samples):
        (partners,) = sample_partners_of_class(labels, torch.rand(1, 6, generator=generator_for(3, step)))
        meetings[torch.arange(6), partners] += 1
    expected = torch.tensor(
        [[samples / 3 if a == 1 and b == 1 and i != j else 0 for j, b in enumerate(labels)] for i, a in enumerate(labels)]
    )
    expected[1, 4] = expected[4, 1] = samples
    assert (meetings - expected).abs().max() < 5 * (samples * 2 / 9) ** 0.5
