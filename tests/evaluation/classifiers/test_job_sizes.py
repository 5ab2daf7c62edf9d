"""How many tasks a head meets at once, on a CPU and on a GPU, does not shape what it says of them."""

from dataclasses import replace
from typing import get_args

import pytest
import torch

from s2m2.evaluation.base_statistics import base_statistics
from s2m2.evaluation.classifiers import HEADS, build_classifier
from s2m2.evaluation.classifiers.protocol import FewShotClassifier
from s2m2.evaluation.engine import map_tasks
from s2m2.evaluation.evaluate import sampler_for, scorer_for
from s2m2.evaluation.tasks import FewShotTasks
from s2m2.recipe import EvaluateConfig
from s2m2.recipe.heads import HeadName
from s2m2.seeding import generator_for
from tests.evaluation.trials import SPEC, made_up_features

CPU, GPU = torch.device("cpu"), torch.device("cuda")
TABLE = replace(made_up_features(), features=made_up_features().features.relu())


def built(head: HeadName) -> FewShotClassifier:
    return build_classifier(head, EvaluateConfig(), base_statistics(TABLE, covariances=True))


@pytest.mark.parametrize("head", get_args(HeadName))
def test_heads_that_draw_say_so(head: HeadName) -> None:
    tasks = FewShotTasks(
        support=TABLE.features[:6][None], labels=torch.tensor([[0, 0, 1, 1, 2, 2]]), query=TABLE.features[6:12][None], ways=3, shots=2
    )
    generator = generator_for(0, "tasks")
    before = generator.get_state()
    with torch.inference_mode():
        built(head)(tasks, generator)
    assert HEADS[head].draws == (not torch.equal(before, generator.get_state()))


@pytest.mark.parametrize("head", get_args(HeadName))
def test_scores_in_the_parts_of_a_gpu_are_those_in_the_parts_of_a_cpu(head: HeadName) -> None:
    source, found = sampler_for(TABLE, replace(SPEC, tasks=12)), []
    if HEADS[head].draws:
        assert HEADS[head].job_on(GPU) == HEADS[head].job_on(CPU)
        return
    numbers = 18 * TABLE.features.shape[1]
    for blocks, gather in ((HEADS[head].job_on(GPU).blocks, HEADS[head].job_on(GPU).largest_gather), (1, 7 * numbers)):
        scorer = replace(scorer_for(head, built(head), SPEC, TABLE, device=GPU), blocks=blocks, largest_gather=gather)
        found.append(torch.cat(list(map_tasks(TABLE.features, source, scorer, lambda _, scores: scores))))
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-3)


def test_a_gpu_takes_ten_thousand_usual_tasks_in_few_parts() -> None:
    job = HEADS["tim"].job_on(GPU)
    assert 10_000 / min(job.blocks * 256, job.largest_gather // (100 * 640)) < 11
