"""How many tasks a classifier meets at once, on a CPU and on a GPU, does not shape what it says of them."""

from dataclasses import replace
from typing import get_args

import pytest
import torch

from s2m2.evaluation.base_statistics import base_statistics
from s2m2.evaluation.classifiers import CLASSIFIERS, build_classifier
from s2m2.evaluation.classifiers.protocol import FewShotClassifier
from s2m2.evaluation.engine import map_tasks
from s2m2.evaluation.evaluate import sampler_for, scorer_for
from s2m2.evaluation.tasks import FewShotTasks
from s2m2.recipe import EvaluateConfig
from s2m2.recipe.classifiers import ClassifierName
from s2m2.seeding import generator_for
from tests.evaluation.trials import SPEC, made_up_features

CPU, GPU = torch.device("cpu"), torch.device("cuda")
TABLE = replace(made_up_features(), features=made_up_features().features.relu())


def built(classifier: ClassifierName) -> FewShotClassifier:
    return build_classifier(classifier, EvaluateConfig(), base_statistics(TABLE, covariances=True))


@pytest.mark.parametrize("classifier", get_args(ClassifierName))
def test_heads_that_draw_say_so(classifier: ClassifierName) -> None:
    tasks = FewShotTasks(
        support=TABLE.features[:6][None], labels=torch.tensor([[0, 0, 1, 1, 2, 2]]), query=TABLE.features[6:12][None], ways=3, shots=2
    )
    generator = generator_for(0, "tasks")
    before = generator.get_state()
    with torch.inference_mode():
        built(classifier)(tasks, generator)
    assert CLASSIFIERS[classifier].draws == (not torch.equal(before, generator.get_state()))


@pytest.mark.parametrize("classifier", get_args(ClassifierName))
def test_scores_in_the_parts_of_a_gpu_are_those_in_the_parts_of_a_cpu(classifier: ClassifierName) -> None:
    source, found = sampler_for(TABLE, replace(SPEC, tasks=12)), []
    if CLASSIFIERS[classifier].draws:
        assert CLASSIFIERS[classifier].job_on(GPU) == CLASSIFIERS[classifier].job_on(CPU)
        return
    numbers = 18 * TABLE.features.shape[1]
    for blocks, gather in ((CLASSIFIERS[classifier].job_on(GPU).blocks, CLASSIFIERS[classifier].job_on(GPU).max_gather), (1, 7 * numbers)):
        scorer = replace(scorer_for(classifier, built(classifier), SPEC, TABLE, device=GPU), blocks=blocks, max_gather=gather)
        found.append(torch.cat(list(map_tasks(TABLE.features, source, scorer, lambda _, scores: scores))))
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-3)


def test_a_gpu_takes_ten_thousand_usual_tasks_in_few_parts() -> None:
    job = CLASSIFIERS["tim"].job_on(GPU)
    assert 10_000 / min(job.blocks * 256, job.max_gather // (100 * 640)) < 11
