"""learn2learn's classifiers beside independent ones."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import LinearConstraint, minimize
from sklearn.svm import LinearSVC
from torch import Tensor

from s2m2.classifiers.base import FewShotTasks
from s2m2.classifiers.learn2learn_heads import Learn2LearnPrototypes, Learn2LearnSVM
from s2m2.classifiers.nearest_mean import NearestMean
from s2m2.data.learn2learn_datasets import import_learn2learn
from s2m2.errors import InputError
from s2m2.random import generator_for

l2l: Any = import_learn2learn()


def some_tasks(ways: int = 3, shots: int = 2, tasks: int = 4, dim: int = 5) -> FewShotTasks:
    generator = generator_for(1, "tasks")
    labels = torch.arange(ways).repeat_interleave(shots).expand(tasks, -1)
    centers = torch.randn(tasks, ways, dim, generator=generator)
    support = centers.repeat_interleave(shots, dim=1) + 0.7 * torch.randn(tasks, ways * shots, dim, generator=generator)
    query = centers.repeat(1, 3, 1) + 0.7 * torch.randn(tasks, 3 * ways, dim, generator=generator)
    return FewShotTasks(support=support, labels=labels, query=query, ways=ways, shots=shots)


@pytest.mark.parametrize("shots", [1, 5])
def test_the_nearest_mean_is_learn2learns_prototypical_classifier(shots: int) -> None:
    tasks = some_tasks(ways=5, shots=shots, tasks=20, dim=64)
    expected, scores = (classifier(tasks, generator_for(0)) for classifier in (Learn2LearnPrototypes(), NearestMean()))
    # Ours leave out a term that the classes of a query share, which probabilities do not depend on.
    torch.testing.assert_close(scores.log_softmax(-1), expected.log_softmax(-1), rtol=1e-4, atol=1e-4)
    assert torch.equal(scores.argmax(-1), expected.argmax(-1))


def scipy_program(verbose: bool, maxIter: int) -> Callable[..., Tensor]:
    """What qpth's `QPFunction` returns: a solver of min z'Qz / 2 + p'z with Gz <= h and Az = b."""

    def solve(*terms: Tensor) -> Tensor:
        Q, p, G, h, A, b = (term.double().numpy() for term in terms)
        constraints = [LinearConstraint(G, ub=h[0]), LinearConstraint(A, lb=b[0], ub=b[0])]
        start = np.zeros(len(Q))
        found = minimize(lambda z: z @ Q @ z / 2 + p[0] @ z, start, jac=lambda z: Q @ z + p[0], method="SLSQP", constraints=constraints,
                         options={"ftol": 1e-12, "maxiter": 500})  # fmt: skip
        assert found.success
        return torch.from_numpy(found.x).to(terms[0])[None]

    return solve


@pytest.mark.parametrize("normalize", [True, False])
def test_learn2learns_svm_is_that_of_scikit_learn(normalize: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """learn2learn adds 1 to the diagonal of the kernel: an axis more for each support item, which queries do not have."""
    if isinstance(l2l.nn.metaoptnet.QPFunction, l2l.utils._ImportRaiser):
        monkeypatch.setattr(l2l.nn.metaoptnet, "QPFunction", scipy_program)
    tasks = some_tasks()
    scores = Learn2LearnSVM(normalize=normalize, C=0.3)(tasks, generator_for(0))
    for support, labels, query, found in zip(tasks.support, tasks.labels, tasks.query, scores, strict=True):
        if normalize:
            support, query = (items / items.norm(dim=1, keepdim=True) for items in (support, query))
        reference = LinearSVC(multi_class="crammer_singer", C=0.3, fit_intercept=False, tol=1e-9, max_iter=100_000)
        reference.fit(np.hstack([support.numpy(), np.eye(len(support))]), labels)
        expected = query.numpy() @ reference.coef_[:, : support.shape[1]].T
        np.testing.assert_allclose(found.numpy(), expected, atol=2e-4)


def test_without_qpth_one_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(l2l.nn.metaoptnet, "QPFunction", l2l.utils._ImportRaiser("qpth", "pip install qpth"))
    with pytest.raises(InputError, match=r"needs qpth; .* installs it"):
        Learn2LearnSVM()(some_tasks(), generator_for(0))
