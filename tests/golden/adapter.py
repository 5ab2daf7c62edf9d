"""What the golden values are computed by. The only file of this folder that imports s2m2: whoever moves or renames code changes this one.

Functions take plain values and return plain tensors, lists and dicts. Made-up inputs come from NumPy's seeded generators.
"""

import json
import re
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from s2m2.classifiers import CLASSIFIERS, BaseStatistics, build_classifier, load_class
from s2m2.cli import main
from s2m2.data.dataset import LabeledImages
from s2m2.data.glyphs import glyph_dataset
from s2m2.evaluation.accuracies import sampler_for, score_tasks
from s2m2.evaluation.features import FeatureSet
from s2m2.models import build_backbone, initialize
from s2m2.random import generator_for
from s2m2.recipe import DataConfig, FinetuneConfig, ModelConfig, OptimizerConfig, PretrainConfig, Recipe
from s2m2.recipe.training import MixConfig
from s2m2.tasks.episodes import EpisodeSpec
from s2m2.tasks.sampler import iterate_tasks
from s2m2.training.objectives import finetune_objective, pretrain_objective
from s2m2.training.step import StageSettings, TrainingStep, prepare

CLASSES, IMAGES, DIM = 20, 40, 64
QUERIES = 15
NAMES = (
    (r"^(backbone|objective)\.", ""),
    (r"^beside\.", ""),
    (r"^stages\.(\d+)\.0\.", r"block\1.convolution."),
    (r"^stages\.(\d+)\.1\.", r"block\1.normalization."),
    (r"^heads\.classifier\.", "class_classifier."),
    (r"^heads\.rotation\.", "rotation_classifier."),
)
"""Patterns that lead from the names of a state dict to those of the golden values."""


def classifier_names() -> list[str]:
    """All few-shot classifiers."""
    return list(CLASSIFIERS)


