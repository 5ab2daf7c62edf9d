# shim
"""The interface of version 0.1 on top of `s2m2.classifiers`: classifiers by name, with settings from the sections of `EvaluateConfig`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

import torch

import s2m2.classifiers as new
from s2m2.classifiers.base import FewShotClassifier as Estimator
from s2m2.classifiers.base import JobSize as JobSize
from s2m2.classifiers.base import ScoresTasks
from s2m2.classifiers.base_statistics import BaseStatistics
from s2m2.recipe import CosineClassifierConfig, EvaluateConfig
from s2m2.recipe.classifiers import ClassifierName
from s2m2.recipe.tasks import ProtocolName

RENAMED = {"inverse_penalty": "C", "samples": "samples_per_class"}
FewShotClassifier = ScoresTasks
FAST = {"tim": "tim_fast", "alpha_tim": "alpha_tim_fast"}


def _section(name: str) -> str:
    return name.removesuffix("_fast")


def _unchecked(name: ClassifierName, config: EvaluateConfig, base: BaseStatistics | None = None) -> Estimator:
    section = getattr(config, _section(name), None)
    settings = {RENAMED.get(key, key): value for key, value in asdict(section).items()} if section is not None else {}
    cls = new.load_class(FAST.get(name, name) if settings.pop("adam", None) == "classwise" else name)
    if cls.needs_base:
        settings["base"] = base
    if name == "calibrated":
        settings["random_state"] = config.seed
    built: Estimator = cls(**settings)
    return built


@dataclass(frozen=True, kw_only=True)
class Head:
    """A few-shot classifier of the catalog."""

    name: ClassifierName

    def build(self, config: EvaluateConfig, base: BaseStatistics | None) -> FewShotClassifier:
        """The classifier with the settings of a configuration."""
        built = _unchecked(self.name, config, base)
        built.validate()
        return built

    @property
    def _class(self) -> type[Estimator]:
        cls: type[Estimator] = new.load_class(self.name)
        return cls

    @property
    def title(self) -> str:
        """Name in tables."""
        return self._class.title

    @property
    def settings(self) -> str | None:
        """Field of `EvaluateConfig` with its settings."""
        return _section(self.name) if hasattr(EvaluateConfig(), _section(self.name)) else None

    @property
    def transductive(self) -> bool:
        """It looks at all queries of a task together."""
        return self._class.transductive

    @property
    def needs_base(self) -> bool:
        """It takes statistics of the base classes."""
        return self._class.needs_base

    @property
    def draws(self) -> bool:
        """It samples random numbers."""
        return self._class.samples

    @property
    def job(self) -> JobSize:
        """Size of its jobs on a CPU."""
        return self._class.job

    def assumes_balance(self, config: EvaluateConfig) -> bool:
        """Whether it assumes balanced queries."""
        return _unchecked(self.name, config).assumes_balance()

    def needs_positive(self, config: EvaluateConfig) -> bool:
        """Whether it takes a power of the features."""
        return _unchecked(self.name, config).needs_positive()

    def job_on(self, device: torch.device) -> JobSize:
        """Size of its jobs on a device."""
        return _unchecked(self.name, EvaluateConfig()).job_on(device)


CLASSIFIERS: Mapping[ClassifierName, Head] = {name: Head(name=name) for name in get_args(ClassifierName)}


def build_classifier(name: ClassifierName, config: EvaluateConfig, base: BaseStatistics | None = None) -> FewShotClassifier:
    """The few-shot classifier of a name."""
    return CLASSIFIERS[name].build(config, base)


def balance_warning(name: ClassifierName, protocol: ProtocolName | None, config: EvaluateConfig) -> str | None:
    """A warning where the tasks may break the assumption of balanced queries."""
    from s2m2.classifiers.building import balance_warning as warning

    return warning(_unchecked(name, config), protocol)


def classifier_settings(name: ClassifierName, config: EvaluateConfig) -> dict[str, Any]:
    """What shapes the scores of a classifier, besides its name."""
    return _unchecked(name, config).settings()


def CosineClassifier(*, config: CosineClassifierConfig) -> new.CosineClassifier:  # noqa: N802
    """The cosine classifier with the settings of a configuration."""
    from s2m2.classifiers.cosine import CosineClassifier as Cosine

    return Cosine(**asdict(config))


nearest_mean = new.load_class("nearest_mean")()
