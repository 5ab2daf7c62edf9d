from dataclasses import replace

import pytest
import torch
from torch import Tensor

from s2m2.functional.cosine import CosineWeights, FitSettings, fit_cosine
from s2m2.seeding import generator_for
from tests.reference.cosine_classifier import CosineModel, fit

PAPER = FitSettings(batch_size=4, learning_rate=0.01, momentum=0.9, dampening=0.9, weight_decay=1e-3, scale=2.0)
QUICK = replace(PAPER, learning_rate=0.3, weight_decay=0.02)
"""Moves far in a few epochs, so that every term of a step shows."""

Problem = tuple[Tensor, Tensor, Tensor, Tensor]
"""Initial directions, support, labels, orders."""


def problem(tasks: int = 3, ways: int = 3, shots: int = 2, dim: int = 20, epochs: int = 12) -> Problem:
    generator = generator_for(0, "cosine", tasks, ways, shots, dim)
    initial = (torch.rand(tasks, ways, dim, generator=generator, dtype=torch.float64) * 2 - 1) / dim**0.5
    support = torch.rand(tasks, ways * shots, dim, generator=generator, dtype=torch.float64) ** 2
    labels = torch.stack([torch.randperm(ways * shots, generator=generator) % ways for _ in range(tasks)])
    return initial, support, labels, torch.rand(epochs, ways * shots, generator=generator).argsort(dim=1)


def assert_equals_the_slow_twin(given: Problem, settings: FitSettings, tolerance: float = 1e-10) -> None:
    initial, support, labels, orders = given
    weights = fit_cosine(initial, support, labels, orders, settings)
    logits = weights.logits(support, settings.scale)
    for task in range(len(initial)):
        model = fit(initial[task], support[task], labels[task], orders, settings)
        for fast, slow in (
            (weights.directions[task], model.direction),
            (weights.norms[task], model.norm),
            (logits[task], model(support[task].double())),
        ):
            torch.testing.assert_close(fast.double(), slow.detach(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "settings",
    [
        PAPER,
        QUICK,
        replace(QUICK, batch_size=1),
        replace(QUICK, batch_size=100),
        replace(QUICK, dampening=0.0, learning_rate=0.05),
        replace(QUICK, momentum=0.0),
        replace(QUICK, momentum=0.5, dampening=0.2, weight_decay=0.0, scale=10.0, learning_rate=0.01),
    ],
)
def test_weights_and_logits_equal_those_of_autograd_and_torchs_sgd_task_by_task(settings: FitSettings) -> None:
    assert_equals_the_slow_twin(problem(), settings)


@pytest.mark.parametrize("size", [{"dim": 3}, {"ways": 5, "shots": 1}, {"tasks": 1}, {"ways": 2, "shots": 5}])
def test_weights_equal_the_slow_twins_whether_or_not_the_span_fills_the_space(size: dict[str, int]) -> None:
    assert_equals_the_slow_twin(problem(**size), QUICK)


def test_support_images_that_are_alike_or_empty_do_no_harm() -> None:
    initial, support, labels, orders = problem()
    support[:, 1] = support[:, 0]
    support[:, 2] = 0.0
    assert_equals_the_slow_twin((initial, support, labels, orders), QUICK)


def test_in_float32_the_papers_200_epochs_keep_six_digits_of_the_weights_and_every_prediction() -> None:
    initial, support, labels, orders = problem(tasks=2, ways=5, shots=1, dim=64, epochs=200)
    single = (initial.float(), support.float(), labels, orders)
    assert_equals_the_slow_twin(single, PAPER, tolerance=2e-6)
    exact, rounded = fit_cosine(initial, support, labels, orders, PAPER), fit_cosine(*single, PAPER)
    query = torch.rand(2, 500, 64, generator=generator_for(1), dtype=torch.float64) ** 2
    assert torch.equal(exact.logits(query, 2.0).argmax(-1), rounded.logits(query.float(), 2.0).argmax(-1))


def test_one_step_of_unit_rate_moves_the_weights_by_the_gradient_of_autograd() -> None:
    initial, support, labels, orders = problem(tasks=1, epochs=1)
    settings = FitSettings(batch_size=100, learning_rate=1.0, momentum=0.0, dampening=0.0, weight_decay=0.0, scale=2.0)
    weights = fit_cosine(initial, support, labels, orders, settings)
    model = CosineModel(initial[0], scale=2.0)
    torch.nn.functional.cross_entropy(model(support[0]), labels[0]).backward()
    torch.testing.assert_close(initial[0] - weights.directions[0], model.direction.grad)
    torch.testing.assert_close(initial[0].norm(dim=1) - weights.norms[0], model.norm.grad)


def test_a_task_is_fitted_alike_alone_and_in_a_block() -> None:
    initial, support, labels, orders = problem(tasks=4)
    together = fit_cosine(initial, support, labels, orders, QUICK)
    alone = fit_cosine(initial[2:3], support[2:3], labels[2:3], orders, QUICK)
    torch.testing.assert_close(together.directions[2], alone.directions[0])
    torch.testing.assert_close(together.norms[2], alone.norms[0])


def test_turning_support_start_and_queries_alike_changes_no_logit() -> None:
    initial, support, labels, orders = problem()
    turn = torch.linalg.qr(torch.randn(20, 20, generator=generator_for(2), dtype=torch.float64)).Q
    straight = fit_cosine(initial, support, labels, orders, QUICK).logits(support, 2.0)
    turned = fit_cosine(initial @ turn, support @ turn, labels, orders, QUICK).logits(support @ turn, 2.0)
    torch.testing.assert_close(straight, turned)


def test_renaming_the_classes_renames_the_logits() -> None:
    initial, support, labels, orders = problem()
    names = torch.tensor([2, 0, 1])
    before = fit_cosine(initial, support, labels, orders, QUICK).logits(support, 2.0)
    after = fit_cosine(initial[:, names], support, names.argsort()[labels], orders, QUICK).logits(support, 2.0)
    torch.testing.assert_close(before[..., names], after)


def test_the_length_of_a_feature_vector_does_not_matter() -> None:
    initial, support, labels, orders = problem()
    lengths = torch.rand(3, 6, 1, generator=generator_for(3), dtype=torch.float64) * 100 + 100
    before, after = (fit_cosine(initial, given, labels, orders, QUICK) for given in (1e3 * support, lengths * support))
    torch.testing.assert_close(before.directions, after.directions, rtol=1e-5, atol=1e-6)


def test_logits_equal_the_slow_twins() -> None:
    initial, support, _, _ = problem()
    norms = torch.linspace(0.5, 2.0, 9, dtype=torch.float64).reshape(3, 3)
    logits = CosineWeights(directions=initial, norms=norms).logits(support, scale=3.0)
    for task in range(3):
        model = CosineModel(initial[task], scale=3.0)
        model.norm.data = norms[task]
        torch.testing.assert_close(logits[task], model(support[task]).detach())
