"""Feature transforms, composable by name and order. Steps that treat every feature alike are done once for a dataset."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from s2m2.classifiers.base import FewShotTasks
from s2m2.errors import InputError
from s2m2.recipe.evaluation import StepName, TransformName, transform_steps

POWER = 0.5
SHIFT = 1e-6
"""Added to a feature before its power is taken (PT-MAP)."""

FeatureStep = Callable[[Float[Tensor, "*items dim"]], Float[Tensor, "*items dim"]]
TaskTransform = Callable[[FewShotTasks], FewShotTasks]
"""Changes the features of tasks before they reach a classifier."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureTransforms:
    """Transforms in order: first the steps that treat all features alike, then, from the first one that looks at a task, those of tasks.

    rectify is the ReLU that networks whose features are negative in part lack (ResNet-12 ends in a leaky one), before a power.

    Sources: unit and center_base together are CL2N (Wang et al., SimpleShot, 2019, section 3: subtract the mean of the base features,
    then divide by the length). power is (x + 1e-6)^0.5, the power transform of PT-MAP without the division by the length that follows it
    there (Hu, Gripon, Pateux, ICANN 2021, section 3). PEME is power, length, mean, length (Hu, Pateux, Gripon, Algorithms 2022,
    section 3), here in its inductive form: the mean is that of the base features after the same first two steps.
    """

    feature_steps: tuple[FeatureStep, ...]
    task_steps: tuple[StepName, ...]
    base: Float[Tensor, "image dim"] | None
    """The base features after the feature steps; None where there are none."""

    def features(self, features: Float[Tensor, "*items dim"]) -> Float[Tensor, "*items dim"]:
        """Features after the steps that treat all of them alike.

        Raises:
            InputError: a power is to be taken of negative features.
        """
        for step in self.feature_steps:
            features = step(features)
        return features

    def whole(self, tasks: FewShotTasks) -> FewShotTasks:
        """Tasks after all steps, of features that did not go through `features`: the same values.

        Raises:
            InputError: as `features`.
        """
        return self.tasks(replace(tasks, support=self.features(tasks.support), query=self.features(tasks.query)))

    def tasks(self, tasks: FewShotTasks) -> FewShotTasks:
        """Tasks of transformed features after the steps that look at a task."""
        for name in self.task_steps:
            step = ALIKE[name] if name in ALIKE else partial(subtract, mean=tasks.support.mean(1, keepdim=True))
            tasks = replace(tasks, support=step(tasks.support), query=step(tasks.query))
        return tasks

    @property
    def remaining(self) -> TaskTransform | None:
        """`tasks`; None where no step looks at a task."""
        return self.tasks if self.task_steps else None


def build_transforms(names: Sequence[TransformName], base: Float[Tensor, "image dim"] | None = None) -> FeatureTransforms:
    """The transforms of these names in this order.

    Args:
        base: features of the base classes; each `center_base` subtracts their mean after the steps before it.

    Raises:
        InputError: a step looks at base features, and there are none; or a power is to be taken of negative ones.
    """
    steps = transform_steps(names)
    first = steps.index("center_support") if "center_support" in steps else len(steps)
    feature_steps: list[FeatureStep] = []
    for name in steps[:first]:
        feature_steps.append(_feature_step(name, base))
        base = feature_steps[-1](base) if base is not None else None
    return FeatureTransforms(feature_steps=tuple(feature_steps), task_steps=steps[first:], base=base)


def _feature_step(name: StepName, base: Float[Tensor, "image dim"] | None) -> FeatureStep:
    if name in ALIKE:
        return ALIKE[name]
    if base is None:
        raise InputError(
            "--evaluate.transforms subtracts the mean of the base features, which are not available; "
            "--base_features gives those of --features"
        )
    return partial(subtract, mean=base.mean(0))


def unit(features: Float[Tensor, "*items dim"]) -> Float[Tensor, "*items dim"]:
    """Features of length 1; zero stays zero."""
    return F.normalize(features, dim=-1, eps=torch.finfo(features.dtype).tiny)


def power(features: Float[Tensor, "*items dim"]) -> Float[Tensor, "*items dim"]:
    """(x + 1e-6)^0.5.

    Raises:
        InputError: a feature is negative.
    """
    if bool((features < 0).any()):
        raise InputError("--evaluate.transforms takes a power of the features, but some are negative; rectify before it makes them zero")
    return (features + SHIFT) ** POWER


def rectify(features: Float[Tensor, "*items dim"]) -> Float[Tensor, "*items dim"]:
    """Negative values become zero."""
    return features.relu()


def subtract(features: Float[Tensor, "*items dim"], mean: Float[Tensor, "... dim"]) -> Float[Tensor, "*items dim"]:
    """Features less a mean, in the type and on the device of the features."""
    return features - mean.to(features)


ALIKE: dict[StepName, FeatureStep] = {"rectify": rectify, "unit": unit, "power": power}
"""Steps that treat every feature alike, whatever the others are."""
