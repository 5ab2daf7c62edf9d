"""`s2m2 compare`: two classifiers or two backbones on the same tasks, in pairs."""

import operator
from pathlib import Path

from s2m2.console import console
from s2m2.errors import InputError
from s2m2.evaluation.comparison import Comparison, compare_results, different_field, task_key
from s2m2.evaluation.results import TaskResults, load_results
from s2m2.files import write_text
from s2m2.recipe.comparison import CompareConfig
from s2m2.reporting.comparison_table import comparison_csv, comparison_markdown, comparison_table
from s2m2.reporting.report import read_results
from s2m2.reporting.score_table import STAGES, newest_results
from s2m2.runs.directory import RunDirectory


def compare_command(config: CompareConfig) -> None:
    """Compare, print, and write a dataset if asked to.

    Raises:
        InputError: there is no such file or run, it has no results, or there are none of the same tasks.
    """
    for place in filter(None, (config.first, config.second)):
        if not Path(place).exists():
            raise InputError(f"there is nothing at {place}; a run's directory is compared with another, or a file of results with another")
    comparisons = compare_runs(config) if Path(config.first).is_dir() else [compare_files(config)]
    console.print(comparison_table(comparisons, (config.first, config.second or config.first)))
    if config.output is not None:
        path = Path(config.output)
        write_text(path, comparison_csv(comparisons) if path.suffix == ".csv" else comparison_markdown(comparisons))
        console.print(f"dataset: {path}", soft_wrap=True)


def compare_files(config: CompareConfig) -> Comparison:
    """The comparison of two files of results."""
    if config.second is None:
        raise InputError(f"{config.first} is one file of results; name a second one")
    if config.classifiers or config.features:
        raise InputError("--classifiers and --features choose among the results of runs; two files need neither")
    return compare_results(load_results(Path(config.first)), load_results(Path(config.second)))


def compare_runs(config: CompareConfig) -> list[Comparison]:
    """Every two results of the runs that the settings pair."""
    paths = (Path(config.first), Path(config.second if config.second is not None else config.first))
    if config.second is None and len(config.classifiers) < 2 and len(config.features) < 2:
        raise InputError(f"{config.first} alone leaves nothing to compare; name a second run, or two --classifiers, or two --features")
    sides = [_chosen(path, _of_side(config.classifiers, side), _of_side(config.features, side)) for side, path in enumerate(paths)]
    found = []
    for first in sides[0]:
        partners = [second for second in sides[1] if _paired(first, second, len(config.classifiers) == 2)]
        found += [compare_results(first, second) for second in partners]
    if not found:
        raise InputError(_why_none(config, *sides))
    return sorted(found, key=lambda one: (one.first.ways, one.first.shots, one.first.tasks))


def _chosen(path: Path, classifier: str | None, features: str | None) -> list[TaskResults]:
    if not path.is_dir():
        raise InputError(f"{path} is not the directory of a run; a run is compared with a run, a file of results with a file")
    every = newest_results(read_results(RunDirectory(path)))[0]
    if not every:
        raise InputError(f"{path} holds no results; `s2m2 evaluate --run {path}` makes them")
    if classifier is not None:
        _check_known("classifiers", classifier, {results.classifier for results in every}, path)
        every = [results for results in every if results.classifier == classifier]
    names = {results.features for results in every}
    if features is not None:
        _check_known("features", features, names, path)
        return [results for results in every if results.features == features]
    last = max(every, key=_stage_order).features
    return [results for results in every if results.features == last]


def _stage_order(results: TaskResults) -> tuple[int, bool, str]:
    """Later features are greater: by their stage, which `finetune-crops30` begins with; then the stage by itself, then the newest."""
    stages = [place for place, stage in enumerate(STAGES) if results.features.split("-")[0] == stage]
    return max(stages, default=-1), results.features in STAGES, results.created


def _check_known(flag: str, name: str, known: set[str], path: Path) -> None:
    if name not in known:
        raise InputError(f"--{flag} has {name}, but {path} has results of {', '.join(sorted(known))}")


def _of_side(names: tuple[str, ...], side: int) -> str | None:
    return names[min(side, len(names) - 1)] if names else None


def _paired(first: TaskResults, second: TaskResults, across_classifiers: bool) -> bool:
    """Same tasks, and the same classifier with the same settings unless two classifiers are to be compared."""
    alike = across_classifiers or (first.classifier, first.settings) == (second.classifier, second.settings)
    return alike and first.transforms == second.transforms and task_key(first) == task_key(second)


def _why_none(config: CompareConfig, ours: list[TaskResults], theirs: list[TaskResults]) -> str:
    both = f"{config.first} and {config.second or config.first}"
    pairs = [(one, other) for one in ours for other in theirs]
    if any(task_key(one) == task_key(other) for one, other in pairs):
        return f"{both} have no classifier with the same settings and transforms in common; name one of each with --classifiers"
    one, other = max(pairs, key=lambda pair: sum(map(operator.eq, task_key(pair[0]), task_key(pair[1]))))
    return f"{both} have no results of the same tasks; the closest differ in {different_field(one, other)}"
