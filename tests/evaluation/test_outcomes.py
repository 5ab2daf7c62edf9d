from dataclasses import replace

import numpy as np
import pytest
import torch

from s2m2.evaluation.calibration import BINS, reliability_bins
from s2m2.evaluation.outcomes import HARDEST, confidences, task_accuracies
from s2m2.tasks.episodes import OPEN_SET
from s2m2.tasks.sampler import TaskSampler, sample_tasks
from tests.evaluation.trials import SPEC, made_up_features, outcomes_of, score_one
from tests.reference import outcomes as slow

TABLE = made_up_features()


def loop_queries(dataset=TABLE):
    episodes = sample_tasks(dataset.labels, SPEC)
    return episodes, lambda block, task: score_one(dataset, block, task)


def test_the_confusion_matrix_equals_that_of_scikit_learn_over_all_tasks() -> None:
    found = outcomes_of(TABLE)
    assert found.classes.tolist() == sorted(set(TABLE.labels.tolist()))
    assert found.confusion.tolist() == slow.confusion(*loop_queries(), found.classes.tolist())
    assert 0.3 < float(found.confusion.diagonal().sum() / found.confusion.sum()) < 0.95


def test_accuracies_and_class_sums_follow_from_each_task() -> None:
    found, (episodes, score) = outcomes_of(TABLE), loop_queries()
    right = torch.zeros(SPEC.tasks)
    for task, _, way, scores in slow.queries(episodes, score):
        right[task] += np.argmax(scores) == way
    np.testing.assert_allclose(found.accuracies, right / (SPEC.ways * SPEC.queries))
    for place, number in enumerate(found.classes.tolist()):
        having = (episodes.classes == number).any(1)
        assert found.class_tasks[place] == having.sum()
        assert float(found.class_sums[place]) == pytest.approx(float(found.accuracies[having].sum()))


def test_reliability_and_likelihood_equal_a_loop_over_queries_at_both_temperatures() -> None:
    from s2m2.evaluation.calibration import calibration_error

    found, (episodes, score) = outcomes_of(TABLE, temperature=3.0), loop_queries()
    for place, temperature in enumerate((1.0, 3.0)):
        shares = [(slow.probabilities(scores, temperature), way) for _, _, way, scores in slow.queries(episodes, score)]
        rights = [int(np.argmax(share)) == way for share, way in shares]
        expected = slow.calibration_error([max(share) for share, _ in shares], rights)
        assert calibration_error(found.reliability[place]) == pytest.approx(expected, abs=1e-6)
        assert float(found.nll[place]) == pytest.approx(-np.mean([np.log(share[way]) for share, way in shares]), rel=1e-5)
    assert calibration_error(found.reliability[0]) != pytest.approx(calibration_error(found.reliability[1]), abs=1e-3)


def test_the_hardest_tasks_are_the_ten_of_lowest_accuracy_whole_and_in_order() -> None:
    found, (episodes, score) = outcomes_of(TABLE), loop_queries()
    expected = found.accuracies.argsort(stable=True)[:HARDEST].tolist()
    assert [task.number for task in found.hardest] == expected
    for task in found.hardest:
        assert torch.equal(task.episode.query[0], episodes.query[task.number])
        assert torch.equal(task.predicted, score(episodes, task.number).argmax(-1))
        assert task.accuracy == float(found.accuracies[task.number])


def test_queries_of_open_set_classes_count_nowhere() -> None:
    spec = replace(SPEC, open_set_classes=2)
    found, episodes = outcomes_of(TABLE, spec), sample_tasks(TABLE.labels, spec)
    known = SPEC.tasks * SPEC.ways * SPEC.queries
    assert int((episodes.query_ways == OPEN_SET).sum()) > 0
    assert int(found.confusion.sum()) == int(found.reliability[0, :, 0].sum()) == known
    scores = torch.stack([score_one(TABLE, episodes, task) for task in range(SPEC.tasks)])
    torch.testing.assert_close(found.accuracies, task_accuracies(episodes, scores))
    asked = episodes.query_ways != OPEN_SET
    expected = [(scores[task].argmax(-1) == episodes.query_ways[task])[asked[task]].double().mean() for task in range(SPEC.tasks)]
    torch.testing.assert_close(found.accuracies, torch.stack(expected))


def test_neither_parts_nor_threads_change_anything() -> None:
    from s2m2.evaluation.outcomes import measure_outcomes
    from tests.evaluation.trials import scorer

    sampler = TaskSampler(TABLE.labels, SPEC)
    one, other = (measure_outcomes(TABLE.features, TABLE.labels, sampler, scorer(size)) for size in (10**6, 400))
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
