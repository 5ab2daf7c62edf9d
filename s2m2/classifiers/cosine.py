"""The cosine classifier of S2M2, one for every few-shot task of a batch, fitted together by stochastic gradient descent.

The logit of class c is scale * g_c * cos(x, v_c), where the direction v_c and the norm g_c are learned apart from each other and features
are divided by ||x|| + 1e-5 (Mangla et al., WACV 2020, section 3).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from s2m2.classifiers.base import FewShotTasks, InductiveClassifier, RandomState
from s2m2.classifiers.task_streams import task_orders, task_uniforms
from s2m2.recipe.ranges import FromZeroBelowOne, PositiveFloat, PositiveInt

SHIFT = 1e-5
"""Added to the length of a feature vector before dividing by it (S2M2)."""


@dataclass(kw_only=True, eq=False, repr=False)
class CosineClassifier(InductiveClassifier):
    """A new cosine classifier for every task (Mangla et al., WACV 2020, section 3.3; defaults: S2M2's protocol)."""

    name = "cosine"
    title = "cosine classifier"

    epochs: PositiveInt = 200
    """Passes over the support images; fixed in advance, never chosen by looking at the accuracy."""
    batch_size: PositiveInt = 4
    """Support images a step, in random order; the last batch of an epoch is smaller where they do not divide."""
    learning_rate: PositiveFloat = 0.01
    """Learning rate of SGD."""
    momentum: FromZeroBelowOne = 0.9
    """Momentum of SGD, as `torch.optim.SGD` defines it."""
    dampening: FromZeroBelowOne = 0.9
    """Fraction of a gradient that the momentum leaves out, from the second step on; without effect where the momentum is 0."""
    weight_decay: FromZeroBelowOne = 1e-3
    """Weight decay, on directions and norms alike."""
    scale: PositiveFloat = 2.0
    """Multiplier of the cosines before the softmax."""
    random_state: RandomState = 0
    """Seed of `fit`: a whole number repeats it; a NumPy RandomState or Generator gives each `fit` a seed; None makes each `fit` another.
    Calls with a batch of tasks get a generator."""

    def fit_tasks(self, tasks: FewShotTasks, generator: torch.Generator) -> "CosineWeights":
        """Fit to the support.

        The directions start as a linear layer's weights, uniform in +-1 / sqrt(dim), and the norms as their lengths. Every task has
        starting weights and, in every epoch, an order of its own, which follow from its key.
        """
        keys, (items, dim) = tasks.random_keys(generator), tasks.support.shape[1:]
        uniform = task_uniforms(keys, 0, tasks.ways * dim).to(tasks.support)
        initial = uniform.mul_(2).sub_(1).mul_(dim**-0.5).unflatten(1, (tasks.ways, dim))
        orders = task_orders(keys, tasks.ways * dim, items, self.epochs)
        return fit_cosine(initial, tasks.support, tasks.labels, orders, self)


@dataclass(frozen=True, kw_only=True, eq=False)
class CosineWeights:
    """The fitted classifiers of a batch of tasks."""

    directions: Float[Tensor, "task way dim"]
    norms: Float[Tensor, "task way"]
    scale: float

    def scores(self, query: Float[Tensor, "task query dim"]) -> Float[Tensor, "task query way"]:
        """Logits scale * g_c * cos(x, v_c)."""
        lengths = torch.linalg.vector_norm(query, dim=-1, keepdim=True) + SHIFT
        gains = self.scale * self.norms / torch.linalg.vector_norm(self.directions, dim=-1)
        return query @ self.directions.mT * gains[:, None] / lengths


def fit_cosine(
    initial: Float[Tensor, "task way dim"],
    support: Float[Tensor, "task item dim"],
    labels: Int64[Tensor, "task item"],
    orders: Iterable[Int64[Tensor, "item task"]],
    settings: CosineClassifier,
) -> CosineWeights:
    """Fit a classifier to the support of every task, starting from the directions `initial` and the norms ||initial||.

    Args:
        labels: way of each support item.
        orders: for each epoch, the order of the items of every task.
    """
    lengths = torch.linalg.vector_norm(support, dim=-1) + SHIFT
    fit = _SpanFit(initial, support, lengths, labels, settings)
    gain = 1.0
    for order in orders:
        epoch = fit.in_order(order)
        for start in range(0, len(order), settings.batch_size):
            fit.step(epoch, slice(start, start + settings.batch_size), gain)
            gain = 1 - settings.dampening if settings.momentum else 1.0
    coefficients = fit.coefficients.permute(2, 0, 1)
    directions = torch.baddbmm(coefficients[..., -1:] * initial, coefficients[..., :-1] / lengths[:, None], support)
    return CosineWeights(directions=directions, norms=fit.norms.T, scale=settings.scale)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Epoch:
    """The support items of every task in its order of an epoch."""

    order: Int64[Tensor, "way item task"]
    """The item at each place, the same for every way."""
    gram: Float[Tensor, "item other task"]
    """Products of the item at each place with all items, which stay where they are."""
    start: Float[Tensor, "way item task"]
    """Products of the item at each place with the starting directions."""
    targets: Float[Tensor, "way item task"]
    """1 where the item at a place belongs to a way, else 0."""


class _SpanFit:
    """The directions of a fit as coefficients over the vectors whose span they never leave, so that no step sees the feature dimension.

    The gradient at v_c is a combination of the unit support features x_i and v_c itself, hence v_c stays a combination of the x_i and its
    own start u_c. A step needs the coefficients of v_c over x_1, ..., x_n, u_c, its inner products with the same, and the velocity of
    both; ||v_c||^2 is the sum of coefficient times product. This is exact, and needs no factorization of the span.

    The task axis is last: every operation then runs along it, however few classes and items a task has.
    """

    def __init__(
        self,
        initial: Float[Tensor, "task way dim"],
        support: Float[Tensor, "task item dim"],
        lengths: Float[Tensor, "task item"],
        labels: Int64[Tensor, "task item"],
        settings: CosineClassifier,
    ) -> None:
        (tasks, ways, _), items = initial.shape, support.shape[1]
        self.settings = settings
        self.rows = (support @ support.mT / (lengths[:, None] * lengths[..., None])).flatten(0, 1)
        self.first_rows = items * torch.arange(tasks, device=support.device)
        self.start = (initial @ support.mT / lengths[:, None]).permute(1, 2, 0).contiguous()
        self.targets = F.one_hot(labels, ways).permute(2, 1, 0).to(initial.dtype).contiguous()
        squares = initial.square().sum(-1).T.contiguous()
        self.state, self.velocity = initial.new_zeros(2, 2, ways, items + 1, tasks)
        self.coefficients, self.products = self.state
        self.coefficients[:, -1] = 1
        self.products[:, :-1] = self.start
        self.products[:, -1] = squares
        self.norms, self.norm_velocity = squares.sqrt(), torch.zeros_like(squares)
        self.work = torch.empty_like(self.coefficients)

    def in_order(self, order: Int64[Tensor, "item task"]) -> _Epoch:
        """What the steps of an epoch take, in its order: once for all of them, whole rows of the Gram matrix at a time."""
        every = order.expand(len(self.targets), -1, -1)
        rows = self.rows.index_select(0, (order + self.first_rows).T.flatten())
        gram = rows.unflatten(0, order.T.shape).permute(1, 2, 0).contiguous()
        return _Epoch(order=every, gram=gram, start=self.start.gather(1, every), targets=self.targets.gather(1, every))

    def step(self, epoch: _Epoch, batch: slice, gain: float) -> None:
        """One step of gradient descent on the items at some places of the order.

        With r_bc = scale * (softmax_bc - onehot_bc) / batch size the gradients are
            dL/dg_c = sum_b r_bc cos_bc,
            dL/dv_c = g_c / ||v_c|| * sum_b r_bc x_b - g_c / ||v_c||^2 * dL/dg_c * v_c.

        Args:
            gain: fraction of the gradient that enters the momentum.
        """
        settings, targets = self.settings, epoch.targets[:, batch]
        inverse = torch.mul(self.coefficients, self.products, out=self.work).sum(1).rsqrt_()
        cosines = self.products.gather(1, epoch.order[:, batch]).mul_(inverse[:, None])
        probabilities = torch.softmax(cosines * (self.norms * settings.scale)[:, None], dim=0)
        residuals = probabilities.sub_(targets).mul_(settings.scale / targets.shape[1])
        slopes = torch.mul(residuals, cosines).sum(1)
        inverse_norms = self.norms * inverse
        shrinkage = settings.weight_decay - inverse_norms * inverse * slopes
        self.velocity.mul_(settings.momentum).addcmul_(self.state, shrinkage[:, None], value=gain)
        self._accelerate(epoch, batch, residuals.mul_((inverse_norms * gain)[:, None]))
        self.state.add_(self.velocity, alpha=-settings.learning_rate)
        slopes.add_(self.norms, alpha=settings.weight_decay)
        self.norm_velocity.mul_(settings.momentum).add_(slopes, alpha=gain)
        self.norms.add_(self.norm_velocity, alpha=-settings.learning_rate)

    def _accelerate(self, epoch: _Epoch, batch: slice, weights: Float[Tensor, "way batch task"]) -> None:
        """Add a combination of the features of a batch to the velocity of each class."""
        coefficients, products = self.velocity.unbind()
        coefficients.scatter_add_(1, epoch.order[:, batch], weights)
        products[:, -1] += (weights * epoch.start[:, batch]).sum(1)
        support_products = products[:, :-1]
        for row, weight in zip(epoch.gram[batch], weights.split(1, dim=1), strict=True):
            support_products.addcmul_(weight, row)
