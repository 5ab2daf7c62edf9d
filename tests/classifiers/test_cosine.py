import pytest
import torch
from sklearn.base import clone
from torch import Tensor

from s2m2.classifiers.base import FewShotTasks
from s2m2.classifiers.cosine import CosineClassifier, CosineWeights, fit_cosine
from s2m2.random import generator_for
from tests.reference.cosine_classifier import CosineModel, classify, fit
from tests.reference.evaluate import first, made_up_tasks, made_up_unequal_tasks

SHORT = CosineClassifier(epochs=5, learning_rate=0.2)
PAPER = CosineClassifier()
QUICK = CosineClassifier(learning_rate=0.3, weight_decay=0.02)
"""Moves far in a few epochs, so that every term of a step shows."""

Problem = tuple[Tensor, Tensor, Tensor, Tensor]
"""Initial directions, support, labels, orders."""


def problem(tasks: int = 3, ways: int = 3, shots: int = 2, dim: int = 20, epochs: int = 12) -> Problem:
    generator = generator_for(0, "cosine", tasks, ways, shots, dim)
    initial = (torch.rand(tasks, ways, dim, generator=generator, dtype=torch.float64) * 2 - 1) / dim**0.5
    support = torch.rand(tasks, ways * shots, dim, generator=generator, dtype=torch.float64) ** 2
    labels = torch.stack([torch.randperm(ways * shots, generator=generator) % ways for _ in range(tasks)])
    return initial, support, labels, torch.rand(epochs, tasks, ways * shots, generator=generator).argsort(dim=2)


def changed_settings(**changes: float) -> CosineClassifier:
    return clone(QUICK).set_params(**changes)


def assert_equals_the_slow_twin(inputs: Problem, settings: CosineClassifier, tolerance: float = 1e-10) -> None:
    initial, support, labels, orders = inputs
    weights = fit_cosine(initial, support, labels, orders, settings)
    logits = weights.scores(support)
    for task in range(len(initial)):
        model = fit(initial[task], support[task], labels[task], orders[:, task], settings)
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
        changed_settings(batch_size=1),
        changed_settings(batch_size=100),
        changed_settings(dampening=0.0, learning_rate=0.05),
        changed_settings(momentum=0.0),
        changed_settings(momentum=0.5, dampening=0.2, weight_decay=0.0, scale=10.0, learning_rate=0.01),
    ],
)
def test_weights_and_logits_equal_those_of_autograd_and_torchs_sgd_task_by_task(settings: CosineClassifier) -> None:
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
    assert torch.equal(exact.scores(query).argmax(-1), rounded.scores(query.float()).argmax(-1))


def test_one_step_of_unit_rate_moves_the_weights_by_the_gradient_of_autograd() -> None:
    initial, support, labels, orders = problem(tasks=1, epochs=1)
    settings = CosineClassifier(batch_size=100, learning_rate=1.0, momentum=0.0, dampening=0.0, weight_decay=0.0, scale=2.0)
    weights = fit_cosine(initial, support, labels, orders, settings)
    model = CosineModel(initial[0], scale=2.0)
    torch.nn.functional.cross_entropy(model(support[0]), labels[0]).backward()
    torch.testing.assert_close(initial[0] - weights.directions[0], model.direction.grad)
    torch.testing.assert_close(initial[0].norm(dim=1) - weights.norms[0], model.norm.grad)


def test_a_task_is_fitted_alike_alone_and_in_a_batch() -> None:
    initial, support, labels, orders = problem(tasks=4)
    together = fit_cosine(initial, support, labels, orders, QUICK)
    alone = fit_cosine(initial[2:3], support[2:3], labels[2:3], orders[:, 2:3], QUICK)
    torch.testing.assert_close(together.directions[2], alone.directions[0])
    torch.testing.assert_close(together.norms[2], alone.norms[0])


def test_rotating_support_start_and_queries_alike_changes_no_logit() -> None:
    initial, support, labels, orders = problem()
    rotation = torch.linalg.qr(torch.randn(20, 20, generator=generator_for(2), dtype=torch.float64)).Q
    straight = fit_cosine(initial, support, labels, orders, QUICK).scores(support)
    rotated = fit_cosine(initial @ rotation, support @ rotation, labels, orders, QUICK).scores(support @ rotation)
    torch.testing.assert_close(straight, rotated)


def test_renaming_the_classes_renames_the_logits() -> None:
    initial, support, labels, orders = problem()
    names = torch.tensor([2, 0, 1])
    before = fit_cosine(initial, support, labels, orders, QUICK).scores(support)
    after = fit_cosine(initial[:, names], support, names.argsort()[labels], orders, QUICK).scores(support)
    torch.testing.assert_close(before[..., names], after)


def test_the_length_of_a_feature_vector_does_not_matter() -> None:
    initial, support, labels, orders = problem()
    lengths = torch.rand(3, 6, 1, generator=generator_for(3), dtype=torch.float64) * 100 + 100
    before, after = (fit_cosine(initial, features, labels, orders, QUICK) for features in (1e3 * support, lengths * support))
    torch.testing.assert_close(before.directions, after.directions, rtol=1e-5, atol=1e-6)


def test_logits_equal_the_slow_twins() -> None:
    initial, support, _, _ = problem()
    norms = torch.linspace(0.5, 2.0, 9, dtype=torch.float64).reshape(3, 3)
    logits = CosineWeights(directions=initial, norms=norms, scale=3.0).scores(support)
    for task in range(3):
        model = CosineModel(initial[task], scale=3.0)
        model.norm.data = norms[task]
        torch.testing.assert_close(logits[task], model(support[task]).detach())


@pytest.mark.parametrize("tasks", [made_up_tasks(3, shots=1), made_up_tasks(3, shots=3), made_up_unequal_tasks(3)])
def test_scores_equal_a_plain_loop_over_tasks_with_the_same_random_numbers(tasks: FewShotTasks) -> None:
    scores = SHORT(tasks, generator_for(7))
    expected = classify(tasks, generator_for(7), SHORT)
    torch.testing.assert_close(scores.double(), expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(scores.argmax(-1), expected.argmax(-1))


def test_the_papers_schedule_gives_the_predictions_of_a_plain_loop_over_tasks() -> None:
    tasks, classifier = made_up_tasks(1, shots=1), CosineClassifier()
    scores = classifier(tasks, generator_for(7))
    assert torch.equal(scores.argmax(-1), classify(tasks, generator_for(7), classifier).argmax(-1))


def test_the_first_tasks_of_a_batch_score_alike_however_many_follow() -> None:
    tasks, classifier = made_up_tasks(40), SHORT
    torch.testing.assert_close(classifier(tasks, generator_for(7))[:7], classifier(first(tasks, 7), generator_for(7)))


def test_another_stream_gives_other_scores() -> None:
    tasks, classifier = made_up_tasks(), SHORT
    assert not torch.allclose(classifier(tasks, generator_for(7)), classifier(tasks, generator_for(8)), atol=1e-3)


def test_classes_in_clusters_of_their_own_are_told_apart_without_error() -> None:
    tasks = made_up_tasks(8, ways=5, shots=1, queries=20, dim=16, spread=0.02)
    predicted = CosineClassifier()(tasks, generator_for(0)).argmax(-1)
    assert torch.equal(predicted, torch.arange(5).repeat_interleave(20).expand(8, 100))


def test_the_scale_bounds_the_logits_of_an_untrained_classifier() -> None:
    classifier = CosineClassifier(epochs=1, learning_rate=1e-9, scale=3.0)
    assert 0 < classifier(made_up_tasks(), generator_for(7)).abs().max() <= 3.0  # no start direction is longer than 1
