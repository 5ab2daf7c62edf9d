from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from s2m2.evaluation.open_set import OpenTasks, auroc, choose_threshold, open_score, open_tasks
from s2m2.tasks.sampler import TaskSampler
from tests.evaluation.trials import SPEC, made_up_features, scorer


def made_up_tasks(seed: int = 0, tasks: int = 30, ties: bool = False) -> OpenTasks:
    rng = np.random.default_rng(seed)
    closed = rng.permuted(np.tile(np.arange(20) < 12, (tasks, 1)), axis=1)
    confidence = rng.beta(2 + 2 * closed, 3).astype(np.float32)
    if ties:
        confidence = confidence.round(1)
    right = closed & (rng.random(closed.shape) < confidence)
    return OpenTasks(confidence=torch.from_numpy(confidence), closed=torch.from_numpy(closed), right=torch.from_numpy(right))


@pytest.mark.parametrize("ties", [False, True])
def test_the_area_equals_that_of_scikit_learn_task_by_task_and_pooled(ties: bool) -> None:
    tasks = made_up_tasks(ties=ties)
    expected = [roc_auc_score(closed, confidence) for closed, confidence in zip(tasks.closed, tasks.confidence, strict=True)]
    np.testing.assert_allclose(auroc(tasks.confidence.double().numpy(), tasks.closed.numpy()), expected)
    score = open_score(tasks, 0.5)
    assert score.auroc == pytest.approx(np.mean(expected))
    assert score.auroc_interval == pytest.approx(1.96 * np.std(expected, ddof=1) / np.sqrt(len(expected)))
    assert score.auroc_pooled == pytest.approx(roc_auc_score(tasks.closed.flatten(), tasks.confidence.flatten()))


@pytest.mark.parametrize("ties", [False, True])
def test_no_threshold_has_a_better_balanced_accuracy_than_the_chosen_one(ties: bool) -> None:
    tasks = made_up_tasks(3, ties=ties)
    closed, confidence = tasks.closed.flatten().numpy(), tasks.confidence.flatten().double().numpy()
    scores = {value: balanced_accuracy_score(closed, confidence >= value) for value in np.unique(confidence).tolist()}
    assert scores[choose_threshold(tasks)] == pytest.approx(max(scores.values()))
    assert max(scores.values()) > 0.6


def test_accepted_rejected_and_recognized_queries_are_counted() -> None:
    tasks, threshold = made_up_tasks(1), 0.45
    score = open_score(tasks, threshold)
    accepted = tasks.confidence >= threshold
    assert score.accepted == pytest.approx(float(accepted[tasks.closed].double().mean()))
    assert score.rejected == pytest.approx(float((~accepted)[~tasks.closed].double().mean()))
    assert score.recognized == pytest.approx(float((accepted & tasks.right)[tasks.closed].double().mean()))
    assert score.recognized < score.accepted


def test_distant_open_set_classes_are_detected_and_random_features_are_not() -> None:
    spec = replace(SPEC, open_set_classes=2, tasks=100)
    areas = []
    for spread in (0.2, 50.0):
        features = made_up_features(spread=spread, dim=16)
        tasks = open_tasks(features.features, TaskSampler(features.labels, spec), scorer(), temperature=4.0)
        assert tasks.closed.sum() == 100 * SPEC.ways * SPEC.queries
        assert (~tasks.closed).sum() == 100 * 2 * SPEC.queries
        areas.append(open_score(tasks, choose_threshold(tasks)).auroc)
    assert areas[0] > 0.85
    assert areas[1] == pytest.approx(0.5, abs=0.06)
