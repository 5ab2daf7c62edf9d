"""Distribution calibration (Yang, Liu and Xu, Free Lunch for Few-shot Learning, ICLR 2021)."""
# ruff: noqa: N803 (scikit-learn's names)

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from scipy.optimize import minimize
from torch import Tensor

from s2m2.classifiers.base import FewShotTasks, InductiveClassifier, JobSize, RandomState
from s2m2.classifiers.base_statistics import BaseStatistics, statistics_of
from s2m2.classifiers.span import where_float64_is
from s2m2.errors import InputError
from s2m2.random import generator_for
from s2m2.recipe.ranges import NonNegativeFloat, PositiveFloat, PositiveInt

PAGE_ROWS = 2048
MAX_STORE = 2**28
"""Noise values to keep, 1 GB of float32; the page that was not used for longest is dropped first and sampled again on demand."""
MAX_SEEDS = 4
"""Seeds whose noise is kept with base statistics, those used last: fits may have a seed each."""
TOLERANCE = 1e-4
"""L-BFGS ends when no derivative of the mean loss is larger: scikit-learn's default, which ends long before the minimum where classes
can be told apart without error. Where it ends is part of the classifier."""
MAX_STEPS = 1000
OPTIONS = {"maxiter": MAX_STEPS, "maxls": 50, "gtol": TOLERANCE, "ftol": 64 * float(np.finfo(np.float64).eps)}


