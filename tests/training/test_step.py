"""A step of training: what its views are made from."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from s2m2.data.augment import augment
from s2m2.data.dataset import ImageDataset
from s2m2.recipe.training import ObjectiveName
from tests.training.networks import step_maker, tiny_recipe


@pytest.mark.parametrize("objective", ["rotation", "exemplar"])
@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_every_view_is_cut_by_the_proportions_of_its_image(small_glyphs: ImageDataset, objective: ObjectiveName, stage: str) -> None:
    dataset = replace(small_glyphs, proportions=np.linspace(0.5, 2.0, len(small_glyphs.labels), dtype=np.float32))
    recipe = tiny_recipe(objective)
    step = step_maker(dataset, recipe, getattr(recipe, stage))(lambda part: None)
    batch, stream = step.read(3), step.stream(3)
    assert batch.proportions is not None
    views, _ = step.load(3)
    for number in range(len(views)):
        for part in range(len(batch.images) // 32):
            items = slice(32 * part, 32 * part + 32)
            given = (batch.images[items], recipe.data, stream, part * len(views) + number)
            assert torch.equal(views[number, items], augment(*given, batch.proportions[items]))
            assert not torch.equal(views[number, items], augment(*given))
