"""Paired comparison of two classifiers, or two backbones, on the same tasks."""

import operator
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from scipy.stats import ttest_rel

from s2m2.errors import InputError
from s2m2.evaluation.intervals import FEW_CLASSES, ClassError, class_error, mean_and_interval
from s2m2.evaluation.results import TaskResults, load_results, newest_results, read_results
from s2m2.recipe.command_settings import CompareConfig
from s2m2.runs.directory import RunDirectory

TASK_FIELDS = ("dataset", "data_digest", "split", "protocol", "ways", "shots", "queries", "concentration", "tasks", "seed", "tasks_digest")
"""Fields of results that identify their tasks."""
STAGES = ("pixels", "pretrain", "finetune")
"""Names of features, in the order of a run."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Comparison:
    """Differences of the second from the first, task by task, as fractions."""

    first: TaskResults
    second: TaskResults
    difference: float
    """Mean over tasks."""
    interval: float
    """Half width of its 95% interval for these classes again, 1.96 std / sqrt(tasks): is one better on these very classes?"""
    p_value: float
    """Of the paired t-test over tasks, two-sided, for these classes again. It says nothing of new classes: where neither of two is better
    for classes of the kind, it is below 0.05 most of the time (`benchmarks/paired_p_values.py`)."""
    over_classes: ClassError | None
    """The same question for other classes of this kind and other images; None where the results do not state their classes."""

    @property
    def class_interval(self) -> float | None:
        """Half width of the 95% interval over classes and images."""
        return self.over_classes.interval if self.over_classes is not None else None

    @property
    def class_p_value(self) -> float | None:
        """Two-sided, by Student's t over classes; with few of these it may miss a difference."""
        return self.over_classes.p_value(self.difference) if self.over_classes is not None else None

    def table(self) -> str:
        """Means, difference, intervals and p-values, in percent; those over classes come first, as far as they are known."""
        lines = [f"{name}  {one.classifier:<24} {100 * one.mean:6.2f}" for name, one in (("A", self.first), ("B", self.second))]
        lines.append(f"B - A {'':<22}{100 * self.difference:+7.2f} points")
        if self.class_interval is not None and self.class_p_value is not None:
            few = ", of few classes" if self.over_classes is not None and self.over_classes.classes < FEW_CLASSES else ""
            lines.append(f"  over classes         ± {100 * self.class_interval:.2f}, p = {self.class_p_value:.2g}{few}")
        lines.append(f"  these classes again  ± {100 * self.interval:.2f}, p = {self.p_value:.2g}")
        return "\n".join(lines)

    __repr__ = __str__ = table

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.table())}</pre>"


def task_key(results: TaskResults) -> tuple[object, ...]:
    """Equal for two results if and only if they are of the same tasks."""
    # The digest identifies the data, whatever the name of the dataset.
    unimportant = {"dataset": ""} if results.data_digest else {}
    return tuple(unimportant.get(name, getattr(results, name)) for name in TASK_FIELDS)


def different_field(first: TaskResults, second: TaskResults) -> str | None:
    """The first field in which the tasks of two results differ, in words; None if they are the same tasks."""
    for name in TASK_FIELDS:
        if name == "dataset" and first.data_digest and first.data_digest == second.data_digest:
            continue
        values = getattr(first, name), getattr(second, name)
        if values[0] != values[1]:
            shown = [str(value)[:16] or "none" for value in values]
            return f"{name.replace('_', ' ')} {shown[0]} and {shown[1]}"
    return None


def compare_results(first: TaskResults, second: TaskResults) -> Comparison:
    """The paired comparison of two results of the same tasks.

    Raises:
        InputError: they are of different tasks; the first field that differs is named.
    """
    differs = different_field(first, second)
    if differs is not None:
        raise InputError(f"the results are of different tasks, {differs}: only results of the same tasks can be compared in pairs")
    differences = (np.asarray(second.per_task) - np.asarray(first.per_task)).tolist()
    mean, interval = mean_and_interval(differences)
    return Comparison(
        first=first,
        second=second,
        difference=mean,
        interval=interval,
        p_value=_paired_p_value(first, second, differences),
        over_classes=difference_over_classes(first, second, differences),
    )


def _paired_p_value(first: TaskResults, second: TaskResults, differences: list[float]) -> float:
    if len(set(differences)) == 1:  # no spread, of which the test would make 0 / 0
        return 1.0 if differences[0] == 0 else 0.0
    return float(ttest_rel(second.per_task, first.per_task).pvalue)


