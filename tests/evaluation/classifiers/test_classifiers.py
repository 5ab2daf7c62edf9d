from typing import get_args

import pytest
import torch

from s2m2.evaluation.classifiers import CLASSIFIERS, CosineClassifier, build_classifier, classifier_settings
from s2m2.recipe import CosineClassifierConfig, EvaluateConfig
from s2m2.recipe.training import HeadName
from s2m2.seeding import generator_for


def test_every_head_of_the_recipe_is_there() -> None:
    assert set(CLASSIFIERS) == set(get_args(HeadName))


@pytest.mark.parametrize("name", get_args(HeadName))
def test_a_head_scores_each_query_once_for_each_class(name: HeadName) -> None:
    head = build_classifier(name, EvaluateConfig(cosine=CosineClassifierConfig(epochs=1)))
    scores = head(torch.rand(2, 3, 1, 8), torch.rand(2, 3, 4, 8), generator_for(0))
    assert scores.shape == (2, 3, 4, 3)
    assert scores.dtype == torch.float32


def test_the_cosine_classifier_has_the_settings_of_the_recipe_and_states_them() -> None:
    config = EvaluateConfig(cosine=CosineClassifierConfig(epochs=17, weight_decay=0.5))
    head = build_classifier("cosine", config)
    assert isinstance(head, CosineClassifier)
    assert head.config == config.cosine
    settings = classifier_settings("cosine", config)
    assert settings["epochs"] == 17
    assert settings["weight_decay"] == 0.5
    assert classifier_settings("nearest_mean", config) == {}
