"""Gathering the features of tasks: support from where support is shown, queries from where queries are."""

import torch

from s2m2.classifiers.nearest_mean import NearestMean
from s2m2.evaluation.engine import TaskGatherer
from s2m2.evaluation.evaluate import score_tasks
from s2m2.evaluation.features import FeatureSet
from s2m2.tasks.episodes import EpisodeSpec
from s2m2.tasks.sampler import sample_tasks

LABELS = torch.arange(6).repeat_interleave(8)
NAMES = tuple("abcdef")


def test_support_comes_from_its_own_features_where_there_are_some() -> None:
    features = torch.arange(48.0)[:, None].expand(-1, 3).contiguous()
    episodes = sample_tasks(LABELS, EpisodeSpec(ways=5, shots=2, queries=3, tasks=4), NAMES)
    tasks = TaskGatherer(features, features + 1000)(episodes)
    assert torch.equal(tasks.support[..., 0], episodes.support + 1000.0)
    assert torch.equal(tasks.query[..., 0], episodes.query.float())


def test_scores_follow_the_support_features() -> None:
    apart = torch.eye(6)[LABELS]
    rotated = torch.eye(6)[(LABELS + 1) % 6]
    features = FeatureSet(
        features=apart, labels=LABELS, indices=torch.arange(48), class_names=NAMES, fingerprint="", support_features=rotated
    )
    spec = EpisodeSpec(ways=6, shots=2, queries=3, tasks=10)
    assert score_tasks(features, spec, NearestMean(), name="nearest_mean").max() == 0
