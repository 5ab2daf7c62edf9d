"""The kinds of tasks of an evaluation: what its settings name, sampled or read from files, and whether there are images enough."""

from collections.abc import Sequence
from dataclasses import replace

from jaxtyping import Int64
from torch import Tensor

from s2m2.errors import InputError
from s2m2.evaluation.accuracies import sampler_for
from s2m2.evaluation.features import FeatureSet
from s2m2.recipe import EvaluateConfig
from s2m2.tasks.episodes import EpisodeSpec, TaskSource
from s2m2.tasks.sampler import sample_tasks
from s2m2.tasks.saved_tasks import load_tasks, save_tasks

TaskKind = tuple[EpisodeSpec, TaskSource]
"""A specification, and its tasks."""


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


def check_enough(specs: Sequence[EpisodeSpec], labels: Int64[Tensor, " image"], class_names: tuple[str, ...], what: str) -> None:
    """Raise `InputError`, with `what` in front, if labels do not suffice for a kind of task."""
    for spec in specs:
        try:
            sample_tasks(labels, replace(spec, tasks=1), class_names)
        except InputError as error:
            raise InputError(f"{what}: {error}") from error


def _file_name(split: str, spec: EpisodeSpec) -> str:
    """Such as `5-way-1-shot-15-queries-seed-0.npz`, with everything that shapes the tasks."""
    parts = [spec.label]
    parts += [f"concentration {spec.concentration:g}"] if spec.protocol == "dirichlet" else []
    parts += [f"{spec.queries} queries"] if spec.protocol in ("fixed", "dirichlet") else []
    parts += [split] if split != "novel" else []
    return "-".join([*parts, f"seed {spec.seed}"]).replace(", ", "-").replace(" ", "-") + ".npz"
