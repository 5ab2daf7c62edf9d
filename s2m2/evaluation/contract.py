"""All that the evaluation asks of classifiers and transforms, in one place; `s2m2.classifiers` takes its place."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from inspect import isclass
from typing import Any, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from s2m2.classifiers.base import FewShotTasks, JobSize, ScoresTasks
from s2m2.errors import InputError
from s2m2.evaluation.base_statistics import base_statistics
from s2m2.evaluation.classifiers import CLASSIFIERS
from s2m2.evaluation.classifiers import build_classifier as build_from_catalog
from s2m2.evaluation.features import FeatureSet
from s2m2.recipe import EvaluateConfig
from s2m2.recipe.classifiers import ClassifierName

ScoresTasks = ScoresTasks
"""As `s2m2.classifiers.base.ScoresTasks`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CatalogClassifier:
    """A classifier of the catalog as `s2m2.classifiers.FewShotClassifier` will be."""

    name: ClassifierName
    config: EvaluateConfig
    base: Any = None

    @property
    def needs_base(self) -> bool:
        """It takes statistics of the base classes."""
        return CLASSIFIERS[self.name].needs_base

    @property
    def title(self) -> str:
        """Name in tables."""
        return CLASSIFIERS[self.name].title

    def assumes_balance(self) -> bool:
        """Whether it assumes equally many queries of every class."""
        return CLASSIFIERS[self.name].assumes_balance(self.config)

    def needs_positive(self) -> bool:
        """Whether it takes a power of the features."""
        return CLASSIFIERS[self.name].needs_positive(self.config)

    def settings(self) -> dict[str, Any]:
        """What shapes its scores."""
        section = CLASSIFIERS[self.name].settings
        return asdict(getattr(self.config, section)) if section is not None else {}

    def job_on(self, device: torch.device) -> JobSize:
        """Size of its jobs on a device."""
        return CLASSIFIERS[self.name].job_on(device)

    @cached_property
    def scores(self) -> ScoresTasks:
        """The function behind it."""
        return build_from_catalog(self.name, self.config, self.base)

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Scores of the queries."""
        return self.scores(tasks, generator)


@dataclass(frozen=True, kw_only=True)
class ClassifierSpec:
    """As `s2m2.recipe.classifiers.ClassifierSpec`."""

    name: ClassifierName
    label: str


def classifier_specs(config: EvaluateConfig) -> tuple[ClassifierSpec, ...]:
    """The classifiers of a recipe."""
    return tuple(ClassifierSpec(name=name, label=name) for name in config.classifiers)


def needs_base(spec: ClassifierSpec) -> bool:
    """Whether a classifier takes statistics of the base classes."""
    return CLASSIFIERS[spec.name].needs_base


def build_classifiers(config: EvaluateConfig, base: FeatureSet | None) -> dict[str, Any]:
    """The classifiers of a recipe by label.

    Args:
        base: the transformed features of the base classes; None where there are none.

    Raises:
        InputError: a classifier needs base features, and there are none.
    """
    statistics = None
    if base is not None and any(map(needs_base, classifier_specs(config))):
        statistics = base_statistics(base, covariances="calibrated" in config.classifiers)
    built = {spec.label: CatalogClassifier(name=spec.name, config=config, base=statistics) for spec in classifier_specs(config)}
    for classifier in built.values():
        _ = classifier.scores  # for its checks
    return built


def build_classifier(spec: Any, base: FeatureSet | None = None, *, seed: int = 0) -> Any:
    """The classifier of a name, a mapping of name and settings, a class or an instance.

    Raises:
        InputError: there is no such classifier or setting.
    """
    if not isinstance(spec, str | Mapping):
        return spec() if isclass(spec) else spec
    settings = {"name": spec} if isinstance(spec, str) else dict(spec)
    name = settings.pop("name", None)
    if name not in get_args(ClassifierName):
        raise InputError(f"classifier {name} is unknown; there are {', '.join(get_args(ClassifierName))}")
    known: Any = name
    config, section = EvaluateConfig(classifiers=(known,), seed=seed), CLASSIFIERS[known].settings
    try:
        config = replace(config, **{section: replace(getattr(config, section), **settings)}) if section and settings else config
    except TypeError as error:
        raise InputError(f"classifier {name} has no such setting: {', '.join(settings)}") from error
    return next(iter(build_classifiers(config, base).values()))


def balance_warning(spec: ClassifierSpec, protocol: str | None, config: EvaluateConfig) -> str | None:
    """What to tell a user whose tasks may break the classifier's assumption of equally many queries a class; None: nothing."""
    from s2m2.evaluation.classifiers import balance_warning as warning

    return warning(spec.name, protocol, config)  # type: ignore[arg-type]


def job_size(classifier: ScoresTasks, name: str | None, device: torch.device | str) -> JobSize:
    """Size of the jobs of a classifier on a device."""
    job_on = getattr(classifier, "job_on", None)
    if job_on is None and name in CLASSIFIERS:
        job_on = CLASSIFIERS[name].job_on  # type: ignore[index]
    return job_on(torch.device(device)) if job_on is not None else JobSize()


def transform_features(
    names: Sequence[Any], base: FeatureSet | None, *sets: FeatureSet | None
) -> tuple[tuple[FeatureSet | None, ...], FeatureSet | None, Any]:
    """Feature sets after the transforms that treat all features alike, the base features after them, and the transform left for tasks."""
    from s2m2.evaluation.transforms import build_transforms

    transforms = build_transforms(names, base)
    return tuple(transforms.dataset(one) if one is not None else None for one in sets), transforms.base, transforms.remaining
