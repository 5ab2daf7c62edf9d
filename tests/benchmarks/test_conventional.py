"""The conventional pipeline: endless batches with any number of workers."""

from itertools import islice

import pytest
import torch

from benchmarks.conventional import Conventional, Images
from s2m2.models import build_backbone, initialize
from s2m2.random import generator_for
from s2m2.recipe import DataConfig, ModelConfig, OptimizerConfig, PretrainConfig, Recipe
from s2m2.training.objectives import pretrain_objective

# A fork of a process with threads, which later versions of Python warn of, is what a DataLoader does.
pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")]
COUNT, BATCH, SIZE = 6, 4, 28


def pipeline(workers: int) -> Conventional:
    config = PretrainConfig(objective="supervised", batch_size=BATCH, optimizer=OptimizerConfig(learning_rate=0.01))
    recipe = Recipe(data=DataConfig(image_size=SIZE), model=ModelConfig(backbone="conv4", width=8), pretrain=config)
    backbone = build_backbone(recipe.model, SIZE, generator_for(0, "backbone"))
    objective = pretrain_objective(recipe, backbone.feature_dim, COUNT)
    initialize(objective, generator_for(0, "heads"))
    images = torch.randint(0, 256, (COUNT, SIZE, SIZE, 3), dtype=torch.uint8, generator=generator_for(0, "images"))
    batch = Images(images, torch.arange(COUNT), recipe.data, views=2)
    return Conventional(batch, backbone, objective, config, torch.device("cpu"), workers)


@pytest.mark.parametrize(("workers", "ahead"), [(0, 1), (2, 4)])
def test_batches_suffice_for_any_number_of_steps(workers: int, ahead: int) -> None:
    conventional = pipeline(workers)
    assert conventional.ahead == ahead
    batches = list(islice(conventional.batches(), ahead + 5))  # several times the number of images
    assert len(batches) == ahead + 5
    for images, labels in batches:
        assert images.shape == (BATCH, 2, 3, SIZE, SIZE)
        assert labels.shape == (BATCH,)
        assert labels.max() < COUNT


def test_a_step_learns() -> None:
    conventional = pipeline(0)
    before = [value.clone() for value in conventional.networks.parameters()]
    conventional.step(0, *next(conventional.batches()))
    moved = [not torch.equal(old, new) for old, new in zip(before, conventional.networks.parameters(), strict=True)]
    assert sum(moved) > len(moved) / 2
