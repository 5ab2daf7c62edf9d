"""`evaluate` and `compare`: the few-shot evaluation of features, from Python."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, cast, get_args

import numpy as np
import torch
from jaxtyping import Float64

from s2m2.arguments import check_instance, choice, device_argument, switch
from s2m2.classifiers import build_classifier
from s2m2.classifiers.base_statistics import check_base_dim
from s2m2.console import progress_bar
from s2m2.errors import InputError
from s2m2.evaluation.accuracies import sampler_for
from s2m2.evaluation.compare import Comparison, compare_results
from s2m2.evaluation.feature_files import classes_digest, feature_set
from s2m2.evaluation.features import FeatureSet
from s2m2.evaluation.preparation import PreparedFeatures, base_statistics, check_positive, transform_features
from s2m2.evaluation.results import TaskResults
from s2m2.evaluation.score_all import EvaluatedFeatures, score_kind
from s2m2.recipe import EvaluateConfig
from s2m2.recipe.evaluation import TransformName, check_transforms, needs_base
from s2m2.recipe.parts import ClassifierSpec, parse_classifier
from s2m2.tasks.episode_sampler import task_spec
from s2m2.tasks.episodes import EpisodeSpec, task_label


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class EvaluationResult:
    """Accuracy of one classifier on few-shot tasks; all values are fractions."""

    results: TaskResults
    """Everything about the evaluation, with classes, confusions and calibration in its `details`; `to_json` stores it."""

    @property
    def mean(self) -> float:
        """Mean accuracy over tasks."""
        return self.results.mean

    @property
    def ci95(self) -> float:
        """Half width of the 95% interval over tasks: the uncertainty of the mean for these classes and images."""
        return self.results.interval

    @property
    def ci95_classes(self) -> float | None:
        """Half width of the 95% interval over classes: the uncertainty for other classes of the same kind, by the jackknife.

        None where it cannot be estimated: protocol `variable`, or a class that is in every task.
        """
        return self.results.class_interval

    @property
    def per_task(self) -> Float64[np.ndarray, " task"]:
        """Accuracy of each task."""
        return np.array(self.results.per_task)

    def table(self) -> str:
        """A small table, in percent."""
        header, row = self._cells()
        widths = [max(map(len, column)) for column in zip(header, row, strict=True)]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() for cells in (header, row)]
        return "\n".join([self._title(), *lines])

    __str__ = __repr__ = table

    def _repr_html_(self) -> str:
        header, row = self._cells()
        rows = [f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>" for tag, cells in (("th", header), ("td", row))]
        return f"<table><caption>{escape(self._title())}</caption>{''.join(rows)}</table>"

    def _title(self) -> str:
        results = self.results
        queries = f", {results.queries} queries a class" if results.queries else ""
        return f"{task_label(results.ways, results.shots, results.protocol)}{queries}, {results.tasks:,} tasks, seed {results.seed}"

    def _cells(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        classes = f"{100 * self.ci95_classes:.2f}" if self.ci95_classes is not None else ""
        again = f"{100 * self.ci95:.2f}" if np.isfinite(self.ci95) else ""
        return ("classifier", "accuracy (%)", "± over classes", "± these classes again"), (
            self.results.classifier,
            f"{100 * self.mean:.2f}",
            classes,
            again,
        )


def evaluate(
    X: Any,  # noqa: N803 (scikit-learn's name)
    y: Any,
    classifier: Any = "cosine",
    *,
    ways: int = 5,
    shots: int = 1,
    queries: int = 15,
    tasks: int = 10_000,
    seed: int = 0,
    protocol: str = "fixed",
    transforms: str | Sequence[str] = (),
    base: Any = None,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> EvaluationResult:
    """Accuracy of a few-shot classifier on tasks sampled from labeled features.

    The tasks depend on `y`, the task arguments and the seed alone, so results of other classifiers or features with the same labels can be
    compared in pairs (`compare`). `s2m2 evaluate --features` with the same settings gives the same numbers.

    Args:
        X: features "image dim", a NumPy array or a torch tensor.
        y: label of each image, whole numbers or text, of the kinds that `EpisodeSampler` and `fit` take.
        classifier: a name (`cosine`, `nearest_mean`, `tim`, ...), a mapping of a name and settings ({"name": "tim", "steps": 500}), a
            class or an instance.
        ways: classes of a task.
        shots: support images per class.
        queries: query images per class.
        tasks: number of tasks.
        seed: of the tasks and of the classifier.
        protocol: of sampling: fixed, s2m2, dirichlet or variable; see `EpisodeSampler`.
        transforms: feature transforms in order, or the name of one: rectify, unit, power, center_base, center_support, cl2n, peme.
        base: features and labels of the base classes, for classifiers and transforms that need them.
        device: where the classifier is computed; None: where X is.
        progress: show a progress bar.

    Raises:
        InputError: an argument is wrong, or y has too few classes or images for the tasks; the argument is named.
    """
    spec = task_spec(ways=ways, shots=shots, queries=queries, tasks=tasks, seed=seed, protocol=protocol)
    features, base_features = _feature_set(X, y, ("X", "y")), _base_features(base)
    if base_features is not None and base_features.features.shape[1] != features.features.shape[1]:
        raise InputError(f"base has {base_features.features.shape[1]} features an image, but X has {features.features.shape[1]}")
    where = device_argument("device", device if device is not None else X.device if isinstance(X, torch.Tensor) else "cpu")
    shown = switch("progress", progress)
    names = _transform_names(transforms)
    prepared = _prepare(features, classifier, names, base_features, spec.seed)
    evaluated = EvaluatedFeatures(
        features=features, name="features", dataset="arrays", split="all", data_digest=classes_digest(features), base=base_features
    )
    config = EvaluateConfig(transforms=names, open_set_classes=0)
    label = next(iter(prepared.classifiers))
    with progress_bar(label, spec.tasks, "tasks", shown=shown) as advance:
        return EvaluationResult(results=score_kind(evaluated, prepared, label, (spec, _sampler(features, spec)), config, where, advance))


def compare(a: EvaluationResult | TaskResults, b: EvaluationResult | TaskResults) -> Comparison:
    """Paired comparison of two results on the same tasks: the gain of b over a.

    `difference` is the mean gain, `class_interval` and `class_p_value` say whether it holds for other classes of the kind, `interval` and
    `p_value` whether it holds for these classes again. All are fractions.

    Raises:
        InputError: one is no result, or they are of different tasks; the first difference is named.
    """
    for name, one in (("a", a), ("b", b)):
        check_instance(name, one, (EvaluationResult, TaskResults), "a result of s2m2.evaluate")
    first, second = (one.results if isinstance(one, EvaluationResult) else one for one in (a, b))
    return compare_results(first, second)


def _feature_set(features: Any, labels: Any, names: tuple[str, str]) -> FeatureSet:
    try:
        return feature_set(features, labels, names=names)
    except InputError as error:
        raise InputError(str(error).removeprefix("has ")) from error


def _base_features(base: Any) -> FeatureSet | None:
    if base is None:
        return None
    if not isinstance(base, tuple | list) or len(base) != 2:
        raise InputError("base is not a pair of features and labels of the base classes")
    features, labels = base
    return _feature_set(features, labels, ("base features", "base labels"))


def _prepare(
    features: FeatureSet, classifier: Any, transforms: tuple[TransformName, ...], base: FeatureSet | None, seed: int
) -> PreparedFeatures:
    if needs_base(transforms) and base is None:
        raise InputError("transforms has a step that needs base, the features and labels of the base classes")
    (changed,), changed_base, remaining = transform_features(transforms, base, features)
    assert changed is not None
    built = build_classifier(classifier, base_statistics(changed_base), seed=seed)
    by_name = isinstance(classifier, str | Mapping | ClassifierSpec)
    label = parse_classifier(classifier).label if by_name else getattr(built, "name", type(built).__name__)
    check_base_dim(built, changed.features.shape[1])
    check_positive({label: built}, [changed], transforms)
    used = base is not None and (needs_base(transforms) or getattr(built, "needs_base", False))
    return PreparedFeatures(
        features=changed,
        validation=None,
        transform=remaining,
        classifiers={label: built},
        base_fingerprints={label: base.fingerprint if used and base is not None else ""},
    )


def _transform_names(given: str | Sequence[str]) -> tuple[TransformName, ...]:
    check_instance("transforms", given, (str, Sequence), "a list of names")
    names = [given] if isinstance(given, str) else list(given)
    for position, name in enumerate(names):
        choice(f"transforms[{position}]", name, get_args(TransformName))
    transforms = cast(tuple[TransformName, ...], tuple(names))
    check_transforms("transforms", transforms)
    return transforms


def _sampler(features: FeatureSet, spec: EpisodeSpec) -> Any:
    try:
        return sampler_for(features, spec)
    except InputError as error:
        raise InputError(f"y: {error}") from error
