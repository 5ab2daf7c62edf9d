"""Classifiers by name: how recipes and Python name them, what every one of them states, and what is refused."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.neighbors import KNeighborsClassifier

import s2m2.classifiers
from s2m2.classifiers import CLASSIFIERS, check_spec, classifier_names, load_class
from s2m2.classifiers.base import WHOLE_GPU, FewShotClassifier, FewShotTasks, JobSize
from s2m2.classifiers.base_statistics import BaseStatistics
from s2m2.classifiers.building import build_classifier
from s2m2.classifiers.tim import TIM
from s2m2.errors import InputError
from s2m2.random import generator_for
from s2m2.recipe import EvaluateConfig, parts
from s2m2.recipe.parts import ClassifierSpec, parse_classifier
from tests.reference.evaluate import changed, made_up_tasks, made_up_unequal_tasks

KNN = "sklearn.neighbors:KNeighborsClassifier"
TASKS = made_up_tasks(3, ways=3, shots=2, dim=8)


def base() -> BaseStatistics:
    return BaseStatistics.from_features(torch.rand(30, 8, generator=generator_for(0, "base")), torch.arange(3).repeat_interleave(10))


def quick(name: str) -> FewShotClassifier:
    steps = {"cosine": {"epochs": 1}, "calibrated": {"samples_per_class": 20}}.get(name, {"steps": 20} if "tim" in name.split("_") else {})
    return build_classifier({"name": name, **steps}, base())


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("tasks", [made_up_tasks(2, ways=3, shots=1, dim=8), made_up_unequal_tasks(2, dim=8)], ids=["equal", "unequal"])
def test_each_scores_every_query_for_every_class_and_leaves_the_features_alone(name: str, tasks: FewShotTasks) -> None:
    tasks = changed(tasks, torch.relu)
    before, generator = [tasks.support.clone(), tasks.query.clone()], generator_for(0)
    state = generator.get_state()
    with torch.inference_mode():
        scores = quick(name)(tasks, generator)
    assert scores.shape == (*tasks.query.shape[:2], 3)
    assert scores.dtype == torch.float32
    assert scores.isfinite().all()
    assert torch.equal(tasks.support, before[0])
    assert torch.equal(tasks.query, before[1])
    uses_keys = name in ("cosine", "calibrated")
    assert uses_keys == (not torch.equal(state, generator.get_state()))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_random_numbers_of_a_task_follow_from_its_key_alone(name: str) -> None:
    tasks = changed(TASKS, torch.relu)
    keyed = replace(tasks, keys=torch.tensor([3, 5, 9]))
    middle = replace(keyed, support=keyed.support[1:2], labels=keyed.labels[1:2], query=keyed.query[1:2], keys=torch.tensor([5]))
    scores = quick(name)(keyed, generator_for(0))
    torch.testing.assert_close(scores[1:2], quick(name)(middle, generator_for(1)), rtol=1e-3, atol=1e-4)
    assert torch.equal(scores, quick(name)(tasks, generator_for(0))) == (name not in ("cosine", "calibrated"))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_each_states_its_name_settings_and_jobs(name: str) -> None:
    classifier = quick(name)
    assert classifier.name == name
    assert classifier.title
    assert "base" not in classifier.settings()
    assert all(isinstance(value, bool | int | float | str | None) for value in classifier.settings().values())
    cpu, gpu = (classifier.job_on(torch.device(kind)) for kind in ("cpu", "cuda"))
    assert cpu == classifier.job
    assert gpu == WHOLE_GPU
    same = build_classifier({"name": name, **classifier.settings()}, base())
    assert same.settings() == classifier.settings()


def test_a_gpu_takes_ten_thousand_usual_tasks_in_few_parts() -> None:
    job = TIM().job_on(torch.device("cuda"))
    assert isinstance(job, JobSize)
    assert 10_000 / min(job.blocks * 256, job.max_gather // (100 * 640)) < 11


def test_authors_methods_have_their_names_and_the_fast_ones_their_own() -> None:
    assert [load_class(name).classwise for name in ("tim", "alpha_tim", "tim_fast", "alpha_tim_fast")] == [False, False, True, True]
    slow, fast = quick("tim"), quick("tim_fast")
    assert slow.settings() == fast.settings()
    assert not torch.equal(slow(TASKS, generator_for(0)), fast(TASKS, generator_for(0)))


def test_a_spec_is_a_name_a_mapping_an_object_or_a_class() -> None:
    instance = TIM(steps=7)
    assert build_classifier(instance) is instance
    for spec in ({"name": "tim", "steps": 7, "label": "short"}, ClassifierSpec(name="tim", label="x", settings={"steps": 7})):
        assert build_classifier(spec).settings() == instance.settings()
    for spec in ("tim", TIM, "s2m2.classifiers.tim:TIM"):
        assert build_classifier(spec).settings() == TIM().settings()
    assert type(build_classifier({"name": "tim", "scale": 15}).settings()["scale"]) is float


def test_seed_and_base_statistics_reach_those_that_take_them() -> None:
    statistics = base()
    built = build_classifier("calibrated", statistics, seed=5)
    assert (built.random_state, built.base) == (5, statistics)
    assert build_classifier("cosine", seed=5).random_state == 5
    bare = load_class("calibrated")(random_state=3)
    given = build_classifier(bare, statistics, seed=5)
    assert (given.random_state, given.base, bare.base) == (3, statistics, None)


@pytest.mark.parametrize("spec", [KNN, {"name": KNN, "n_neighbors": 5}, KNeighborsClassifier, KNeighborsClassifier()])
def test_a_scikit_learn_classifier_is_scored_task_by_task(spec: Any) -> None:
    classifier, tasks = build_classifier(spec), made_up_unequal_tasks(3)
    scores = classifier(tasks, generator_for(0))
    for support, labels, query, task_scores in zip(tasks.support, tasks.labels, tasks.query, scores, strict=True):
        expected = KNeighborsClassifier().fit(support.numpy(), labels.numpy()).predict_proba(query.numpy())
        np.testing.assert_allclose(task_scores.softmax(-1).numpy(), expected, atol=1e-6)
    assert classifier.name == "KNeighborsClassifier"
    assert classifier.settings()["n_neighbors"] == 5
    assert classifier.fit(tasks.support[0], ["a", "b", "b", "b", "c", "c"]).predict(tasks.support[0]).tolist()[1] == "b"


def test_random_estimators_follow_the_generator() -> None:
    forest = build_classifier({"name": "sklearn.ensemble:RandomForestClassifier", "n_estimators": 3})
    first, again, other = (forest(TASKS, generator_for(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_entry_points_name_classifiers_of_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint(name="knn", value=KNN, group="s2m2.classifiers")
    monkeypatch.setattr(parts, "entry_points", lambda group: [point] if group == "s2m2.classifiers" else [])
    assert classifier_names()[-1] == "knn"
    assert build_classifier("knn").name == "KNeighborsClassifier"


class NoFit:
    """Neither fit nor predict_proba."""


class Fussy(BaseEstimator):
    """A classifier that needs an argument."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


