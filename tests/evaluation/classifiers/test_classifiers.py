from typing import get_args

import pytest
import torch

from s2m2.evaluation.base_statistics import BaseStatistics, base_statistics
from s2m2.evaluation.classifiers import CLASSIFIERS, CosineClassifier, build_classifier, classifier_settings
from s2m2.evaluation.features import FeatureSet
from s2m2.evaluation.tasks import FewShotTasks
from s2m2.recipe import CosineClassifierConfig, EvaluateConfig
from s2m2.recipe.classifiers import ClassifierName
from s2m2.seeding import generator_for
from tests.reference.evaluate import changed, made_up_tasks, made_up_unequal_tasks


def base() -> BaseStatistics:
    """Statistics of three made-up base classes."""
    generator = generator_for(0, "base")
    features = torch.rand(30, 8, generator=generator)
    labels = torch.arange(3).repeat_interleave(10)
    dataset = FeatureSet(features=features, labels=labels, rows=torch.arange(30), class_names=("a", "b", "c"), fingerprint="f")
    return base_statistics(dataset, covariances=True)


def test_every_head_of_the_recipe_is_there() -> None:
    assert set(CLASSIFIERS) == set(get_args(ClassifierName))


@pytest.mark.parametrize("name", get_args(ClassifierName))
@pytest.mark.parametrize("tasks", [made_up_tasks(2, ways=3, shots=1, dim=8), made_up_unequal_tasks(2, dim=8)], ids=["equal", "unequal"])
def test_a_head_scores_each_query_for_each_class_and_leaves_the_features_alone(name: ClassifierName, tasks: FewShotTasks) -> None:
    tasks = changed(tasks, torch.relu)
    before = [tasks.support.clone(), tasks.query.clone()]
    scores = build_classifier(name, EvaluateConfig(cosine=CosineClassifierConfig(epochs=1)), base())(tasks, generator_for(0))
    assert scores.shape == (*tasks.query.shape[:2], 3)
    assert scores.dtype == torch.float32
    assert scores.isfinite().all()
    assert torch.equal(tasks.support, before[0])
    assert torch.equal(tasks.query, before[1])


@pytest.mark.parametrize("name", get_args(ClassifierName))
def test_a_head_that_depends_on_settings_states_them(name: ClassifierName) -> None:
    settings = CLASSIFIERS[name].settings
    assert settings is None or classifier_settings(name, EvaluateConfig())


def test_the_cosine_classifier_has_the_settings_of_the_recipe_and_states_them() -> None:
    config = EvaluateConfig(cosine=CosineClassifierConfig(epochs=17, weight_decay=0.5))
    classifier = build_classifier("cosine", config)
    assert isinstance(classifier, CosineClassifier)
    assert classifier.config == config.cosine
    settings = classifier_settings("cosine", config)
    assert settings["epochs"] == 17
    assert settings["weight_decay"] == 0.5
    assert classifier_settings("nearest_mean", config) == {}
