from dataclasses import replace

import numpy as np
import pytest
import torch

from s2m2.evaluation.calibration import BINS, calibration_error, reliability_bins
from s2m2.evaluation.outcomes import HARDEST, confidences, measure_outcomes, task_accuracies
from s2m2.tasks.episodes import OPEN_SET
from s2m2.tasks.sampler import TaskSampler, sample_tasks
from tests.evaluation.trials import SPEC, made_up_features, outcomes_of, score_one, scorer
from tests.reference import outcomes as slow

FEATURES = made_up_features()


def loop_queries():
    """The tasks, and a function with the scores of one of them."""
    return sample_tasks(FEATURES.labels, SPEC), lambda episodes, task: score_one(FEATURES, episodes, task)


def test_the_confusion_matrix_equals_that_of_scikit_learn_over_all_tasks() -> None:
    outcomes = outcomes_of(FEATURES)
    assert outcomes.classes.tolist() == sorted(set(FEATURES.labels.tolist()))
    assert outcomes.confusion.tolist() == slow.confusion(*loop_queries(), outcomes.classes.tolist())
    assert 0.3 < float(outcomes.confusion.diagonal().sum() / outcomes.confusion.sum()) < 0.95


def test_accuracies_and_class_sums_follow_from_each_task() -> None:
    outcomes, (episodes, score) = outcomes_of(FEATURES), loop_queries()
    right = torch.zeros(SPEC.tasks)
    for task, _, way, scores in slow.queries(episodes, score):
        right[task] += np.argmax(scores) == way
    np.testing.assert_allclose(outcomes.accuracies, right / (SPEC.ways * SPEC.queries))
    for position, number in enumerate(outcomes.classes.tolist()):
        having = (episodes.classes == number).any(1)
        assert outcomes.class_tasks[position] == having.sum()
        assert float(outcomes.class_sums[position]) == pytest.approx(float(outcomes.accuracies[having].sum()))


def test_reliability_and_likelihood_equal_a_loop_over_queries_at_both_temperatures() -> None:
    outcomes, (episodes, score) = outcomes_of(FEATURES, temperature=3.0), loop_queries()
    for position, temperature in enumerate((1.0, 3.0)):
        predictions = [(slow.probabilities(scores, temperature), way) for _, _, way, scores in slow.queries(episodes, score)]
        confidence, right = zip(*((max(values), int(np.argmax(values)) == way) for values, way in predictions), strict=True)
        expected = slow.calibration_error(list(confidence), list(right))
        assert calibration_error(outcomes.reliability[position]) == pytest.approx(expected, abs=1e-6)
        nll = -np.mean([np.log(values[way]) for values, way in predictions])
        assert float(outcomes.nll[position]) == pytest.approx(nll, rel=1e-5)
    assert calibration_error(outcomes.reliability[0]) != pytest.approx(calibration_error(outcomes.reliability[1]), abs=1e-3)


def test_the_hardest_tasks_are_the_ten_of_lowest_accuracy_whole_and_in_order() -> None:
    outcomes, (episodes, score) = outcomes_of(FEATURES), loop_queries()
    expected = outcomes.accuracies.argsort(stable=True)[:HARDEST].tolist()
    assert [task.number for task in outcomes.hardest] == expected
    for task in outcomes.hardest:
        assert torch.equal(task.episode.query[0], episodes.query[task.number])
        assert torch.equal(task.predicted, score(episodes, task.number).argmax(-1))
        assert task.accuracy == float(outcomes.accuracies[task.number])


def test_queries_of_open_set_classes_count_nowhere() -> None:
    spec = replace(SPEC, open_set_classes=2)
    outcomes, episodes = outcomes_of(FEATURES, spec), sample_tasks(FEATURES.labels, spec)
    closed_set = SPEC.tasks * SPEC.ways * SPEC.queries
    assert int((episodes.query_ways == OPEN_SET).sum()) > 0
    assert int(outcomes.confusion.sum()) == int(outcomes.reliability[0, :, 0].sum()) == closed_set
    scores = torch.stack([score_one(FEATURES, episodes, task) for task in range(SPEC.tasks)])
    torch.testing.assert_close(outcomes.accuracies, task_accuracies(episodes, scores))
    closed = episodes.query_ways != OPEN_SET
    expected = [(scores[task].argmax(-1) == episodes.query_ways[task])[closed[task]].double().mean() for task in range(SPEC.tasks)]
    torch.testing.assert_close(outcomes.accuracies, torch.stack(expected))


def test_neither_parts_nor_threads_change_anything() -> None:
    sampler = TaskSampler(FEATURES.labels, SPEC)
    one, other = (measure_outcomes(FEATURES.features, FEATURES.labels, sampler, scorer(size)) for size in (10**6, 400))
    for name in ("accuracies", "confusion", "class_tasks"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    torch.testing.assert_close(one.reliability, other.reliability)
    assert [task.number for task in one.hardest] == [task.number for task in other.hardest]


def test_a_confidence_on_the_edge_of_a_bin_belongs_to_the_lower_one() -> None:
    counts = reliability_bins(torch.tensor([0.0, 1 / 15, 0.5, 1.0]), torch.tensor([True, False, True, True]))[:, 0]
    assert counts.nonzero().flatten().tolist() == [0, 7, BINS - 1]
    assert counts[0] == 2


def test_huge_scores_give_finite_confidences() -> None:
    confidence, logarithm = confidences(torch.tensor([[[1e6, 1e6 - 1, 0.0]]]), 1.0)
    assert float(confidence) == pytest.approx(1 / (1 + np.exp(-1)), rel=1e-4)
    assert bool(logarithm.isfinite().all())
