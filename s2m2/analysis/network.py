"""All measures of one network."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from s2m2.analysis.pictures import AnalysedPictures, Chosen
from s2m2.analysis.predictions import Classifier, measure_head, predict
from s2m2.analysis.representation import Representation, measure_representation
from s2m2.analysis.results import StageAnalysis, StageName
from s2m2.data.augment import evaluation_view
from s2m2.functional.predictions import memorisation
from s2m2.models.backbone import Backbone
from s2m2.recipe import AnalyseConfig, DataConfig


def analyse_network(
    name: StageName,
    fingerprint: str,
    backbone: Backbone,
    head: nn.Module | None,
    pictures: AnalysedPictures,
    data: DataConfig,
    config: AnalyseConfig,
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> StageAnalysis:
    """Measure the representation of a backbone, and its predictions where there is a class head.

    Args:
        backbone: on `device`.
        head: features to logits of the base classes, on `device`.
        data: how the network sees pictures.
        progress: told numbers of pictures, `passes` in all.

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
        base=representation(pictures.base),
        novel=representation(pictures.novel) if pictures.novel is not None else None,
    )
    return _with_head(measured, Classifier(backbone, head), pictures, view, data, config, options) if head is not None else measured


def passes(backbone: Backbone, head: nn.Module | None, pictures: AnalysedPictures) -> int:
    """Pictures that `analyse_network` counts: each once for every layer that it is measured in, and once for the class head."""
    measured = [chosen for chosen in (pictures.base, pictures.novel) if chosen is not None]
    predicted = [chosen for chosen in (pictures.head, pictures.trained) if chosen is not None and head is not None]
    return (len(backbone.stages) + 1) * sum(len(chosen.rows) for chosen in measured) + sum(len(chosen.rows) for chosen in predicted)


def _with_head(
    measured: StageAnalysis,
    classifier: Classifier,
    pictures: AnalysedPictures,
    view: Callable[[Tensor], Tensor],
    data: DataConfig,
    config: AnalyseConfig,
    options: dict[str, Any],
) -> StageAnalysis:
    asked = pictures.head
    found = measure_head(
        classifier, asked.images, asked.rows, asked.labels, view, epsilons=config.epsilons, mean=data.mean, std=data.std, **options
    )
    memory = None
    if pictures.trained is not None and pictures.true_labels is not None:
        logits = predict(classifier, pictures.trained.images, pictures.trained.rows, view, **options)
        memory = memorisation(logits.argmax(1), pictures.trained.labels, pictures.true_labels)
    return replace(measured, head=found, memorisation=memory)
