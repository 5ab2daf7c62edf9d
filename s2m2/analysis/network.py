"""All measures of one network, and the images they are taken on: a bounded number, by seed, the same for every stage of a run."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from s2m2.analysis.measurements import StageAnalysis, StageName
from s2m2.analysis.predictions import Classifier, measure_head, memorization, predict
from s2m2.analysis.representation import Representation, measure_representation
from s2m2.data.augment import evaluation_view
from s2m2.data.batches import BaseSplit, split_base
from s2m2.data.catalog import ImageDatasets
from s2m2.data.dataset import ImageDataset, LabeledImages
from s2m2.errors import InputError
from s2m2.models.backbone import Backbone
from s2m2.random import generator_for
from s2m2.recipe import AnalyzeConfig, DataConfig, Recipe


@dataclass(frozen=True, kw_only=True, eq=False)
class AnalyzedImages:
    """The images a run is measured on."""

    base: LabeledImages
    """Of base classes, for the representation."""
    base_from: Literal["held out", "trained"]
    """Whether these are held out from training."""
    novel: LabeledImages | None
    """Of novel classes, for the representation; None where there are none."""
    head: LabeledImages
    """Of base classes, for the class head."""
    head_from: Literal["held out", "trained"]
    trained: LabeledImages | None
    """Training images with their training labels; None unless some of these are wrong."""
    true_labels: Int64[Tensor, " trained"] | None
    """Their classes."""


def choose_images(recipe: Recipe, datasets: ImageDatasets) -> AnalyzedImages:
    """Sample the images: of base classes from those held out where there are any, else from those of training.

    Raises:
        InputError: no base class has two images.
    """
    config, base = recipe.analyze, split_base(datasets.base, recipe.data, recipe.seed)
    images, held_out = datasets.base.image_tensor(), bool(len(base.holdout_indices))
    candidates = (base.holdout_indices, base.holdout_labels) if held_out else (base.indices, base.true_labels)
    head_sample = sample_positions(len(candidates[0]), config.predictions, generator_for(config.seed, "analysis", "head"))
    indices, labels, from_held_out = *candidates, held_out
    positions = _sample(labels, config, "base")
    if held_out and not len(positions):  # one held-out image per class has no other to compare it with
        indices, labels, from_held_out = base.indices, base.true_labels, False
        positions = _sample(labels, config, "base")
    if not len(positions):
        raise InputError(f"no base class of {datasets.base.name} has two images, which the analysis compares")
    trained, true_labels = _corrupted_sample(images, base, config)
    return AnalyzedImages(
        base=LabeledImages(images=images, indices=indices[positions], labels=labels[positions]),
        base_from="held out" if from_held_out else "trained",
        novel=_novel_sample(datasets.novel, config),
        head=LabeledImages(images=images, indices=candidates[0][head_sample], labels=candidates[1][head_sample]),
        head_from="held out" if held_out else "trained",
        trained=trained,
        true_labels=true_labels,
    )


def sample_by_class(labels: Int64[Tensor, " item"], classes: int, images: int, generator: torch.Generator) -> Int64[Tensor, " sample"]:
    """Positions of a number of images of a number of classes, by class; all where there are fewer.

    Classes of a single image are left out, as it has no other of its class to be compared with.
    """
    keys = torch.rand(len(labels), generator=generator, dtype=torch.float64)
    numbers, counts = labels.unique(return_counts=True)
    numbers = numbers[counts >= 2]
    sampled = numbers[torch.randperm(len(numbers), generator=generator)[:classes]].sort().values
    positions = []
    for label in sampled.tolist():
        of_class = (labels == label).nonzero().flatten()
        positions.append(of_class[keys[of_class].argsort()[:images]])
    return torch.cat(positions) if positions else torch.empty(0, dtype=torch.int64)


def sample_positions(count: int, maximum: int, generator: torch.Generator) -> Int64[Tensor, " sample"]:
    """At most `maximum` of the positions 0 to `count` - 1, ascending."""
    return torch.randperm(count, generator=generator)[:maximum].sort().values


def analyze_network(
    name: StageName,
    fingerprint: str,
    backbone: Backbone,
    head: nn.Module | None,
    images: AnalyzedImages,
    data: DataConfig,
    config: AnalyzeConfig,
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> StageAnalysis:
    """Measure the representation of a backbone, and its predictions where there is a class head.

    Args:
        backbone: on `device`.
        head: features to logits of the base classes, on `device`.
        data: how images become the network's input.
        progress: called with numbers of images, `passes` in all.

    Raises:
        InputError: the network gives values that are not finite.
    """
    view = partial(evaluation_view, config=data)
    options: dict[str, Any] = {"batch_size": config.batch_size, "device": device, "progress": progress}

    def representation(sample: LabeledImages) -> Representation:
        return measure_representation(
            backbone, sample.images, sample.indices, sample.labels, view, temperature=config.temperature, **options
        )

    analysis = StageAnalysis(
        name=name,
        fingerprint=fingerprint,
        base=representation(images.base),
        novel=representation(images.novel) if images.novel is not None else None,
    )
    if head is None:
        return analysis
    classifier, sample = Classifier(backbone, head), images.head
    mean, std = data.normalization
    measures = measure_head(
        classifier, sample.images, sample.indices, sample.labels, view, epsilons=config.epsilons, mean=mean, std=std, **options
    )
    memory = None
    if images.trained is not None and images.true_labels is not None:
        logits = predict(classifier, images.trained.images, images.trained.indices, view, **options)
        memory = memorization(logits.argmax(1), images.trained.labels, images.true_labels)
    return replace(analysis, head=measures, memorization=memory)


def passes(backbone: Backbone, head: nn.Module | None, images: AnalyzedImages) -> int:
    """Images counted by `analyze_network`: each once per measured layer, and once for the class head."""
    by_layer = [sample for sample in (images.base, images.novel) if sample is not None]
    by_head = [sample for sample in (images.head, images.trained) if sample is not None and head is not None]
    return (len(backbone.stages) + 1) * sum(len(sample.indices) for sample in by_layer) + sum(len(sample.indices) for sample in by_head)


def _sample(labels: Int64[Tensor, " item"], config: AnalyzeConfig, kind: str) -> Int64[Tensor, " sample"]:
    return sample_by_class(labels, config.classes, config.images, generator_for(config.seed, "analysis", kind))


def _novel_sample(dataset: ImageDataset, config: AnalyzeConfig) -> LabeledImages | None:
    if not dataset.splits.get("novel", ()):
        return None
    indices = torch.from_numpy(dataset.indices("novel"))
    labels = torch.from_numpy(dataset.labels)[indices]
    positions = _sample(labels, config, "novel")
    return LabeledImages(images=dataset.image_tensor(), indices=indices[positions], labels=labels[positions]) if len(positions) else None


def _corrupted_sample(images: Tensor, base: BaseSplit, config: AnalyzeConfig) -> tuple[LabeledImages | None, Tensor | None]:
    if torch.equal(base.labels, base.true_labels):
        return None, None
    sample = sample_positions(len(base.indices), config.predictions, generator_for(config.seed, "analysis", "memorization"))
    return LabeledImages(images=images, indices=base.indices[sample], labels=base.labels[sample]), base.true_labels[sample]