def difference_over_classes(first: TaskResults, second: TaskResults, differences: list[float]) -> ClassError | None:
    """Standard error of the mean difference of two results over other classes of the kind; None where they do not state their classes."""
    one, other = first.class_tallies, second.class_tallies
    if one is None or other is None or one[0] != other[0]:
        return None
    return class_error(differences, one[0], [late - early for early, late in zip(one[1], other[1], strict=True)])


def compare_config(config: CompareConfig) -> list[Comparison]:
    """The comparisons of two runs or of two result files.

    Raises:
        InputError: there is no such file or run, it has no results, or there are none of the same tasks.
    """
    for path in filter(None, (config.first, config.second)):
        if not Path(path).exists():
            raise InputError(f"there is nothing at {path}; a run's directory is compared with another, or a file of results with another")
    return compare_runs(config) if Path(config.first).is_dir() else [compare_files(config)]


def compare_files(config: CompareConfig) -> Comparison:
    """The comparison of two files of results."""
    if config.second is None:
        raise InputError(f"{config.first} is one file of results; name a second one")
    if config.classifiers or config.features:
        raise InputError("--classifiers and --features choose among the results of runs; two files need neither")
    return compare_results(load_results(Path(config.first)), load_results(Path(config.second)))


def compare_runs(config: CompareConfig) -> list[Comparison]:
    """All comparisons of two runs, or of one with itself, by the settings."""
    paths = (Path(config.first), Path(config.second if config.second is not None else config.first))
    if config.second is None and len(config.classifiers) < 2 and len(config.features) < 2:
        raise InputError(f"{config.first} alone leaves nothing to compare; name a second run, or two --classifiers, or two --features")
    candidates = [_chosen(path, _of_run(config.classifiers, number), _of_run(config.features, number)) for number, path in enumerate(paths)]
    comparisons = []
    for first in candidates[0]:
        partners = [second for second in candidates[1] if _paired(first, second, len(config.classifiers) == 2)]
        comparisons += [compare_results(first, second) for second in partners]
    if not comparisons:
        raise InputError(_why_none(config, *candidates))
    return sorted(comparisons, key=lambda one: (one.first.ways, one.first.shots, one.first.tasks))


def _chosen(path: Path, classifier: str | None, features: str | None) -> list[TaskResults]:
    if not path.is_dir():
        raise InputError(f"{path} is not the directory of a run; a run is compared with a run, a file of results with a file")
    every = newest_results(read_results(RunDirectory(path)))[0]
    if not every:
        raise InputError(f"{path} holds no results; `s2m2 evaluate --run {path}` makes them")
    if classifier is not None:
        _check_name("classifiers", classifier, {results.classifier for results in every}, path)
        every = [results for results in every if results.classifier == classifier]
    names = {results.features for results in every}
    if features is not None:
        _check_name("features", features, names, path)
        return [results for results in every if results.features == features]
    last = max(every, key=_stage_order).features
    return [results for results in every if results.features == last]


def _stage_order(results: TaskResults) -> tuple[int, bool, str]:
    """Later features are greater: by stage, the prefix of `finetune-crops30`; then the plain stage, then the newest."""
    stages = [position for position, stage in enumerate(STAGES) if results.features.split("-")[0] == stage]
    return max(stages, default=-1), results.features in STAGES, results.created


def _check_name(flag: str, name: str, names: set[str], path: Path) -> None:
    if name not in names:
        raise InputError(f"--{flag} has {name}, but {path} has results of {', '.join(sorted(names))}")


def _of_run(names: tuple[str, ...], number: int) -> str | None:
    return names[min(number, len(names) - 1)] if names else None


def _paired(first: TaskResults, second: TaskResults, across_classifiers: bool) -> bool:
    """Whether tasks and transforms agree, and classifier and settings unless two classifiers are compared."""
    alike = across_classifiers or (first.classifier, first.settings) == (second.classifier, second.settings)
    return alike and first.transforms == second.transforms and task_key(first) == task_key(second)


def _why_none(config: CompareConfig, firsts: list[TaskResults], seconds: list[TaskResults]) -> str:
    both = f"{config.first} and {config.second or config.first}"
    pairs = [(one, other) for one in firsts for other in seconds]
    if any(task_key(one) == task_key(other) for one, other in pairs):
        return f"{both} have no classifier with the same settings and transforms in common; name one of each with --classifiers"
    one, other = max(pairs, key=lambda pair: sum(map(operator.eq, task_key(pair[0]), task_key(pair[1]))))
    return f"{both} have no results of the same tasks; the closest differ in {different_field(one, other)}"
