"""All classifiers of an evaluation on all kinds of tasks: their results, written as they are finished."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from s2m2.classifiers import FewShotClassifier, balance_warning
from s2m2.console import Advance, console, progress_bar
from s2m2.evaluation.accuracies import score_tasks, scorer_for
from s2m2.evaluation.details import Details
from s2m2.evaluation.features import FeatureSet
from s2m2.evaluation.measure_details import Selection, measure_tasks
from s2m2.evaluation.preparation import PreparedFeatures, prepare_features
from s2m2.evaluation.results import TaskResults, save_results
from s2m2.evaluation.task_kinds import TaskKind, task_sources
from s2m2.recipe import EvaluateConfig
from s2m2.runs.provenance import hardware_of
from s2m2.tasks.saved_tasks import SavedTasks


@dataclass(frozen=True, kw_only=True, eq=False)
class EvaluatedFeatures:
    """Features to be scored, and their description in the results."""

    features: FeatureSet
    name: str
    """Origin of the features; a column of the score table."""
    dataset: str
    """Name of the dataset."""
    split: str
    data_digest: str
    """Digest of the images; empty where unknown."""
    validation: FeatureSet | None = None
    """Features of the validation classes, for temperatures and thresholds; None where there are none but the evaluated ones."""
    base: FeatureSet | None = None
    """Features of the base classes, for transforms and classifiers that need them; None where there are none, or none are needed."""


def warn_of_balance(config: EvaluateConfig, classifiers: Mapping[str, FewShotClassifier]) -> None:
    """Print a line for each classifier that assumes balanced queries, on tasks that may not be balanced."""
    protocols = (None,) if config.tasks_from else config.protocols
    for warning in (balance_warning(one, protocol, label) for label, one in classifiers.items() for protocol in protocols):
        if warning is not None:
            console.print(f"warning: {warning}", markup=False, soft_wrap=True)


def score_all(
    evaluated: EvaluatedFeatures, config: EvaluateConfig, device: torch.device, folder: Path, prepared: PreparedFeatures | None = None
) -> list[TaskResults]:
    """Score every classifier on every kind of task, and write each result into a folder as it is finished.

    Args:
        prepared: the prepared features; None: they are prepared here.

    Raises:
        InputError: a task needs more than there is, or a transform or classifier does not suit the features.
    """
    prepared = prepared or prepare_features(evaluated.features, evaluated.validation, config, evaluated.base)
    kinds = task_sources(config, evaluated.features)
    results = []
    for label in prepared.classifiers:
        for kind in kinds:
            with progress_bar(f"{evaluated.name}, {label}, {kind[0].label}", kind[0].tasks, "tasks") as advance:
                results.append(score_kind(evaluated, prepared, label, kind, config, device, advance))
            save_results(folder, results[-1])
    return results


def score_kind(
    evaluated: EvaluatedFeatures,
    prepared: PreparedFeatures,
    label: str,
    kind: TaskKind,
    config: EvaluateConfig,
    device: torch.device,
    progress: Advance | None = None,
) -> TaskResults:
    """Results of one classifier on one kind of task."""
    (spec, source), classifier = kind, prepared.classifiers[label]
    accuracies, details = _measure(prepared, classifier, kind, config, device, progress)
    return TaskResults(
        dataset=evaluated.dataset,
        split=evaluated.split,
        features=evaluated.name,
        classifier=label,
        ways=spec.ways,
        shots=spec.shots,
        queries=spec.queries if spec.protocol in ("fixed", "dirichlet", "stored") else 0,
        tasks=spec.tasks,
        seed=spec.seed,
        per_task=tuple(accuracies.tolist()),
        fingerprint=evaluated.features.fingerprint,
        data_digest=evaluated.data_digest,
        base_fingerprint=prepared.base_fingerprints[label],
        settings=classifier.settings() if hasattr(classifier, "settings") else {},
        protocol=spec.protocol,
        transforms=config.transforms,
        concentration=spec.concentration if spec.protocol == "dirichlet" else 0.0,
        tasks_digest=source.digest if isinstance(source, SavedTasks) else "",
        created=datetime.now(UTC).isoformat(timespec="microseconds"),
        hardware=hardware_of(device),
        details=details,
    )


def _measure(
    prepared: PreparedFeatures, classifier: Any, kind: TaskKind, config: EvaluateConfig, device: torch.device, progress: Advance | None
) -> tuple[Float64[Tensor, " task"], Details | None]:
    (spec, source), features, transform = kind, prepared.features, prepared.transform
    if not config.details:
        return score_tasks(features, spec, classifier, source=source, transform=transform, device=device, progress=progress), None
    selection = Selection(validation=prepared.validation, tasks=config.selection_tasks, open_set_classes=config.open_set_classes)
    scorer = scorer_for(None, classifier, spec, features, transform, device)
    return measure_tasks(features, spec, source, scorer, selection, device=device, progress=progress)