@dataclass(kw_only=True, eq=False, repr=False)
class DistributionCalibration(InductiveClassifier):
    """Logistic regression on the support and on features sampled from a Gaussian around each support item (defaults: the paper's).

    Support and query features are first raised to a power (equation 3, Tukey's ladder). With S the k base classes whose means mu_i lie
    nearest to a support item x (equations 4 and 5), the Gaussian has (equation 6)
        mean (x + sum_S mu_i) / (k + 1)  and  covariance sum_S Sigma_i / k + alpha,
    where alpha is added to every entry. The statistics of the base classes (equations 1 and 2) are those of features without the power, as
    in the authors' code.

    A sample is a sum of independent parts: mean + sum_S e_i / sqrt(k) + sqrt(alpha) g 1, with e_i from N(0, Sigma_i) and one standard
    normal g. The e_i are rows of noise that all tasks share. A task uses none of them twice, so its samples are independent and have
    exactly this distribution; those of different tasks may have rows in common.

    Tasks are fitted one after the other: the samples of one fill a processor's cache.
    """

    name = "calibrated"
    title = "distribution calibration"
    needs_base = True
    needs_covariances = True
    job = JobSize(blocks=1)

    power: PositiveFloat = 0.5
    """Power of the support and query features (Tukey's ladder); the statistics of the base classes stay as they are."""
    neighbors: PositiveInt = 2
    """Nearest base classes that lend their mean and covariance to a support item."""
    spread: NonNegativeFloat = 0.21
    """Added to every entry of the covariance; the paper has 0.21 on mini-ImageNet and tieredImageNet, 0.3 on CUB."""
    samples_per_class: PositiveInt = 750
    """Features sampled for each class of a task, split equally among its support items."""
    C: PositiveFloat = 1.0
    """Multiplier of the summed cross entropy, against half the squared weights, as in scikit-learn."""
    base: BaseStatistics | tuple[Any, Any] | None = None
    """Statistics of the base classes, with covariances; or a pair of their features and labels."""
    random_state: RandomState = 0
    """Seed of `fit`, and of the noise that tasks share: a whole number repeats it; a NumPy RandomState or Generator gives each `fit` a
    seed; None makes each `fit` another. Before a `fit` with one of these, tasks in a batch share the noise of seed 0."""

    def needs_positive(self) -> bool:
        """Unless the power is 1."""
        return self.power != 1

    def validate(self) -> None:
        """Check the settings.

        Raises:
            InputError: as for all; or there are no statistics of base classes, or fewer classes than neighbors.
        """
        super().validate()
        self.statistics()

    def statistics(self) -> tuple[Float[Tensor, "class dim"], "BaseNoise"]:
        """Means of the base classes, and the noise of their covariances.

        Raises:
            InputError: there are none, or fewer classes than neighbors.
        """
        base = statistics_of(self)
        if base is None or base.class_factors is None:
            raise InputError(
                "classifier calibrated needs features of the base classes, which are not available; --base_features gives those of "
                "--features, base=(features, labels) in Python"
            )
        if self.neighbors > len(base.class_means):
            raise InputError(f"calibrated.neighbors is {self.neighbors}, but there are {len(base.class_means)} base classes")
        return base.class_means, shared_noise(base, self._seed())

    def fit_tasks(self, tasks: FewShotTasks, generator: torch.Generator) -> "FittedCalibration":
        """Fit to support and samples.

        Raises:
            InputError: a feature is negative, and the power is not 1.
        """
        members = tasks.one_hot().sum(-1).long().gather(1, tasks.labels)
        counts = (self.samples_per_class // members).clamp(min=1)
        fits = []
        streams = [torch.Generator().manual_seed(key) for key in tasks.random_keys(generator).tolist()]
        for support, labels, count, stream in zip(raised(tasks.support, self.power), tasks.labels, counts, streams, strict=True):
            features = torch.cat([support, self.sample(support, count, stream)])
            fits.append(fit_sampled_logistic(features, torch.cat([labels, labels.repeat_interleave(count)]), tasks.ways, C=self.C))
        return FittedCalibration(fits=tuple(fits), power=self.power)

    def sample(
        self, support: Float[Tensor, "item dim"], counts: Int64[Tensor, " item"], generator: torch.Generator
    ) -> Float[Tensor, "sample dim"]:
        """As many features around each support item of one task as `counts` says."""
        class_means, noise = self.statistics()
        means = class_means.to(support)
        nearest = torch.cdist(support[None], means[None]).squeeze(0).topk(self.neighbors, largest=False).indices
        centers = (support + means[nearest].sum(1)) / (self.neighbors + 1)
        start = int(torch.randint(PAGE_ROWS, (1,), generator=generator, device=generator.device))
        samples = centers.repeat_interleave(counts, dim=0)
        common = torch.randn(len(samples), generator=generator, device=generator.device).to(samples)
        samples += self.spread**0.5 * common[:, None]
        parts, used = samples.split(counts.tolist()), dict.fromkeys(nearest.flatten().tolist(), start)
        for part, classes in zip(parts, nearest.tolist(), strict=True):
            for label in classes:
                noise.add_to(part, label, used[label], self.neighbors**-0.5)
                used[label] += len(part)
        return samples


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedCalibration:
    """Logistic regressions on raised features, one a task."""

    fits: tuple[tuple[Float[Tensor, "way dim"], Float[Tensor, " way"]], ...]
    """Weights and intercepts of each task."""
    power: float

    def scores(self, query: Float[Tensor, "task query dim"]) -> Float[Tensor, "task query way"]:
        """Logits."""
        queries = raised(query, self.power)
        return torch.stack([torch.addmm(intercepts, one, weights.T) for one, (weights, intercepts) in zip(queries, self.fits, strict=True)])


def raised(features: Float[Tensor, "task item dim"], power: float) -> Float[Tensor, "task item dim"]:
    """A power of the features.

    Raises:
        InputError: a feature is negative, and the power is not 1.
    """
    if power == 1:
        return features
    if bool((features < 0).any()):
        raise InputError(
            "classifier calibrated takes a power of features, of which some are negative; --evaluate.transforms rectify changes that"
        )
    return features**power


def fit_sampled_logistic(
    features: Float[Tensor, "item dim"], labels: Int64[Tensor, " item"], ways: int, *, C: float
) -> tuple[Float[Tensor, "way dim"], Float[Tensor, " way"]]:
    """Weights and intercepts of one task after L-BFGS from zero, in the steps of scikit-learn's `LogisticRegression`.

    The loss is the mean cross entropy plus half the squared weights over C times the items. SciPy's L-BFGS keeps its own numbers in
    float64; loss and gradient come from products in the precision of the features.

    Args:
        C: multiplier of the summed cross entropy.
    """
    device, features = features.device, where_float64_is(features)
    items, dim = features.shape
    targets = F.one_hot(labels.to(features.device), ways).to(features.dtype)
    decay = 1 / (C * items)

    def loss_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = torch.from_numpy(flat).reshape(ways, dim + 1)
        exact_weights, weights = parameters[:, :-1], parameters.to(features)
        logits = torch.addmm(weights[:, -1], features, weights[:, :-1].T)
        normalizers = logits.logsumexp(1, keepdim=True)
        loss = (normalizers.sum(dtype=torch.float64) - (logits * targets).sum(dtype=torch.float64)) / items
        residuals = logits.sub_(normalizers).exp_().sub_(targets)
        gradient = torch.cat([residuals.T @ features, residuals.sum(0)[:, None]], dim=1).double().cpu() / items
        gradient[:, :-1] += decay * exact_weights
        return float(loss) + decay / 2 * float(exact_weights.square().sum()), gradient.flatten().numpy()

    solution = minimize(loss_and_gradient, np.zeros(ways * (dim + 1)), jac=True, method="L-BFGS-B", options=OPTIONS)
    parameters = torch.from_numpy(solution.x).reshape(ways, dim + 1).to(features.dtype).to(device)
    return parameters[:, :-1], parameters[:, -1]


class BaseNoise:
    """For each base class an endless sequence of independent rows of Gaussian noise with its covariance, made page by page on demand.

    A row depends on the seed, the class and its index alone. Safe to use from several threads.
    """

    def __init__(self, factors: Float[Tensor, "class rank dim"], seed: int) -> None:
        self.factors, self.seed = factors, seed
        self.pages: OrderedDict[tuple[int, int], Tensor] = OrderedDict()
        self.max_pages = max(MAX_STORE // (PAGE_ROWS * factors.shape[2]), 1)
        self.lock = Lock()

    def add_to(self, target: Float[Tensor, "row dim"], label: int, start: int, scale: float) -> None:
        """Add the rows of a class from `start` on to a tensor, multiplied by `scale`."""
        filled = 0
        while filled < len(target):
            page, first = divmod(start + filled, PAGE_ROWS)
            last = min(first + len(target) - filled, PAGE_ROWS)
            target[filled : filled + last - first].add_(self._page(label, page)[first:last].to(target), alpha=scale)
            filled += last - first

    def _page(self, label: int, page: int) -> Float[Tensor, "row dim"]:
        with self.lock:
            if (label, page) in self.pages:
                self.pages.move_to_end((label, page))
                return self.pages[label, page]
        factor = self.factors[label]
        normal = torch.randn(PAGE_ROWS, len(factor), generator=generator_for(self.seed, "base noise", label, page))
        page_rows = normal.to(factor) @ factor
        with self.lock:
            self.pages[label, page] = page_rows
            while len(self.pages) > self.max_pages:
                self.pages.popitem(last=False)
        return page_rows


_NOISE: WeakKeyDictionary[BaseStatistics, dict[int, BaseNoise]] = WeakKeyDictionary()
_NOISE_LOCK = Lock()


def shared_noise(base: BaseStatistics, seed: int) -> BaseNoise:
    """The noise of base classes, one for all threads and for copies of a classifier."""
    assert base.class_factors is not None
    with _NOISE_LOCK:
        of_base = _NOISE.setdefault(base, {})
        if seed not in of_base:
            of_base[seed] = BaseNoise(base.class_factors, seed)
            if len(of_base) > MAX_SEEDS:
                del of_base[next(iter(of_base))]
        return of_base[seed]