HERE = "tests.classifiers.test_catalog"
REFUSED: list[tuple[Any, str]] = [
    ("timm", r"classifier timm is unknown; did you mean tim\?"),
    ("zzz", r"classifier zzz is unknown; there are cosine, nearest_mean"),
    ({"steps": 5}, r"classifiers has \{'steps': 5\}, but must have names, or mappings with a name"),
    ({"name": "tim", "label": "a/b"}, r"classifiers has the label 'a/b'"),
    ({"name": "tim", "step": 5}, r"tim has no setting step; did you mean steps\?"),
    ({"name": "tim", "zzz": 5}, r"tim has no setting zzz; its settings: scale, supervised"),
    ({"name": "nearest_mean", "scale": 5}, r"nearest_mean has no setting scale; its settings: none"),
    ({"name": "cosine", "random_state": 5}, r"cosine has no setting random_state"),
    ({"name": KNN, "n_neighbor": 3}, r"KNeighborsClassifier has no setting n_neighbor; did you mean n_neighbors\?"),
    ("no_such_package:Thing", r"classifier no_such_package:Thing cannot be loaded: No module named"),
    ("sklearn.neighbors:Thing", r"classifier sklearn.neighbors:Thing cannot be loaded: .*Thing"),
    (f"{HERE}:NoFit", r"NoFit has no fit and predict_proba"),
    (f"{HERE}:Fussy", r"Fussy cannot be built: .*kind"),
    ({"name": f"{HERE}:TASKS", "n": 1}, r"is an object with its settings already, and takes no n"),
    ({"name": "cosine_converged", "weight_decay": 0.0}, r"cosine_converged\.weight_decay is 0\.0, but must be above 0"),
    ({"name": "cosine_converged", "scale": -1.0}, r"cosine_converged\.scale is -1\.0"),
    ({"name": "cosine", "epochs": 0}, r"cosine\.epochs is 0, but must be 1 or more"),
    ({"name": "cosine", "batch_size": 0}, r"cosine\.batch_size is 0, but must be 1 or more"),
    ({"name": "cosine", "learning_rate": 0.0}, r"cosine\.learning_rate is 0\.0, but must be above 0"),
    ({"name": "cosine", "scale": 0.0}, r"cosine\.scale is 0\.0, but must be above 0"),
    ({"name": "cosine", "dampening": 1.0}, r"cosine\.dampening is 1\.0"),
    ({"name": "cosine", "weight_decay": -1.0}, r"cosine\.weight_decay is -1\.0"),
    ({"name": "cosine", "momentum": 1.0}, r"cosine\.momentum is 1\.0, but must be at least 0 and below 1"),
    ({"name": "logistic", "C": 0.0}, r"logistic\.C is 0\.0, but must be above 0"),
    ({"name": "logistic", "C": "much"}, r"logistic\.C is 'much', but must be a number"),
    ({"name": "logistic", "C": float("nan")}, r"logistic\.C is nan, but must be above 0"),
    ({"name": "svm", "C": -1.0}, r"svm\.C is -1\.0"),
    ({"name": "ridge", "penalty": 0.0}, r"ridge\.penalty is 0\.0"),
    ({"name": "calibrated", "power": 0.0}, r"calibrated\.power is 0\.0"),
    ({"name": "calibrated", "neighbors": 0}, r"calibrated\.neighbors is 0"),
    ({"name": "calibrated", "neighbors": 4}, r"calibrated\.neighbors is 4, but there are 3 base classes"),
    ({"name": "calibrated", "samples_per_class": 0}, r"calibrated\.samples_per_class is 0"),
    ({"name": "calibrated", "spread": -0.1}, r"calibrated\.spread is -0\.1"),
    ({"name": "calibrated", "C": 0.0}, r"calibrated\.C is 0\.0"),
    ({"name": "soft_kmeans", "steps": -1}, r"soft_kmeans\.steps is -1, but must be 0 or more"),
    ({"name": "soft_kmeans", "scale": 0.0}, r"soft_kmeans\.scale is 0\.0"),
    ({"name": "bd_cspn", "scale": -1.0}, r"bd_cspn\.scale is -1\.0"),
    ({"name": "bd_cspn", "pseudo_labels": -1}, r"bd_cspn\.pseudo_labels is -1"),
    ({"name": "laplacian_shot", "weight": -0.1}, r"laplacian_shot\.weight is -0\.1"),
    ({"name": "laplacian_shot", "neighbors": 1}, r"laplacian_shot\.neighbors is 1, but must be 2 or more"),
    ({"name": "laplacian_shot", "steps": 0}, r"laplacian_shot\.steps is 0"),
    ({"name": "laplacian_shot", "tolerance": -1e-9}, r"laplacian_shot\.tolerance is -1e-09"),
    ({"name": "laplacian_shot", "rectify": 1}, r"laplacian_shot\.rectify is 1, but must be true or false"),
    ({"name": "tim", "steps": -1}, r"tim\.steps is -1, but must be 0 or more"),
    ({"name": "tim", "steps": 2.5}, r"tim\.steps is 2\.5, but must be a whole number"),
    ({"name": "tim", "steps": True}, r"tim\.steps is True, but must be a whole number"),
    ({"name": "tim_fast", "scale": 0.0}, r"tim_fast\.scale is 0\.0"),
    ({"name": "tim", "conditional": -1.0}, r"tim\.conditional is -1\.0"),
    ({"name": "tim", "learning_rate": 0.0}, r"tim\.learning_rate is 0\.0"),
    ({"name": "alpha_tim", "alpha": 0.0}, r"alpha_tim\.alpha is 0\.0"),
    ({"name": "alpha_tim_fast", "marginal": -1.0}, r"alpha_tim_fast\.marginal is -1\.0"),
    ({"name": "pt_map", "power": 1.5}, r"pt_map\.power is 1\.5, but must be from 0 to 1"),
    ({"name": "pt_map", "rate": 0.0}, r"pt_map\.rate is 0\.0, but must be above 0 and at most 1"),
    ({"name": "pt_map", "scale": 0.0}, r"pt_map\.scale is 0\.0"),
    ({"name": "pt_map", "tolerance": 0.0}, r"pt_map\.tolerance is 0\.0"),
    ({"name": "pt_map", "steps": -1}, r"pt_map\.steps is -1"),
    ({"name": "pt_map", "iterations": 0}, r"pt_map\.iterations is 0"),
    ({"name": "transductive_finetuning", "epochs": -1}, r"transductive_finetuning\.epochs is -1"),
    ({"name": "transductive_finetuning", "learning_rate": 0.0}, r"transductive_finetuning\.learning_rate is 0\.0"),
    ({"name": "transductive_finetuning", "scale": 0.0}, r"transductive_finetuning\.scale is 0\.0"),
]


