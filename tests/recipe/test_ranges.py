"""Ranges hold wherever a settings dataclass is made, and the error names the flag."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from s2m2.errors import InputError
from s2m2.recipe import (
    AnalyzeConfig,
    AugmentConfig,
    CompareConfig,
    DataConfig,
    DoctorConfig,
    EvaluateConfig,
    ExportConfig,
    FinetuneConfig,
    ImportConfig,
    MixConfig,
    ModelConfig,
    OptimizerConfig,
    PrepareConfig,
    PretrainConfig,
    ProfileConfig,
    Recipe,
    RuntimeConfig,
    ValidationConfig,
)

NAN = float("nan")


def prepare(**settings: Any) -> PrepareConfig:
    return PrepareConfig(source=Path("a"), output=Path("b"), **settings)


def doctor(**settings: Any) -> DoctorConfig:
    return DoctorConfig(data="glyphs", **settings)


def import_(**settings: Any) -> ImportConfig:
    return ImportConfig(source=Path("a"), output=Path("b"), **settings)


def export(**settings: Any) -> ExportConfig:
    return ExportConfig(run=Path("a"), output=Path("b"), **settings)


def optimizer(**settings: Any) -> FinetuneConfig:
    return FinetuneConfig(optimizer=OptimizerConfig(**settings))


def validation(**settings: Any) -> PretrainConfig:
    return PretrainConfig(validation=ValidationConfig(**settings))


def mix(**settings: Any) -> FinetuneConfig:
    return FinetuneConfig(mix=MixConfig(**settings))


WRONG: list[tuple[str, Callable[..., object], dict[str, list[Any]]]] = [
    ("", Recipe, {"seed": [-1, True]}),
    ("data.", DataConfig, {
        "image_size": [27], "resize_ratio": [0.9, 2.1], "holdout_fraction": [-0.1, 1.0], "label_noise": [-0.1, 1.1],
        "std": [(0.1, 0.0, 0.1)],
    }),
    ("data.augment.", AugmentConfig, {
        "scale": [(0.0, 1.0), (0.5, 0.2), (0.5, 1.5)], "ratio": [(0.0, 1.0), (2.0, 1.0)], "flip": [-0.1, 1.1], "jitter": [-0.1, 1.0],
    }),
    ("model.", ModelConfig, {
        "backbone": ["vgg"], "width": [3], "dropout": [-0.1, 1.0, 0.5], "scale": [0.0], "timm": ["resnet50"],
        "weights": ["a"], "pretrained": [True],
    }),
    ("pretrain.", PretrainConfig, {
        "epochs": [0], "batch_size": [1], "patience": [-1], "ema_decay": [-0.1, 1.0, NAN], "bn_recalibration_images": [-1, 8],
        "label_smoothing": [1.0], "classification_weight": [-1.0], "self_supervision_weight": [-1.0],
    }),
    ("pretrain.validation.", validation, {
        "classifier": ["nearest"], "every": [0], "ways": [1], "shots": [0], "queries": [0], "tasks": [0, 10**12],
    }),
    ("finetune.", FinetuneConfig, {"epochs": [-1], "auxiliary_weight": [-1.0], "auxiliary_stride": [0, 65]}),
    ("finetune.optimizer.", optimizer, {
        "learning_rate": [0.0, NAN, 1e308], "weight_decay": [-1.0], "momentum": [-0.1, 1.0], "warmup": [0.0, 1.0],
    }),
    ("finetune.mix.", mix, {"stages": [(), (-2,)], "alpha": [-1.0], "prob": [0.0, 1.1], "num_images": [1, 9]}),
    ("evaluate.", EvaluateConfig, {
        "ways": [(), (1,), (5, 5)], "shots": [(), (0,), (1, 1)], "dirichlet_concentration": [0.0], "queries": [0], "tasks": [1, 10**15],
        "seed": [-1], "selection_tasks": [0, 10**12],
        "open_set_classes": [-1], "support_crops": [-1, 10**9], "features": [(), ("pixels", "pixels")],
        "protocols": [(), ("fixed", "fixed")], "ensemble": [(Path("a"), Path("a"))],
        "classifiers": [(), ("cosine", "cosine"), ("cosinus",), ({"epochs": 3},), ({"name": "cosine"}, "cosine")],
    }),
    ("analyze.", AnalyzeConfig, {
        "classes": [1], "images": [1], "predictions": [0], "batch_size": [0], "seed": [-1], "temperature": [0.0],
        "epsilons": [(0.0, 1.0), (2.0, 1.0), (1.0, 1.0), (1.0, 300.0), (-1.0,)],
    }),
    ("runtime.", RuntimeConfig, {
        "devices": [0], "nodes": [0], "threads": [-1], "checkpoint_seconds": [-1.0], "loggers": [("csv", "csv")],
    }),
    ("", prepare, {"size": [0, 5000], "seed": [-1], "workers": [-1, 257], "name": [" "], "splits": [""]}),
    ("", doctor, {
        "ways": [0], "shots": [0], "queries": [0], "seed": [-1], "images": [-1, 101], "workers": [-1, 257], "output": ["report.txt"],
    }),
    ("", import_, {"image_size": [27], "dataset": [" "]}),
    ("", export, {"license": [" "], "data_license": [""]}),
    ("", lambda **settings: CompareConfig(first="a", **settings), {"classifiers": [("a", "b", "c")], "output": ["a.txt"]}),
    ("", ProfileConfig, {"steps": [0], "repeats": [0]}),
]  # fmt: skip
CASES = [(section, build, name, value) for section, build, settings in WRONG for name, values in settings.items() for value in values]


@pytest.mark.parametrize(
    ("section", "build", "name", "value"), CASES, ids=[f"{section}{name}={value}" for section, _, name, value in CASES]
)
def test_a_value_out_of_range_is_one_line_that_names_its_flag(section: str, build: Callable[..., object], name: str, value: object) -> None:
    with pytest.raises(InputError) as caught:
        build(**{name: value})
    assert str(caught.value).startswith((f"--{section}{name} is ", f"--{section}{name} has "))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("build", "settings"),
    [
        (AnalyzeConfig, {"epsilons": (), "temperature": 100.0}),
        (AnalyzeConfig, {"epsilons": (0.1, 255.0), "classes": 2, "images": 2}),
        (FinetuneConfig, {"epochs": 0}),
        (doctor, {"output": None}),
        (ModelConfig, {"backbone": "package.module:build", "dropout": 0.5}),
        (EvaluateConfig, {"classifiers": ("package.module:Mine", {"name": "cosine", "label": "longer", "epochs": 400}, "cosine")}),
    ],
)
def test_values_at_the_edges_are_taken(build: Callable[..., object], settings: dict[str, Any]) -> None:
    assert build(**settings) == replace(build(**settings))  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("build", "flag"),
    [
        (lambda: MixConfig(num_images=3, partners="second_batch"), "finetune.mix.num_images"),
        (lambda: MixConfig(method="cutmix", stages=(1,)), "finetune.mix.stages"),
        (lambda: MixConfig(method="cutmix", alpha=0.0), "finetune.mix.alpha"),
        (lambda: MixConfig(method="cutmix", per_sample=True), "finetune.mix.method"),
    ],
)
def test_settings_of_mixing_that_contradict_each_other_are_refused(build: Callable[[], MixConfig], flag: str) -> None:
    with pytest.raises(InputError, match=rf"^--{flag} is "):
        FinetuneConfig(mix=build())


@pytest.mark.parametrize(
    ("build", "flag"),
    [
        (lambda: PretrainConfig(objective="mixup", label_smoothing=0.1), "pretrain.label_smoothing"),
        (lambda: PretrainConfig(mix=MixConfig(alpha=1.0)), "pretrain.objective"),
        (lambda: ModelConfig(backbone="timm"), "model.timm"),
        (lambda: ModelConfig(backbone="timm", timm="resnet50", width=8), "model.width"),
        (lambda: ModelConfig(backbone="timm", timm="resnet50", pretrained=True, weights="a"), "model.weights"),
        (lambda: DataConfig(download="learn2learn"), "data.path"),
        (lambda: Recipe(finetune=FinetuneConfig(epochs=0)), "evaluate.features"),
        (lambda: prepare(download=True), "dataset"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(build: Callable[[], object], flag: str) -> None:
    with pytest.raises(InputError, match=rf"^--{flag} is "):
        build()


WRONG_TYPES = """
import sys
from s2m2.recipe import *
made = [
    RuntimeConfig(checkpoint_seconds=60),
    *(lambda build=build, setting=setting: build(**setting) for build, setting in [
        (Recipe, {"seed": 0.5}), (ModelConfig, {"head": "mlp"}), (DataConfig, {"std": (1.0, 1.0)}), (EvaluateConfig, {"ways": 5}),
        (EvaluateConfig, {"protocols": ("random",)}), (FinetuneConfig, {"epochs": "4"}), (RuntimeConfig, {"accelerator": "tpu"}),
    ]),
]
for build in made[1:]:
    try:
        build()
    except ValueError as error:
        print(error)
sys.exit("torch" in sys.modules)
"""


def test_types_are_checked_too_and_torch_is_not_imported() -> None:
    """In a process of its own: in this one, the tests' own checks of types come first."""
    finished = subprocess.run([sys.executable, "-c", WRONG_TYPES], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines() == [
        "--seed is 0.5, but must be a whole number",
        "--model.head is mlp, but must be one of cosine, linear",
        "--data.std is [1.0, 1.0], but must be 3 values",
        "--evaluate.ways is 5, but must be a list",
        "--evaluate.protocols is random, but must be one of fixed, s2m2, dirichlet, variable",
        "--finetune.epochs is '4', but must be a whole number",
        "--runtime.accelerator is tpu, but must be one of auto, cpu, cuda, mps",
    ]
