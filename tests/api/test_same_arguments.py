"""Arguments that mean the same are accepted in every form, and labels are treated alike everywhere."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

import s2m2
from s2m2.classifiers import CLASSIFIERS, load_class
from s2m2.recipe import EvaluateConfig
from s2m2.recipe.overrides import as_recipe
from tests.api.calls import FEW, NET, X, Y, evaluate, fit, mix, result, sample

pytestmark = pytest.mark.usefixtures("one_thread", "unchecked_types")

LABEL_USES: dict[str, Callable[[Any], Any]] = {
    "evaluate": lambda labels: evaluate(labels=labels).per_task.tolist(),
    "EpisodeSampler": sample,
    "fit": lambda labels: fit(labels).predict_proba(X).tolist(),
}
SAME_LABELS: dict[str, Callable[[], Any]] = {
    "list": Y.tolist,
    "int8": lambda: Y.astype(np.int8),
    "whole floats": lambda: Y.astype(float),
    "objects": lambda: Y.astype(object),
    "text": lambda: Y.astype(str),
    "text objects": lambda: Y.astype(str).astype(object),
    "bytes": lambda: Y.astype("S"),
    "tensor": lambda: torch.from_numpy(Y),
    "half tensor": lambda: torch.from_numpy(Y).bfloat16(),
    "column": lambda: Y[:, None],
}
REFUSED_LABELS: dict[str, Any] = {
    "None": None,
    "fractions": Y + 0.5,
    "NaN": np.where(Y == 3, np.nan, Y),
    "mixed": np.array([*Y[:-1], "a"], dtype=object),
    "missing": np.array([*Y[:-1], None], dtype=object),
    "complex": Y + 1j,
    "two columns": np.stack([Y, Y], axis=1),
    "a number": 3,
    "a mapping": {"a": 1},
    "dates": Y.astype("M8[D]"),
}


@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
@pytest.mark.parametrize("use", LABEL_USES)
@pytest.mark.parametrize("kind", SAME_LABELS)
def test_labels_of_the_same_kinds_mean_the_same_everywhere(use: str, kind: str) -> None:
    assert LABEL_USES[use](SAME_LABELS[kind]()) == LABEL_USES[use](Y)


@pytest.mark.parametrize("use", LABEL_USES)
@pytest.mark.parametrize("kind", REFUSED_LABELS)
def test_labels_of_the_same_kinds_are_refused_everywhere(use: str, kind: str) -> None:
    with pytest.raises(s2m2.InputError) as caught:
        LABEL_USES[use](REFUSED_LABELS[kind])
    assert "\n" not in str(caught.value)


def test_truth_values_are_two_classes_everywhere() -> None:
    truth = Y > 2
    assert sample(truth, ways=2) == sample(truth.astype(int), ways=2)
    assert evaluate(labels=truth, ways=2).mean == evaluate(labels=truth.astype(int), ways=2).mean
    assert fit(truth).predict(X).dtype == bool


def mixed(**arguments: Any) -> list[Any]:
    output, targets = mix(**{"seed": 1, **arguments})
    return [output.tolist(), targets.tolist()]


HALF = torch.from_numpy(X).bfloat16()
SAME: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "whole floats": (lambda: evaluate(tasks=6.0, ways=3.0, seed=0.0).per_task.tolist(), lambda: result().per_task.tolist()),
    "NumPy numbers": (lambda: evaluate(tasks=np.int16(6), ways=np.float32(3)).per_task.tolist(), lambda: result().per_task.tolist()),
    "torch numbers": (lambda: sample(tasks=torch.tensor(6), seed=np.array(0)), sample),
    "half features": (lambda: evaluate(HALF.half()).mean, lambda: evaluate(HALF.half().float()).mean),
    "bfloat16 features": (lambda: evaluate(HALF).mean, lambda: evaluate(HALF.float()).mean),
    "bfloat16 base": (
        lambda: evaluate(base=(HALF, Y), transforms="cl2n").mean,
        lambda: evaluate(base=(HALF.float(), Y), transforms="cl2n").mean,
    ),
    "bfloat16 in fit": (
        lambda: fit(features=HALF).predict_proba(HALF).tolist(),
        lambda: fit(features=HALF.float()).predict_proba(HALF.float()).tolist(),
    ),
    "one transform": (lambda: evaluate(transforms="unit").mean, lambda: evaluate(transforms=("unit",)).mean),
    "a device": (lambda: evaluate(device=torch.device("cpu")).mean, lambda: result().mean),
    "a layer": (lambda: mixed(layers=NET[0]), lambda: mixed(layers=[NET[0]])),
    "a module list": (lambda: mixed(layers=nn.ModuleList([NET[0], NET[3]])), lambda: mixed(layers=[NET[0], NET[3]])),
    "numbers of mixing": (
        lambda: mixed(alpha=np.float32(2), num_images=2.0, num_classes=np.int64(4), per_sample=np.True_),
        lambda: mixed(per_sample=True),
    ),
    "copies": (
        lambda: s2m2.exemplar_loss(torch.eye(8), copies=np.int64(4)).item(),
        lambda: s2m2.exemplar_loss(torch.eye(8), copies=4).item(),
    ),
    "NumPy settings": (
        lambda: as_recipe(seed=np.int64(3), pretrain={"epochs": np.int32(2), "optimizer": {"learning_rate": np.float64(0.5)}}),
        lambda: as_recipe(seed=3, pretrain={"epochs": 2, "optimizer": {"learning_rate": 0.5}}),
    ),
    "NumPy lists": (lambda: as_recipe(evaluate={"ways": np.array([5, 10])}), lambda: as_recipe(evaluate={"ways": (5, 10)})),
    "NumPy in dataclasses": (
        lambda: repr(s2m2.Recipe(seed=np.int64(3), evaluate=EvaluateConfig(ways=[np.int64(5)], details=np.True_))),
        lambda: repr(s2m2.Recipe(seed=3, evaluate=EvaluateConfig(ways=(5,)))),
    ),
}


@pytest.mark.parametrize("case", SAME)
def test_what_means_the_same_is_accepted(case: str) -> None:
    given, expected = SAME[case]
    assert given() == expected()


def test_a_recipe_file_may_be_text_or_a_path(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("seed: 3")
    assert s2m2.read_recipe(str(tmp_path / "a.yaml")) == s2m2.read_recipe(tmp_path / "a.yaml") == s2m2.Recipe(seed=3)
    assert asdict(as_recipe(str(tmp_path / "a.yaml")))["seed"] == 3


def probabilities(name: str, **settings: Any) -> list[Any]:
    return list(fit(Y[:20], np.abs(X[:20]), name, **settings).predict_proba(np.abs(X)).tolist())


@pytest.mark.parametrize("name", ["calibrated", "laplacian_shot"])
def test_base_may_be_features_and_labels(name: str) -> None:
    base = np.abs(X), Y.astype(str)
    expected = probabilities(name, base=s2m2.BaseStatistics.from_features(*base))
    assert probabilities(name, base=base) == expected
    assert probabilities(name, base=[torch.from_numpy(base[0]), Y.tolist()]) == expected
    copy = clone(load_class(name)(**FEW.get(name, {}), base=base))
    assert copy.fit(np.abs(X[:20]), Y[:20]).predict_proba(np.abs(X)).tolist() == expected
    classifier = load_class(name)(**FEW.get(name, {}), base=base)
    by_evaluate = evaluate(np.abs(X), classifier={"name": name, **FEW.get(name, {})}, base=base)
    assert evaluate(np.abs(X), classifier=classifier).mean == by_evaluate.mean


@pytest.mark.parametrize("name", ["cosine", "calibrated"])
def test_random_state_is_as_in_scikit_learn(name: str) -> None:
    base = {"base": (np.abs(X), Y)} if load_class(name).needs_base else {}
    plain = probabilities(name, **base, random_state=3)
    assert probabilities(name, **base, random_state=np.int64(3)) == plain
    for kind in (np.random.RandomState, np.random.default_rng):
        state = kind(0)
        first, second = (probabilities(name, **base, random_state=state) for _ in range(2))
        assert first == probabilities(name, **base, random_state=kind(0))
        assert first != second
    assert probabilities(name, **base, random_state=None) != probabilities(name, **base, random_state=None)
    classifier = load_class(name)(**FEW[name], **base, random_state=None).fit(np.abs(X[:20]), Y[:20])
    assert classifier.get_params()["random_state"] is None
    assert clone(classifier).get_params()["random_state"] is None
    assert classifier.predict_proba(np.abs(X)).tolist() == classifier.predict_proba(np.abs(X)).tolist()
    settings = {"classifier": classifier, "features": np.abs(X)}
    assert evaluate(**settings).per_task.tolist() == evaluate(**settings).per_task.tolist()


def test_every_classifier_with_a_random_state_is_checked() -> None:
    with_state = [name for name in CLASSIFIERS if "random_state" in load_class(name)().get_params()]
    assert with_state == ["cosine", "calibrated"]
