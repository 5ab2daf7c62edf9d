"""Streams by name: repeatable, different, and the same for an image on any number of processes."""

import torch

from s2m2.random import StepStream, generator_for, numpy_generator_for, seed_for


def test_a_seed_is_a_golden_number() -> None:
    # The first 63 bits of SHA-256 over "0/pretrain/step/3" (`printf 0/pretrain/step/3 | sha256sum`). Another number here would
    # mean that no earlier run can be repeated.
    assert seed_for(0, "pretrain", "step", 3) == 5024716716603553052


def test_every_seed_purpose_and_step_has_a_stream_of_its_own() -> None:
    seeds = {seed_for(seed, purpose, step) for seed in range(5) for purpose in ("order", "augment") for step in range(50)}
    assert len(seeds) == 500


def test_seed_zero_differs_between_epochs_and_seeds_within_the_first_epoch() -> None:
    orders = [torch.randperm(100, generator=generator_for(seed, "order", epoch)) for seed in (0, 1) for epoch in (0, 1)]
    assert all(not torch.equal(one, other) for index, one in enumerate(orders) for other in orders[:index])


def test_sampling_leaves_the_global_generators_alone() -> None:
    before = torch.get_rng_state()
    torch.rand(3, generator=generator_for(0, "x"))
    numpy_generator_for(0, "x").random(3)
    assert torch.equal(before, torch.get_rng_state())


def test_the_parts_of_all_processes_are_the_whole_sample() -> None:
    def part(rank: int, world_size: int) -> torch.Tensor:
        stream = StepStream(seed=1, stage="pretrain", step=7, batch_size=8, rank=rank, world_size=world_size)
        return stream.local(torch.rand(8, generator=stream.generator("turns")))

    assert torch.equal(torch.cat([part(rank, 4) for rank in range(4)]), part(0, 1))
