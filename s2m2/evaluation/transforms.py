"""Feature transforms, composable by name and order. What treats every feature alike is done once for a dataset instead of for every task."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from s2m2.errors import InputError
from s2m2.evaluation.engine import TaskTransform
from s2m2.evaluation.features import FeatureSet
from s2m2.evaluation.tasks import FewShotTasks
from s2m2.recipe.transforms import StepName, TransformName, transform_steps

POWER = 0.5
SHIFT = 1e-6
"""Added to a feature before its power is taken (PT-MAP)."""

RowStep = Callable[[Float[Tensor, "*rows dim"]], Float[Tensor, "*rows dim"]]


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureTransforms:
    """Transforms in order: first what treats all features alike, then, from the first step that looks at a task, what is done to tasks.

    rectify is the ReLU that networks whose features are negative in part lack (ResNet-12 ends in a leaky one), before a power.

    Sources: unit and center_base together are CL2N (Wang et al., SimpleShot, 2019, section 3: subtract the mean of the base features,
    then divide by the length). power is (x + 1e-6)^0.5, the power transform of PT-MAP without the division by the length that follows it
    there (Hu, Gripon, Pateux, ICANN 2021, section 3). PEME is power, length, mean, length (Hu, Pateux, Gripon, Algorithms 2022,
    section 3), here in its inductive form: the mean is that of the base features after the same first two steps.
    """

    rows: tuple[RowStep, ...]
    tasks: tuple[StepName, ...]
    base: FeatureSet | None
    """The base features after the `rows`; None where none were given."""

    def dataset(self, dataset: FeatureSet) -> FeatureSet:
        """A dataset after the steps that treat all features alike.

        Raises:
            InputError: a power is to be taken of negative features.
        """
        support = dataset.support_features
        return replace(dataset, features=self._rows(dataset.features), support_features=support if support is None else self._rows(support))

    def whole(self, tasks: FewShotTasks) -> FewShotTasks:
        """Tasks after all steps: the same values, for features that did not go through `dataset`.

        Raises:
            InputError: as `dataset`.
        """
        tasks = replace(tasks, support=self._rows(tasks.support), query=self._rows(tasks.query))
        return self._tasks(tasks)

    @property
    def remaining(self) -> TaskTransform | None:
        """What is left to do to tasks of a transformed dataset."""
        return self._tasks if self.tasks else None

    def _rows(self, features: Float[Tensor, "*rows dim"]) -> Float[Tensor, "*rows dim"]:
        for step in self.rows:
            features = step(features)
        return features

    def _tasks(self, tasks: FewShotTasks) -> FewShotTasks:
        for name in self.tasks:
            step = ALIKE[name] if name in ALIKE else partial(subtract, mean=tasks.support.mean(1, keepdim=True))
            tasks = replace(tasks, support=step(tasks.support), query=step(tasks.query))
        return tasks


def build_transforms(names: Sequence[TransformName], base: FeatureSet | None = None) -> FeatureTransforms:
    """The transforms of these names in this order.

    Args:
        base: features of the base classes; each `center_base` subtracts their mean after the steps before it.

    Raises:
        InputError: a step looks at base features, and there are none; or a power is to be taken of negative ones.
    """
    steps = transform_steps(names)
    first = steps.index("center_support") if "center_support" in steps else len(steps)
    rows: list[RowStep] = []
    known = base.features if base is not None else None
    for name in steps[:first]:
        rows.append(_row_step(name, known))
        known = rows[-1](known) if known is not None else None
    changed = replace(base, features=known, support_features=None) if base is not None and known is not None else None
    return FeatureTransforms(rows=tuple(rows), tasks=steps[first:], base=changed)


def _row_step(name: StepName, base: Float[Tensor, "row dim"] | None) -> RowStep:
    if name in ALIKE:
        return ALIKE[name]
    if base is None:
        raise InputError(
            "--evaluate.transforms subtracts the mean of the base features, which are not at hand; "
            "--base-features gives those of --features"
        )
    return partial(subtract, mean=base.mean(0))


def unit(features: Float[Tensor, "*rows dim"]) -> Float[Tensor, "*rows dim"]:
    """Features of length 1; zero stays zero."""
    return F.normalize(features, dim=-1, eps=torch.finfo(features.dtype).tiny)


def power(features: Float[Tensor, "*rows dim"]) -> Float[Tensor, "*rows dim"]:
    """(x + 1e-6)^0.5.

    Raises:
        InputError: a feature is negative.
    """
    if bool((features < 0).any()):
        raise InputError("--evaluate.transforms takes a power of the features, but some are negative; rectify before it makes them zero")
    return (features + SHIFT) ** POWER


def rectify(features: Float[Tensor, "*rows dim"]) -> Float[Tensor, "*rows dim"]:
    """What is negative becomes zero."""
    return features.relu()


def subtract(features: Float[Tensor, "*rows dim"], mean: Float[Tensor, "... dim"]) -> Float[Tensor, "*rows dim"]:
    """Features less a mean, in the type and on the device of the features."""
    return features - mean.to(features)


ALIKE: dict[StepName, RowStep] = {"rectify": rectify, "unit": unit, "power": power}
"""Steps that treat every feature alike, whatever the others are."""
