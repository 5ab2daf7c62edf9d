"""Wrong use of the Python API is an `InputError` of one line that names the argument."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import s2m2
from s2m2.recipe import EvaluateConfig, FinetuneConfig, MixConfig, ModelConfig, PretrainConfig, RuntimeConfig
from tests.api.calls import IMAGES, LABELS, NET, X, Y, evaluate, fit, mix, result, sample

pytestmark = pytest.mark.usefixtures("one_thread", "unchecked_types")

WRONG: dict[str, list[tuple[Callable[[], Any], str]]] = {
    "evaluate": [
        (lambda: evaluate(tasks=2.5), "tasks is 2.5, but must be a whole number, 1 or more"),
        (lambda: evaluate(tasks=None), "tasks is None, but must be a whole number"),
        (lambda: evaluate(tasks=float("inf")), "tasks is inf"),
        (lambda: evaluate(ways="5"), "ways is '5', but must be a whole number"),
        (lambda: evaluate(shots=True), "shots is True, but must be a whole number"),
        (lambda: evaluate(queries=[3]), r"queries is \[3\]"),
        (lambda: evaluate(seed=-1), "seed is -1, but must be 0 or more"),
        (lambda: evaluate(seed=None), "seed is None"),
        (lambda: evaluate(seed=2.5), "seed is 2.5"),
        (lambda: evaluate(protocol=["fixed"]), r"protocol is \['fixed'\], but must be one of fixed, s2m2"),
        (lambda: evaluate(device="cud"), "device is 'cud', but must be a device that this machine has"),
        (lambda: evaluate(device="meta"), "device is 'meta'"),
        (lambda: evaluate(device=2.5), "device is 2.5"),
        (lambda: evaluate(progress="no"), "progress is 'no', but must be True or False"),
        (lambda: evaluate(transforms=3), "transforms is 3, but must be a list of names"),
        (lambda: evaluate(transforms="units"), r"transforms\[0\] is 'units', but must be one of rectify, unit"),
        (lambda: evaluate(transforms=["unit", None]), r"transforms\[1\] is None"),
        (lambda: evaluate(classifier=3), "classifier int has no fit"),
        (lambda: evaluate(classifier=None), "classifier NoneType has no fit"),
        (lambda: evaluate(classifier=s2m2.CosineClassifier(random_state="a")), "cosine.random_state is 'a'"),
        (lambda: evaluate(classifier=s2m2.LaplacianShot(base=(X[:, :3], Y))), "base has 3 features an image, but X has 8"),
        (lambda: evaluate(base=3), "base is not a pair"),
        (lambda: evaluate(base=(None, Y)), "base features of shape"),
        (lambda: evaluate(features=None), "X of shape"),
        (lambda: evaluate(features=X.astype(complex)), "X of shape .* complex128"),
        (lambda: evaluate(features=[[1.0], [1.0, 2.0]]), "X is no array"),
        (lambda: evaluate(features=torch.from_numpy(X).to_sparse()), "X is no array"),
    ],
    "compare": [
        (lambda: s2m2.compare(result(), 3), "b is 3, but must be a result of s2m2.evaluate"),
        (lambda: s2m2.compare(None, result()), "a is None"),
        (lambda: s2m2.compare(result(), result().per_task), "b is of type ndarray"),
    ],
    "EpisodeSampler": [
        (lambda: sample(tasks=None), "tasks is None"),
        (lambda: sample(shots=1.5), "shots is 1.5"),
        (lambda: sample(seed=-1), "seed is -1"),
        (lambda: sample(seed=None), "seed is None"),
        (lambda: sample(concentration="a"), "concentration is 'a', but must be a number, above 0"),
        (lambda: sample(concentration=0), "concentration is 0, but must be above 0"),
        (lambda: sample(open_set_classes=0.5), "open_set_classes is 0.5"),
        (lambda: sample(protocol=None), "protocol is None"),
    ],
    "ManifoldMixup": [
        (lambda: mix(3), "layers is 3, but must be an nn.Module or a list of them"),
        (lambda: mix("conv1"), r"layers\[0\] is 'c', but must be an nn.Module"),
        (lambda: mix(alpha="a"), "alpha is 'a', but must be a number, 0 or more"),
        (lambda: mix(alpha=float("inf")), "alpha is inf"),
        (lambda: mix(prob=None), "prob is None"),
        (lambda: mix(num_images=2.5), "num_images is 2.5, but must be a whole number, from 2 to 8"),
        (lambda: mix(seed=-1), "seed is -1"),
        (lambda: mix(seed=None), "seed is None"),
        (lambda: mix(include_input="no"), "include_input is 'no'"),
        (lambda: mix(per_sample=2), "per_sample is 2, but must be True or False"),
        (lambda: mix(partners=["batch"]), r"partners is \['batch'\], but must be one of batch, class"),
        (lambda: mix(net=3), "net is 3, but must be an nn.Module"),
        (lambda: mix(images=IMAGES.numpy()), "images is of type ndarray, but must be a torch tensor"),
        (lambda: mix(images=IMAGES.byte()), "images is torch.uint8"),
        (lambda: mix(labels=LABELS.tolist()), r"labels is \[0, 1, 2, 3, 0, 1, 2, 3\], but must be a torch tensor"),
        (lambda: mix(labels=LABELS.to("meta")), "labels is on meta, but images is on cpu"),
        (lambda: mix(num_classes=None), "num_classes is None"),
        (lambda: s2m2.ManifoldMixup(NET[0]).load_state_dict({}), "the step of state is None"),
        (lambda: s2m2.ManifoldMixup(NET[0]).load_state_dict({"step": "a"}), "the step of state is 'a'"),
    ],
    "rotate90_batch": [
        (lambda: s2m2.rotate90_batch(IMAGES.numpy()), "images is of type ndarray, but must be a torch tensor"),
        (lambda: s2m2.rotate90_batch(IMAGES[0]), "images has shape"),
        (lambda: s2m2.rotate90_batch(IMAGES, sample="one"), "sample is 'one'"),
        (lambda: s2m2.rotate90_batch(IMAGES, sample=True, generator=0), "generator is 0, but must be a torch.Generator"),
        (lambda: s2m2.rotate90_batch(IMAGES.to("meta"), sample=True, generator=torch.Generator()), "generator is on cpu"),
    ],
    "rotation_loss": [
        (lambda: s2m2.rotation_loss(torch.zeros(8, 5), LABELS), "logits has shape .8, 5., but must have one row an image and 4 columns"),
        (lambda: s2m2.rotation_loss(torch.zeros(8), LABELS), "logits has shape"),
        (lambda: s2m2.rotation_loss(torch.zeros(8, 4).long(), LABELS), "logits is torch.int64, but must be floats"),
        (lambda: s2m2.rotation_loss(None, LABELS), "logits is None"),
        (lambda: s2m2.rotation_loss(torch.zeros(8, 4), LABELS.tolist()), r"rotation_labels is \[0, 1, 2"),
        (lambda: s2m2.rotation_loss(torch.zeros(8, 4), LABELS[:3]), "rotation_labels is torch.int64 of shape .3,."),
        (lambda: s2m2.rotation_loss(torch.zeros(8, 4), LABELS.float()), "rotation_labels is torch.float32"),
        (lambda: s2m2.rotation_loss(torch.zeros(8, 4), LABELS + 1), "rotation_labels has a number that is no rotation, 0 to 3"),
    ],
    "exemplar_loss": [
        (lambda: s2m2.exemplar_loss(torch.zeros(8)), 'features has shape .8,., but must be "copies.batch dim" or'),
        (lambda: s2m2.exemplar_loss(torch.zeros(2, 2, 2, 2)), "features has shape"),
        (lambda: s2m2.exemplar_loss(np.zeros((8, 3))), "features is of type ndarray"),
        (lambda: s2m2.exemplar_loss(torch.zeros(8, 3).int()), "features is torch.int32, but must be floats"),
        (lambda: s2m2.exemplar_loss(torch.zeros(8, 3), copies=2.5), "copies is 2.5"),
        (lambda: s2m2.exemplar_loss(torch.zeros(8, 3), copies=None), "copies is None"),
    ],
    "classifiers": [
        (lambda: fit(name="cosine", random_state="a"), "cosine.random_state is 'a', but must be a whole number, 0 or more, a NumPy Rand"),
        (lambda: fit(name="cosine", random_state=-1), "cosine.random_state is -1"),
        (lambda: fit(name="cosine", random_state=2.5), "cosine.random_state is 2.5"),
        (lambda: fit(name="cosine", random_state=True), "cosine.random_state is True"),
        (lambda: fit(name="calibrated", random_state=[1], base=(X, Y)), r"calibrated.random_state is \[1\]"),
        (lambda: fit(name="calibrated", base=3), "base is neither BaseStatistics nor a pair"),
        (lambda: fit(name="calibrated", base=(X, Y[:3])), "base has 72 rows of features, but 3 labels"),
        (lambda: fit(name="calibrated", base=(X[0], Y)), "base features of shape"),
        (lambda: fit(name="laplacian_shot", base=(X, None)), "base labels of shape"),
        (lambda: fit(name="laplacian_shot", base=("ab", Y)), "base features of type"),
        (lambda: fit(name="laplacian_shot", base=(X * np.nan, Y)), "base features are not all finite"),
        (lambda: fit(name="laplacian_shot", base=(X[:, :3], Y)), "base has 3 features an image, but X has 8"),
        (lambda: fit(name="logistic", C=float("inf")), "logistic.C is inf, but must be finite"),
        (lambda: fit(name="tim", steps="many"), "tim.steps is 'many', but must be a whole number"),
        (lambda: fit(features=None), "X: Expected 2D array"),
        (lambda: fit(features=X[0]), r"X: Expected 2D array, got 1D array instead: array=.*\. Reshape"),
        (lambda: fit(features={"a": 1}), "X: .*dict"),
        (lambda: fit(features=torch.from_numpy(X).to_sparse()), "X is no array"),
        (lambda: fit(labels=Y[:3]), "X and y: .* inconsistent numbers of samples"),
        (lambda: fit().predict(X[:, :3]), "X has 3 features"),
        (lambda: fit().predict(None), "X: Expected 2D array"),
        (lambda: s2m2.BaseStatistics.from_features(None, Y), "base features"),
        (lambda: s2m2.BaseStatistics.from_features(X, None), "base labels"),
    ],
    "load": [
        (lambda: s2m2.load(None), "source is None, but must be a path"),
        (lambda: s2m2.load(3), "source is 3"),
        (lambda: s2m2.load(b"runs"), "source is of type bytes"),
        (lambda: s2m2.load("nothing", stage=3), "stage is 3, but must be pretrain or finetune"),
        (lambda: s2m2.load("nothing"), "there is no run directory or export nothing"),
    ],
    "pipeline": [
        (lambda: s2m2.run(path=3), "path is 3, but must be a path"),
        (lambda: s2m2.pretrain(path=["a"]), r"path is \['a'\]"),
        (lambda: s2m2.finetune(3), "recipe is 3, but must be a file, a Recipe or a mapping"),
        (lambda: s2m2.evaluate_run(b"a"), "recipe is of type bytes"),
        (lambda: s2m2.run(verbose="no"), "verbose is 'no'"),
        (lambda: s2m2.run({3: 4}), "no setting 3"),
        (lambda: s2m2.run(pretrain=3), "pretrain is 3, but must be a section of settings"),
        (lambda: s2m2.run(pretrain={"epochs": object()}), "pretrain.epochs"),
        (lambda: s2m2.run(pretrain={"epochs": {1, 2}}), "pretrain.epochs"),
        (lambda: s2m2.run(evaluate={"classifiers": [print]}), "evaluate.classifiers"),
        (lambda: s2m2.run(classifier=3), "evaluate.classifiers"),
        (lambda: s2m2.run(backbone=nn.Identity()), "model.backbone"),
        (lambda: s2m2.run(pretrain={"average": 0.9}), "no setting pretrain.average; it is now pretrain.ema_decay"),
        (lambda: s2m2.run(**{"data.table": "a"}), "no setting data.table; it is now data.path"),
        (lambda: s2m2.run(analyse={}), "no setting analyse; it is now analyze"),
        (lambda: s2m2.run({"evaluate": {"heads": ["tim"]}}), "no setting evaluate.heads; it is now part of evaluate.classifiers"),
        (lambda: s2m2.run(evaluate={"tim": {"steps": 3}}), "no setting evaluate.tim; it is now part of evaluate.classifiers"),
    ],
    "recipes": [
        (lambda: s2m2.read_recipe(), "read_recipe takes the path"),
        (lambda: s2m2.read_recipe(None), "path is None, but must be a path"),
        (lambda: s2m2.read_recipe("missing.yaml"), "no recipe file missing.yaml"),
        (lambda: s2m2.Recipe(pretrain={"epochs": 2}), r"--pretrain is \{'epochs': 2\}, but must be s2m2\.recipe\.PretrainConfig\(\.\.\.\)"),
        (lambda: s2m2.Recipe(runtime=None), r"--runtime is None, but must be s2m2\.recipe\.RuntimeConfig"),
        (lambda: s2m2.Recipe(seed=None), "--seed is None"),
        (lambda: s2m2.Recipe(evaluate=EvaluateConfig), "--evaluate is of type type"),
        (lambda: FinetuneConfig(mix={"alpha": 1.0}), r"--finetune.mix is \{'alpha': 1.0\}, but must be s2m2\.recipe\.MixConfig"),
        (lambda: FinetuneConfig(mix=MixConfig(per_sample="no")), "--finetune.mix.per_sample is 'no', but must be true or false"),
        (lambda: FinetuneConfig(mix=MixConfig(stages="all")), "--finetune.mix.stages is all, but must be a list"),
        (lambda: EvaluateConfig(details="no"), "--evaluate.details is 'no', but must be true or false"),
        (lambda: EvaluateConfig(save_tasks=3), "--evaluate.save_tasks is 3, but must be a pathlib.Path, or None"),
        (lambda: EvaluateConfig(ensemble=("a",)), r"--evaluate.ensemble is \('a',\), but must be a list, each value a pathlib.Path"),
        (lambda: EvaluateConfig(classifiers=(3,)), "--evaluate.classifiers"),
        (lambda: EvaluateConfig(classifiers="tim"), "--evaluate.classifiers is tim, but must be a list"),
        (lambda: EvaluateConfig(novel_dataset=3), "--evaluate.novel_dataset is 3, but must be text, or None"),
        (lambda: ModelConfig(backbone=None), "--model.backbone is None, but must be text"),
        (lambda: PretrainConfig(epochs="many"), "--pretrain.epochs is 'many'"),
        (lambda: RuntimeConfig(compile=3), "--runtime.compile is 3, but must be true or false"),
        (lambda: RuntimeConfig(threads=None), "--runtime.threads is None"),
        (lambda: RuntimeConfig(loggers=3), "--runtime.loggers is 3, but must be a list"),
    ],
}
CASES = [pytest.param(call, words, id=f"{name}-{number}") for name, rows in WRONG.items() for number, (call, words) in enumerate(rows)]


@pytest.mark.parametrize(("call", "words"), CASES)
def test_a_wrong_argument_is_named_in_one_line(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(s2m2.InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert list(Path.cwd().iterdir()) == []  # nothing is written
