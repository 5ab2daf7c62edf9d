# shim
"""Transforms of a `FeatureSet`, on top of those of tensors in `s2m2.classifiers.transforms`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from s2m2.classifiers.base import FewShotTasks
from s2m2.classifiers.transforms import FeatureTransforms as TensorTransforms
from s2m2.classifiers.transforms import TaskTransform
from s2m2.classifiers.transforms import build_transforms as build_tensor_transforms
from s2m2.classifiers.transforms import subtract as subtract
from s2m2.evaluation.features import FeatureSet
from s2m2.recipe.transforms import StepName, TransformName


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureTransforms:
    """Transforms, and the base features after those that treat all features alike."""

    tensors: TensorTransforms
    base: FeatureSet | None

    @property
    def tasks(self) -> tuple[StepName, ...]:
        """Steps that look at a task."""
        return self.tensors.task_steps

    @property
    def remaining(self) -> TaskTransform | None:
        """What is left to do to tasks of a transformed dataset."""
        return self.tensors.remaining

    def whole(self, tasks: FewShotTasks) -> FewShotTasks:
        """Tasks after all steps."""
        return self.tensors.whole(tasks)

    def dataset(self, dataset: FeatureSet) -> FeatureSet:
        """A dataset after the steps that treat all features alike."""
        change, support = self.tensors.features, dataset.support_features
        return replace(dataset, features=change(dataset.features), support_features=support if support is None else change(support))


def build_transforms(names: Sequence[TransformName], base: FeatureSet | None = None) -> FeatureTransforms:
    """The transforms of these names in this order."""
    tensors = build_tensor_transforms(names, base.features if base is not None else None)
    changed = None
    if base is not None and tensors.base is not None:
        changed = replace(base, features=tensors.base, support_features=None)
    return FeatureTransforms(tensors=tensors, base=changed)
