"""The classifiers of an evaluation on given features: every kind of task, results on disk."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from jaxtyping import Float64
from torch import Tensor

from s2m2.commands.classifiers import ClassifierFeatures, prepare_features
from s2m2.console import Advance, console, progress_bar
from s2m2.data.episodes import EpisodeSpec
from s2m2.data.sampling import EpisodeSource
from s2m2.data.stored_episodes import StoredEpisodes, load_episodes, save_episodes
from s2m2.evaluation.classifiers import balance_warning, classifier_settings
from s2m2.evaluation.details import Details
from s2m2.evaluation.evaluate import sampler_for, score_tasks, scorer_for
from s2m2.evaluation.features import FeatureSet
from s2m2.evaluation.measure import Selection, measure_tasks
from s2m2.evaluation.results import TaskResults, save_results
from s2m2.recipe import EvaluateConfig
from s2m2.recipe.classifiers import ClassifierName
from s2m2.reporting.score_table import task_label
from s2m2.runs.provenance import hardware_of

TaskKind = tuple[EpisodeSpec, EpisodeSource]
"""What tasks look like, and the tasks."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """Features that classifiers are scored on, and what the results say of them."""

    features: FeatureSet
    name: str
    """Where the features come from; a column of the score table."""
    dataset: str
    """Name of the dataset."""
    split: str
    data_digest: str
    """Digest of the images; empty where they are unknown."""
    folder: Path
    """Where the results go."""
    validation: FeatureSet | None = None
    """Features of the validation classes, to choose temperatures and thresholds on; None where there are none but the evaluated ones."""
    base: FeatureSet | None = None
    """Features of the base classes, for the transforms and classifiers that draw on them; None where there are none, or nothing does."""


def warn_of_balance(config: EvaluateConfig) -> None:
    """Print a line for each classifier that assumes balanced queries and is to meet tasks that may have none."""
    protocols = (None,) if config.tasks_from else config.protocols
    for warning in (balance_warning(classifier, protocol, config) for classifier in config.classifiers for protocol in protocols):
        if warning is not None:
            console.print(f"warning: {warning}", markup=False, soft_wrap=True)


def score_all(scored: Scored, config: EvaluateConfig, device: torch.device, met: ClassifierFeatures | None = None) -> list[TaskResults]:
    """Score every classifier on every kind of task, and write each result when it is there.

    Args:
        met: the features as classifiers meet them; None: they are prepared here.

    Raises:
        InputError: a task needs what the features do not have, or a transform or classifier does not suit them.
    """
    met = met or prepare_features(scored.features, scored.validation, config, scored.base)
    kinds = task_sources(config, scored.features)
    return [_score(scored, met, classifier, kind, config, device) for classifier in config.classifiers for kind in kinds]


def _score(
    scored: Scored, met: ClassifierFeatures, classifier: ClassifierName, kind: TaskKind, config: EvaluateConfig, device: torch.device
) -> TaskResults:
    spec, source = kind
    with progress_bar(f"{scored.name}, {classifier}, {task_label(spec.ways, spec.shots, spec.protocol)}", spec.tasks, "tasks") as advance:
        accuracies, details = _measure(met, classifier, kind, config, device, advance)
    results = TaskResults(
        dataset=scored.dataset,
        split=scored.split,
        features=scored.name,
        classifier=classifier,
        ways=spec.ways,
        shots=spec.shots,
        queries=spec.queries if spec.protocol in ("fixed", "dirichlet", "stored") else 0,
        tasks=spec.tasks,
        seed=spec.seed,
        per_task=tuple(accuracies.tolist()),
        fingerprint=scored.features.fingerprint,
        data_digest=scored.data_digest,
        base_fingerprint=met.drawn_on[classifier],
        settings=classifier_settings(classifier, config),
        protocol=spec.protocol,
        transforms=config.transforms,
        concentration=spec.concentration if spec.protocol == "dirichlet" else 0.0,
        tasks_digest=source.digest if isinstance(source, StoredEpisodes) else "",
        created=datetime.now(UTC).isoformat(timespec="microseconds"),
        hardware=hardware_of(device),
        details=details,
    )
    save_results(scored.folder, results)
    return results


def _measure(
    met: ClassifierFeatures, name: ClassifierName, kind: TaskKind, config: EvaluateConfig, device: torch.device, advance: Advance
) -> tuple[Float64[Tensor, " task"], Details | None]:
    (spec, source), classifier, features = kind, met.classifiers[name], met.features
    if not config.details:
        accuracies = score_tasks(
            features, spec, classifier, name=name, source=source, transform=met.transform, device=device, progress=advance
        )
        return accuracies, None
    selection = Selection(validation=met.validation, tasks=config.selection_tasks, unknown=config.unknown)
    scorer = scorer_for(name, classifier, spec, features, met.transform, device)
    return measure_tasks(features, spec, source, scorer, selection, device=device, progress=advance)


def task_specs(config: EvaluateConfig) -> list[EpisodeSpec]:
    """Every kind of task that an evaluation asks for."""
    shared = EpisodeSpec(ways=0, shots=0, queries=config.queries, tasks=config.tasks, seed=config.seed, concentration=config.dirichlet)
    found = []
    for protocol in config.protocols:
        if protocol == "variable":
            found.append(replace(shared, protocol=protocol))
            continue
        found += [replace(shared, ways=ways, shots=shots, protocol=protocol) for ways in config.ways for shots in config.shots]
    return found


def task_sources(config: EvaluateConfig, features: FeatureSet) -> list[TaskKind]:
    """The tasks of an evaluation: those of files where it names any, else drawn; and kept in files where that is asked for.

    Raises:
        InputError: a file holds no tasks of these images, or a task needs more than there is.
    """
    if config.tasks_from:
        stored = [load_episodes(path, features.rows, features.labels) for path in config.tasks_from]
        return [(source.spec, source) for source in stored]
    kinds: list[TaskKind] = [(spec, sampler_for(features, spec)) for spec in task_specs(config)]
    if config.save_tasks is not None:
        for spec, source in kinds:
            save_episodes(config.save_tasks / _file_name(config.split, spec), source, spec, features.rows)
    return kinds


def _file_name(split: str, spec: EpisodeSpec) -> str:
    """Such as `5-way-1-shot-15-queries-seed-0.npz`, with everything that shapes the draw."""
    parts = [task_label(spec.ways, spec.shots, spec.protocol)]
    parts += [f"concentration {spec.concentration:g}"] if spec.protocol == "dirichlet" else []
    parts += [f"{spec.queries} queries"] if spec.protocol in ("fixed", "dirichlet") else []
    parts += [split] if split != "novel" else []
    return "-".join([*parts, f"seed {spec.seed}"]).replace(", ", "-").replace(" ", "-") + ".npz"
