"""learn2learn's few-shot classifiers, one task at a time, as a check of ours. They need the extra `learn2learn`."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from s2m2.classifiers.base import FewShotTasks, InductiveClassifier
from s2m2.data.learn2learn_datasets import import_learn2learn
from s2m2.errors import InputError
from s2m2.recipe.ranges import PositiveFloat


@dataclass(kw_only=True, eq=False, repr=False)
class Learn2LearnPrototypes(InductiveClassifier):
    """`learn2learn.nn.PrototypicalClassifier`: the negative squared distance to each class mean (Snell et al., NeurIPS 2017)."""

    name = "learn2learn_prototypes"
    title = "learn2learn's prototypes"

    def fit_tasks(self, tasks: FewShotTasks, generator: torch.Generator) -> "FittedOneByOne":
        """Fit one task after the other.

        Raises:
            InputError: learn2learn is not installed.
        """
        classifier = import_learn2learn().nn.PrototypicalClassifier
        pairs = zip(tasks.support, tasks.labels, strict=True)
        return FittedOneByOne(classifiers=tuple(classifier(support, labels) for support, labels in pairs))


@dataclass(kw_only=True, eq=False, repr=False)
class Learn2LearnSVM(InductiveClassifier):
    """`learn2learn.nn.SVClassifier`: the multi-class linear SVM of MetaOptNet (Lee et al., CVPR 2019), solved as a quadratic program."""

    name = "learn2learn_svm"
    title = "learn2learn's SVM"

    normalize: bool = True
    """Divide every feature by its length."""
    C: PositiveFloat = 0.1
    """Greatest multiplier of a support item."""

    def fit_tasks(self, tasks: FewShotTasks, generator: torch.Generator) -> "FittedOneByOne":
        """Fit one task after the other.

        Raises:
            InputError: learn2learn, or qpth, with which it solves the program, is not installed.
        """
        learn2learn = import_learn2learn()
        # Where qpth is missing, learn2learn has something else by this name, which raises when it is called.
        if isinstance(learn2learn.nn.metaoptnet.QPFunction, learn2learn.utils._ImportRaiser):
            raise InputError("learn2learn's SVM classifier needs qpth; `pip install cvxpy && pip install --no-deps qpth` installs it")
        classifiers = (
            learn2learn.nn.SVClassifier(support, labels, tasks.ways, normalize=self.normalize, C_reg=self.C)
            for support, labels in zip(tasks.support, tasks.labels, strict=True)
        )
        return FittedOneByOne(classifiers=tuple(classifiers))


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedOneByOne:
    """A fitted classifier for each task."""

    classifiers: tuple[Callable[[Tensor], Tensor], ...]

    def scores(self, query: Float[Tensor, "task query dim"]) -> Float[Tensor, "task query way"]:
        """Scores, one task after the other."""
        return torch.stack([classifier(one) for classifier, one in zip(self.classifiers, query, strict=True)])
