"""The inductive classifiers of one task in float64, by scikit-learn, SciPy or plain loops."""

import warnings
from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.svm import LinearSVC
from torch import Tensor

from s2m2.classifiers.base import FewShotTasks
from s2m2.classifiers.calibrated import DistributionCalibration
from s2m2.random import generator_for
from tests.reference.evaluate import each

Classifier = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]
"""Scores "query way" from support "item dim", labels " item", queries "query dim" and the number of ways."""


def loop(tasks: FewShotTasks, classifier: Classifier) -> Tensor:
    """Scores "task query way", one task after the other."""
    return torch.stack([torch.from_numpy(classifier(*(part.numpy() for part in task), tasks.ways)) for task in each(tasks)])


def cosine_centroid(support: np.ndarray, labels: np.ndarray, query: np.ndarray, ways: int) -> np.ndarray:
    means = [support[labels == way].mean(0) for way in range(ways)]
    return np.array([[x @ m / np.sqrt((x @ x) * (m @ m)) for m in means] for x in query])


def logistic(C: float) -> Classifier:
    """Log probabilities of scikit-learn's multinomial logistic regression, fitted as far as it goes; three classes or more."""

    def classifier(support: np.ndarray, labels: np.ndarray, query: np.ndarray, ways: int) -> np.ndarray:
        model = LogisticRegression(C=C, tol=1e-10, max_iter=100_000).fit(support, labels)
        return model.predict_log_proba(query)

    return classifier


def cosine_converged(weight_decay: float, scale: float) -> Classifier:
    """Logits at the minimum of S2M2's loss, over norms and directions, the directions free of decay."""

    def classifier(support: np.ndarray, labels: np.ndarray, query: np.ndarray, ways: int) -> np.ndarray:
        unit, asked = (rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-5) for rows in (support, query))
        shape = (ways, support.shape[1] + 1)

        def logits(flat: np.ndarray, rows: np.ndarray) -> np.ndarray:
            norms, directions = flat.reshape(shape)[:, 0], flat.reshape(shape)[:, 1:]
            return scale * norms * (rows @ directions.T) / np.linalg.norm(directions, axis=1)

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            given, norms, directions = logits(flat, unit), flat.reshape(shape)[:, 0], flat.reshape(shape)[:, 1:]
            value = np.mean(logsumexp(given, axis=1) - given[np.arange(len(given)), labels]) + weight_decay / 2 * (norms**2).sum()
            slope = (np.exp(log_softmax(given, axis=1)) - np.eye(ways)[labels]) / len(given)
            lengths = np.linalg.norm(directions, axis=1, keepdims=True)
            cosines = unit @ (directions / lengths).T
            of_norms = scale * (slope * cosines).sum(0) + weight_decay * norms
            pulled = scale * norms[:, None] / lengths * (slope.T @ unit)
            of_directions = pulled - (pulled * directions).sum(1, keepdims=True) * directions / lengths**2
            return value, np.concatenate([of_norms[:, None], of_directions], axis=1).ravel()

        start = np.array([np.r_[1.0, unit[labels == way].mean(0)] for way in range(ways)]).ravel()
        options = {"maxiter": 20_000, "maxfun": 40_000, "gtol": 1e-12, "ftol": 1e-16}
        return logits(minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x, asked)

    return classifier


def svm(C: float) -> Classifier:
    """Values of scikit-learn's `LinearSVC`, which must have converged; three classes or more."""

    def classifier(support: np.ndarray, labels: np.ndarray, query: np.ndarray, ways: int) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            model = LinearSVC(C=C, dual=True, tol=1e-10, max_iter=100_000, random_state=0).fit(support, labels)
        return model.decision_function(query)

    return classifier


def ridge(penalty: float) -> Classifier:
    """Values of scikit-learn's `RidgeClassifier`; three classes or more."""

    def classifier(support: np.ndarray, labels: np.ndarray, query: np.ndarray, ways: int) -> np.ndarray:
        return RidgeClassifier(alpha=penalty, solver="cholesky").fit(support, labels).decision_function(query)

    return classifier


def calibrated(tasks: FewShotTasks, config: DistributionCalibration, generator: torch.Generator) -> Tensor:
    """Log probabilities "task query way" of distribution calibration by scikit-learn, with the random numbers of the fast one.

    Small enough tasks only: no task uses more than a page, 2,048 rows, of a class's noise.
    """
    base, seed = config.base, config.random_state
    assert base is not None
    assert base.class_factors is not None
    means, factors = base.class_means.double().numpy(), base.class_factors.double().numpy()
    scores = []
    keys = torch.randint(2**63 - 1, (len(tasks),), generator=generator).tolist()
    for key, (support, labels, query) in zip(keys, each(tasks), strict=True):
        stream = torch.Generator().manual_seed(key)
        rows, asked, classes = support.numpy() ** config.power, query.numpy() ** config.power, labels.numpy()
        counts = [config.samples_per_class // int((classes == way).sum()) for way in classes]
        start = int(torch.randint(2048, (1,), generator=stream))
        common = torch.randn(sum(counts), generator=stream).double().numpy()
        used: dict[int, int] = {}
        features, ways = list(rows), list(classes)
        for item, way, count in zip(rows, classes, counts, strict=True):
            nearest = np.argsort([np.linalg.norm(item - mean) for mean in means])[: config.neighbors]
            center = (item + means[nearest].sum(0)) / (config.neighbors + 1)
            for _ in range(count):
                value = center + np.sqrt(config.spread) * common[len(features) - len(rows)]
                for number in nearest.tolist():
                    value = value + noise_row(factors, seed, number, start + used.get(number, 0)) / np.sqrt(config.neighbors)
                    used[number] = used.get(number, 0) + 1
                features.append(value)
                ways.append(way)
        model = LogisticRegression(C=config.C, max_iter=1000).fit(np.array(features), np.array(ways))
        scores.append(torch.from_numpy(model.predict_log_proba(asked)))
    return torch.stack(scores)


def noise_row(factors: np.ndarray, seed: int, number: int, place: int) -> np.ndarray:
    """One row of the noise of a base class."""
    key = (seed, number, place // 2048)
    if key not in _PAGES:
        _PAGES[key] = (
            torch.randn(2048, factors.shape[1], generator=generator_for(seed, "base noise", number, place // 2048)).double().numpy()
        )
    return _PAGES[key][place % 2048] @ factors[number]


_PAGES: dict[tuple[int, int, int], np.ndarray] = {}
