"""learn2learn's few-shot classifiers behind the protocol, one task at a time, as a check of ours. They need the extra `learn2learn`."""

import torch
from jaxtyping import Float
from torch import Tensor

from s2m2.data.learn2learn import import_learn2learn
from s2m2.errors import InputError
from s2m2.evaluation.classifiers.protocol import FewShotClassifier
from s2m2.evaluation.tasks import FewShotTasks


def learn2learn_prototypes() -> FewShotClassifier:
    """`learn2learn.nn.PrototypicalClassifier`: the negative squared distance to each class mean (Snell et al., NeurIPS 2017).

    Raises:
        InputError: learn2learn is not installed.
    """
    classifier = import_learn2learn().nn.PrototypicalClassifier

    def score(tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        fitted = (classifier(support, labels) for support, labels in zip(tasks.support, tasks.labels, strict=True))
        return torch.stack([one(query) for one, query in zip(fitted, tasks.query, strict=True)])

    return score


def learn2learn_svm(*, normalize: bool = True, penalty: float = 0.1) -> FewShotClassifier:
    """`learn2learn.nn.SVClassifier`: the multi-class linear SVM of MetaOptNet (Lee et al., CVPR 2019), solved as a quadratic program.

    Args:
        normalize: divide every feature by its length.
        penalty: greatest multiplier of a support item; C of the SVM.

    Raises:
        InputError: learn2learn, or qpth, with which it solves the program, is not installed.
    """
    classes = import_learn2learn().nn
    # Where qpth is missing, learn2learn has something else by this name, which raises when it is called.
    if isinstance(classes.metaoptnet.QPFunction, import_learn2learn().utils._ImportRaiser):
        raise InputError("learn2learn's SVM classifier needs qpth; `pip install cvxpy && pip install --no-deps qpth` installs it")

    def score(tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        scores = []
        for support, labels, query in zip(tasks.support, tasks.labels, tasks.query, strict=True):
            fitted = classes.SVClassifier(support, labels, tasks.ways, normalize=normalize, C_reg=penalty)
            scores.append(fitted(query))
        return torch.stack(scores)

    return score
