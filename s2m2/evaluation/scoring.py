"""All classifiers of an evaluation on all kinds of tasks: features prepared, tasks sampled or read, results written."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from s2m2.console import Advance, console, progress_bar
from s2m2.evaluation.details import Details
from s2m2.evaluation.evaluate import sampler_for, score_tasks, scorer_for
from s2m2.evaluation.features import FeatureSet
from s2m2.evaluation.measure import Selection, measure_tasks
from s2m2.evaluation.preparation import PreparedFeatures, balance_warning, classifier_specs, prepare_features
from s2m2.evaluation.results import TaskResults, save_results
from s2m2.recipe import EvaluateConfig
from s2m2.runs.provenance import hardware_of
from s2m2.tasks.episodes import EpisodeSpec, TaskSource
from s2m2.tasks.saved_tasks import SavedTasks, load_tasks, save_tasks

TaskKind = tuple[EpisodeSpec, TaskSource]
"""A specification, and its tasks."""


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


def warn_of_balance(config: EvaluateConfig) -> None:
    """Print a line for each classifier that assumes balanced queries, on tasks that may not be balanced."""
    protocols = (None,) if config.tasks_from else config.protocols
    for warning in (balance_warning(spec, protocol, config) for spec in classifier_specs(config) for protocol in protocols):
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


def task_specs(config: EvaluateConfig) -> list[EpisodeSpec]:
    """Every kind of task of an evaluation."""
    shared = EpisodeSpec(
        ways=0, shots=0, queries=config.queries, tasks=config.tasks, seed=config.seed, concentration=config.dirichlet_concentration
    )
    specs = []
    for protocol in config.protocols:
        if protocol == "variable":
            specs.append(replace(shared, protocol=protocol))
            continue
        specs += [replace(shared, ways=ways, shots=shots, protocol=protocol) for ways in config.ways for shots in config.shots]
    return specs


def task_sources(config: EvaluateConfig, features: FeatureSet) -> list[TaskKind]:
    """The tasks of an evaluation: those of `tasks_from`, or sampled ones, which are saved if requested.

    Raises:
        InputError: a file has no tasks of these images, or a task needs more than there is.
    """
    if config.tasks_from:
        saved = [load_tasks(path, features.indices, features.labels) for path in config.tasks_from]
        return [(source.spec, source) for source in saved]
    kinds: list[TaskKind] = [(spec, sampler_for(features, spec)) for spec in task_specs(config)]
    if config.save_tasks is not None:
        for spec, source in kinds:
            save_tasks(config.save_tasks / _file_name(config.split, spec), source, spec, features.indices)
    return kinds


def _file_name(split: str, spec: EpisodeSpec) -> str:
    """Such as `5-way-1-shot-15-queries-seed-0.npz`, with everything that shapes the tasks."""
    parts = [spec.label]
    parts += [f"concentration {spec.concentration:g}"] if spec.protocol == "dirichlet" else []
    parts += [f"{spec.queries} queries"] if spec.protocol in ("fixed", "dirichlet") else []
    parts += [split] if split != "novel" else []
    return "-".join([*parts, f"seed {spec.seed}"]).replace(", ", "-").replace(" ", "-") + ".npz"