@pytest.mark.parametrize(("spec", "message"), REFUSED)
def test_what_cannot_be_built_is_refused_by_name(spec: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        build_classifier(spec, base())
    assert "\n" not in str(error.value)


def test_settings_of_an_instance_are_checked_too() -> None:
    for use in (lambda: build_classifier(TIM(steps=-1)), lambda: TIM(steps=-1).fit([[0.0], [1.0]], [0, 1])):
        with pytest.raises(InputError, match=r"tim\.steps is -1, but must be 0 or more"):
            use()


def test_the_papers_and_scikit_learns_settings_are_the_defaults() -> None:
    calibrated = load_class("calibrated")()
    assert (calibrated.power, calibrated.neighbors, calibrated.spread, calibrated.samples_per_class) == (0.5, 2, 0.21, 750)
    assert load_class("logistic")().C == load_class("svm")().C == load_class("ridge")().penalty == 1.0


SPECS_REFUSED: list[tuple[Any, str]] = [
    ("tom", r"classifier tom is unknown; did you mean tim\?"),
    ("no_such_package:Thing", "cannot be loaded"),
    ({"name": "tim", "steps": -1}, r"tim\.steps is -1"),
    ({"name": "tim", "speed": 1}, "tim has no setting speed"),
    (3, "classifiers has 3, but must have names"),
]


@pytest.mark.parametrize(("spec", "message"), SPECS_REFUSED)
def test_classifiers_of_a_recipe_are_checked_before_anything_is_built(spec: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_spec(parse_classifier(spec))


def test_classifiers_of_a_recipe_have_labels() -> None:
    specs = EvaluateConfig(classifiers=("cosine", {"name": "tim", "steps": 500, "label": "tim_500"}, "tim", KNN)).specs
    assert [spec.label for spec in specs] == ["cosine", "tim_500", "tim", "KNeighborsClassifier"]
    assert specs[1].settings == {"steps": 500}


CODE = """
import sys
import s2m2.classifiers as classifiers
from s2m2.recipe import EvaluateConfig
assert len(EvaluateConfig(classifiers=("cosine", {"name": "tim", "label": "x"})).specs) == 2
assert "TIM" in dir(classifiers)
assert "torch" not in sys.modules and "sklearn" not in sys.modules
"""


def test_names_need_no_torch() -> None:
    subprocess.run([sys.executable, "-c", CODE], check=True)


def test_every_public_name_can_be_loaded() -> None:
    assert all(getattr(s2m2.classifiers, name) is not None for name in s2m2.classifiers.LAZY)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = s2m2.classifiers.Nothing


TASKS_REFUSED: list[tuple[Callable[[], FewShotTasks], str]] = [
    (lambda: some_tasks([0, 1, 2, 3, 4, 0, 1, 2, 3, 4], ways=5, shots=2), r"labels must be 0 to 4 in order, 2 of each"),
    (lambda: some_tasks([0, 0, 1], ways=2, shots=2), r"labels must be 0 to 1 in order, 2 of each"),
    (lambda: some_tasks([0, 0, 2, 2], ways=2, shots=2), r"labels must be 0 to 1 in order"),
    (lambda: some_tasks([0, 0, 2], ways=3, shots=None), r"labels must name each of the 3 ways"),
]


def some_tasks(labels: list[int], ways: int, shots: int | None) -> FewShotTasks:
    features = torch.eye(max(labels) + 1)[labels][None]
    return FewShotTasks(support=features, labels=torch.tensor([labels]), query=features, ways=ways, shots=shots)


@pytest.mark.parametrize(("make", "message"), TASKS_REFUSED)
def test_labels_that_do_not_agree_with_ways_and_shots_are_refused(make: Callable[[], FewShotTasks], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_labels_in_any_order_are_taken_without_shots(name: str) -> None:
    tasks = some_tasks([0, 1, 2, 3, 4, 0, 1, 2, 3, 4], ways=5, shots=None)
    base_features = torch.rand(15, 5, generator=generator_for(0))
    statistics = BaseStatistics.from_features(base_features, torch.arange(5).repeat(3))
    settings = {"steps": 20} if "tim" in name.split("_") else {}
    classifier = build_classifier({"name": name, **settings}, statistics)
    assert classifier(tasks, generator_for(0))[0].argmax(-1).tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]
