"""The number of tasks computed at once, on a CPU or a GPU, changes no score."""

from dataclasses import replace

import pytest
import torch

from s2m2.classifiers import CLASSIFIERS
from s2m2.classifiers.base_statistics import BaseStatistics
from s2m2.classifiers.building import build_classifier
from s2m2.evaluation.accuracies import sampler_for, scorer_for
from s2m2.evaluation.map_tasks import map_tasks
from tests.evaluation.trials import SPEC, made_up_features

GPU = torch.device("cuda")
FEATURES = replace(made_up_features(), features=made_up_features().features.relu())


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_scores_in_the_parts_of_a_gpu_are_those_in_the_parts_of_a_cpu(name: str) -> None:
    classifier = build_classifier(name, BaseStatistics.from_features(FEATURES.features, FEATURES.labels))
    source, scores, values = sampler_for(FEATURES, replace(SPEC, tasks=12)), [], 18 * FEATURES.features.shape[1]
    for blocks, max_gather in ((classifier.job_on(GPU).blocks, classifier.job_on(GPU).max_gather), (1, 7 * values)):
        scorer = replace(scorer_for(name, classifier, SPEC, FEATURES, device=GPU), blocks=blocks, max_gather=max_gather)
        scores.append(torch.cat(list(map_tasks(FEATURES.features, source, scorer, lambda _, part: part))))
    torch.testing.assert_close(scores[0], scores[1], atol=1e-4, rtol=1e-3)