def made_up_features(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Non-negative features "image dim" of overlapping classes, and their labels."""
    numbers = np.random.default_rng(seed)
    labels = np.repeat(np.arange(CLASSES), IMAGES)
    centers = numbers.gamma(1.0, 0.5, (CLASSES, DIM))
    noise = numbers.normal(size=(len(labels), DIM))
    return torch.from_numpy(np.maximum(centers[labels] + 1.3 * noise, 0)).float(), torch.from_numpy(labels)


def score_classifier(
    name: str,
    *,
    shots: int,
    tasks: int,
    protocol: str = "fixed",
    features: tuple[Tensor, Tensor] | None = None,
    settings: dict[str, dict[str, float]] | None = None,
) -> tuple[list[float], list[int]]:
    """Accuracy of a few-shot classifier on each task, and the number of queries of each task.

    Args:
        features: other features and labels than the made-up ones.
        settings: what differs from the default settings of the classifier, by its name.
    """
    spec = {"name": name, **(settings or {}).get(name, {})}
    features_set = _dataset(*(features or made_up_features()), "novel")
    base = BaseStatistics.from_features(*made_up_features(1)) if load_class(name).needs_base else None
    tasks_spec = EpisodeSpec(ways=5, shots=shots, queries=QUERIES, tasks=tasks, seed=0, protocol=protocol)  # type: ignore[arg-type]
    accuracies = score_tasks(features_set, tasks_spec, build_classifier(spec, base))
    source = sampler_for(features_set, tasks_spec)
    counts = [count for number in range(source.blocks) for part in source.block(number) for count in [part.query.shape[1]] * len(part)]
    return accuracies.tolist(), counts


def _dataset(features: Tensor, labels: Tensor, fingerprint: str) -> FeatureSet:
    names = tuple(f"class{number}" for number in range(CLASSES))
    return FeatureSet(features=features, labels=labels, indices=torch.arange(len(labels)), class_names=names, fingerprint=fingerprint)


def sampled_tasks(protocol: str, seed: int) -> list[dict[str, Tensor]]:
    """Sampled tasks in order, those of one size together: class numbers, rows and ways."""
    labels = made_up_features()[1]
    spec = EpisodeSpec(ways=5, shots=5, queries=QUERIES, tasks=300, seed=seed, protocol=protocol)  # type: ignore[arg-type]
    return [
        {
            "classes": part.classes,
            "support": part.support,
            "support_ways": part.support_ways,
            "query": part.query,
            "query_ways": part.query_ways,
        }
        for part in iterate_tasks(labels, spec)
    ]


def train_steps(objective: str, *, steps: int = 20, rate: float = 0.003) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, float]]:
    """Weights and statistics of a small network before and after some training steps, and the loss terms of the last step.

    Args:
        objective: supervised, rotation, exemplar, mixup (of input images), or finetune (manifold mixup with rotation beside it).
    """
    classes, size = 8, 32
    numbers = np.random.default_rng(2)
    images = torch.from_numpy(numbers.integers(0, 256, (96, size, size, 3), dtype=np.uint8))
    labels = torch.arange(len(images)) % classes
    optimizer = OptimizerConfig(learning_rate=rate)
    first = "rotation" if objective == "finetune" else objective
    mix = MixConfig(stages=(0,)) if objective == "mixup" else MixConfig()
    recipe = Recipe(
        data=DataConfig(image_size=size, resize_ratio=1.15),
        model=ModelConfig(backbone="conv4", width=8),
        pretrain=PretrainConfig(objective=first, mix=mix, batch_size=16, epochs=10, optimizer=optimizer),  # type: ignore[arg-type]
        finetune=FinetuneConfig(batch_size=16, epochs=10, optimizer=optimizer),
    )
    backbone = build_backbone(recipe.model, size, generator_for(0, "backbone"))
    heads = pretrain_objective(recipe, backbone.feature_dim, classes)
    initialize(heads, generator_for(0, "heads"))
    config, whole = (recipe.finetune, finetune_objective(recipe, heads)) if objective == "finetune" else (recipe.pretrain, heads)
    settings = StageSettings.of(recipe, config)
    fabric = Fabric(accelerator="cpu", devices=1)
    moved = prepare(fabric, backbone, whole, settings)
    step = TrainingStep(fabric, moved, LabeledImages(images=images, indices=torch.arange(len(images)), labels=labels), settings)
    step.networks.train()
    before = _plain_state(moved.networks)
    for number in range(steps):
        terms = step(number)
    return (
        before,
        _plain_state(moved.networks),
        {"total": float(terms.total), **{name: float(value) for name, value in terms.parts.items()}},
    )


def _plain_state(networks: nn.Module) -> dict[str, Tensor]:
    return {_plain_name(name): value.detach().double() for name, value in networks.state_dict().items() if value.is_floating_point()}


def _plain_name(name: str) -> str:
    for pattern, replacement in NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def quick_pipeline(path: Path, **changes: str) -> dict[str, float]:
    """5-way 5-shot accuracy of the cosine classifier on glyphs after each stage of a short run of the quick recipe.

    Classes alone are pretrained, and with a larger scale: so short a run learns little beside rotations.

    Args:
        path: an empty folder.
        changes: other settings, with `__` for the dots of a path.
    """
    glyph_dataset(path / "cache", classes=50, images_per_class=60)
    dataset = next(folder for folder in (path / "cache").iterdir() if not folder.name.startswith("."))
    settings = {
        "data.path": str(dataset),
        "run-dir": str(path / "run"),
        "model.width": "16",
        "model.scale": "10",
        "pretrain.objective": "supervised",
        "pretrain.epochs": "3",
        "pretrain.batch_size": "32",
        "pretrain.optimizer.learning_rate": "0.02",
        "pretrain.validation.tasks": "100",
        "finetune.epochs": "4",
        "finetune.patience": "0",
        "finetune.batch_size": "32",
        "finetune.optimizer.learning_rate": "0.02",
        "finetune.validation.tasks": "100",
        "evaluate.shots": "5",
        "evaluate.classifiers": "cosine",
        "evaluate.tasks": "300",
        "evaluate.details": "false",
        "runtime.threads": "1",
        "runtime.accelerator": "cpu",
        **{name.replace("__", "."): value for name, value in changes.items()},
    }
    code = main(["run", *(part for name, value in settings.items() for part in (f"--{name}", *value.split()))])
    if code != 0:
        raise RuntimeError(f"the run ended with {code}")
    found = {}
    for file in (path / "run" / "results").glob("*.json"):
        stage = next(stage for stage in ("pretrain", "finetune") if stage in file.name)
        found[stage] = json.loads(file.read_text())["mean"]
    return found
