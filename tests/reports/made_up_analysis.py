"""An analysis that nobody measured."""

import math
from dataclasses import asdict

from s2m2.analysis.measurements import Analysis, StageAnalysis
from s2m2.analysis.predictions import HeadMeasures, Memorization
from s2m2.analysis.representation import LayerMeasures, Representation
from s2m2.recipe import AnalyzeConfig


def made_up_representation(order: float, layers: int = 5) -> Representation:
    """With less entanglement the larger the order and the later the layer."""
    fractions = [math.exp(-number / 3) for number in range(29)]
    measured = tuple(
        LayerMeasures(
            layer=layer,
            name=f"stage {layer}" if layer else "input",
            dim=3072,
            entanglement=2.9 - order * layer,
            temperature=12.5,
            effective_rank=8.0 + order + layer,
            largest_fraction=fractions[0] / sum(fractions),
            directions=9.0 + layer,
            within=0.9 - 0.1 * layer,
            fractions=tuple(fraction / sum(fractions) for fraction in fractions),
            flat_classes=0,
        )
        for layer in range(layers)
    )
    return Representation(images=600, classes=20, left_out=0, chance=3.028, layers=measured)


def made_up_head(accuracy: float) -> HeadMeasures:
    """Overconfident by 5 points in every bin."""
    confidences = [(number + 0.5) / 15 for number in range(15)]
    bins = tuple((20.0, 20.0 * confidence, 20.0 * max(0.0, confidence - 0.05)) for confidence in confidences)
    attacked = ((1.0, accuracy / 2), (2.0, accuracy / 4), (4.0, accuracy / 8))
    return HeadMeasures(images=2000, accuracy=accuracy, nll=1.234, calibration_error=0.05, bins=bins, attacked=attacked)


def made_up_analysis(*, corrupted: bool = True, novel: bool = True, headed: bool = True) -> Analysis:
    """Of all stages of a run."""
    memory = Memorization(corrupted=400, clean=1600, memorized=0.625, true_label=0.125, clean_accuracy=0.875)
    stages = [
        StageAnalysis(
            name=name,
            fingerprint="f0" * 32,
            base=made_up_representation(order),
            novel=made_up_representation(order / 2) if novel else None,
            head=made_up_head(0.5 + order) if headed and name != "initial" else None,
            memorization=memory if corrupted and headed and name != "initial" else None,
        )
        for name, order in (("initial", 0.02), ("pretrain", 0.2), ("finetune", 0.3))
    ]
    return Analysis(
        created="2026-11-20T10:11:12+00:00",
        dataset="made up",
        digest="d1" * 32,
        novel_dataset="made up",
        novel_digest="d1" * 32,
        seed=3,
        settings=asdict(AnalyzeConfig()),
        base_from="held out",
        head_from="held out",
        stages=tuple(stages),
    )
