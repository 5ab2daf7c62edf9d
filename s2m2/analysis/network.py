"""All measures of one network."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from s2m2.analysis.images import AnalyzedImages, Chosen
from s2m2.analysis.predictions import Classifier, measure_head, predict
from s2m2.analysis.representation import Representation, measure_representation
from s2m2.analysis.results import StageAnalysis, StageName
from s2m2.data.augment import evaluation_view
from s2m2.functional.predictions import memorization
from s2m2.models.backbone import Backbone
from s2m2.recipe import AnalyzeConfig, DataConfig


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
        data: how the network sees images.
        progress: told numbers of images, `passes` in all.

    Raises:
        InputError: the network gives values that are not finite.
    """
    view = partial(evaluation_view, config=data)
    options: dict[str, Any] = {"batch_size": config.batch_size, "device": device, "progress": progress}

    def representation(chosen: Chosen) -> Representation:
        return measure_representation(backbone, chosen.images, chosen.rows, chosen.labels, view, temperature=config.temperature, **options)

    measured = StageAnalysis(
        name=name,
        fingerprint=fingerprint,
        base=representation(images.base),
        novel=representation(images.novel) if images.novel is not None else None,
    )
    return _with_head(measured, Classifier(backbone, head), images, view, data, config, options) if head is not None else measured


def passes(backbone: Backbone, head: nn.Module | None, images: AnalyzedImages) -> int:
    """Images that `analyze_network` counts: each once for every layer that it is measured in, and once for the class head."""
    measured = [chosen for chosen in (images.base, images.novel) if chosen is not None]
    predicted = [chosen for chosen in (images.head, images.trained) if chosen is not None and head is not None]
    return (len(backbone.stages) + 1) * sum(len(chosen.rows) for chosen in measured) + sum(len(chosen.rows) for chosen in predicted)


def _with_head(
    measured: StageAnalysis,
    classifier: Classifier,
    images: AnalyzedImages,
    view: Callable[[Tensor], Tensor],
    data: DataConfig,
    config: AnalyzeConfig,
    options: dict[str, Any],
) -> StageAnalysis:
    asked = images.head
    found = measure_head(
        classifier, asked.images, asked.rows, asked.labels, view, epsilons=config.epsilons, mean=data.mean, std=data.std, **options
    )
    memory = None
    if images.trained is not None and images.true_labels is not None:
        logits = predict(classifier, images.trained.images, images.trained.rows, view, **options)
        memory = memorization(logits.argmax(1), images.trained.labels, images.true_labels)
    return replace(measured, head=found, memorization=memory)
