"""The cosine classifier of S2M2, one for every few-shot task of a batch, fitted together by stochastic gradient descent.

The logit of class c is scale * g_c * cos(x, v_c), where the direction v_c and the norm g_c are learned apart from each other and features
are divided by ||x|| + 1e-5 (Mangla et al., WACV 2020, section 3).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from s2m2.classifiers.base import FewShotTasks, InductiveClassifier, RandomState
from s2m2.classifiers.task_streams import task_orders, task_uniforms
from s2m2.recipe.ranges import FromZeroBelowOne, PositiveFloat, PositiveInt

SHIFT = 1e-5
"""Added to the length of a feature vector before dividing by it (S2M2)."""
MIN_DECAY = 0.1
"""Decay of the momentum at which the velocities are multiplied by it."""


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
    orders: Iterable[Int64[Tensor, "task item"]],
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
        fit.reorder(order)
        for batch in fit.batches:
            fit.step(batch, gain)
            gain = 1 - settings.dampening if settings.momentum else 1.0
    coefficients = fit.coefficients.permute(2, 0, 1)
    directions = torch.baddbmm(coefficients[..., -1:] * initial, coefficients[..., :-1] / lengths[:, None], support)
    return CosineWeights(directions=directions, norms=fit.norms.T, scale=settings.scale)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Batch:
    """The support items of a step, one of each task at each position: views of arrays that `_SpanFit.reorder` fills for an epoch."""

    places: Int64[Tensor, " place"]
    """Where they stand in the arrays of coefficients and products, "item way task" as flat indices."""
    targets: Float[Tensor, "item way task"]
    """1 where an item belongs to a way, else 0."""
    gram: tuple[Float[Tensor, "other task"], ...]
    """For each position its products with all items, which stay where they are."""
    start: Float[Tensor, "item way task"]
    """Products with the starting directions."""


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
        self.settings, self.labels, self.decay = settings, labels, 1.0
        gram = (support @ support.mT / (lengths[:, None] * lengths[..., None])).permute(1, 2, 0)
        start = (support @ initial.mT / lengths[..., None]).permute(1, 2, 0)
        self.norms = torch.linalg.vector_norm(initial, dim=-1).T.contiguous()
        self.norm_velocity = torch.zeros_like(self.norms)
        self.state, self.velocity = initial.new_zeros(2, 2, ways, items + 1, tasks)
        self.coefficients, self.products = self.state
        self.coefficients[:, -1] = 1
        self.products[:, :-1] = start.transpose(0, 1)
        self.products[:, -1] = self.norms.square()
        self.work = torch.empty_like(self.coefficients)
        self.flat_products, self.flat_velocity = self.products.view(-1), self.velocity[0].view(-1)
        self._prepare_orders(torch.cat([gram, start], dim=1))

    def _prepare_orders(self, rows: Float[Tensor, "item column task"]) -> None:
        """Memory of what the steps of an epoch take, in its order, and every view of it: fresh ones would cost more than the steps.

        Args:
            rows: for each item its products with all items and with the starting directions.
        """
        (items, columns, tasks), ways, size = rows.shape, len(self.norms), self.settings.batch_size
        self.ordered = rows.new_empty(columns, items, tasks)
        self.targets = rows.new_empty(items, ways, tasks)
        self.places = torch.empty(items, ways, tasks, dtype=torch.int64, device=rows.device)
        self.columns = [(rows.view(-1)[column * tasks :], target.view(-1)) for column, target in enumerate(self.ordered)]
        self.way, self.task = torch.arange(ways, device=rows.device)[:, None], torch.arange(tasks, device=rows.device)
        self.first_place = self.way * ((items + 1) * tasks) + self.task
        gram, start = self.ordered[:items].unbind(1), self.ordered[items:].transpose(0, 1)
        self.batches = [
            _Batch(places=places.view(-1), targets=targets, gram=gram[number * size : (number + 1) * size], start=of_start)
            for number, (places, targets, of_start) in enumerate(
                zip(self.places.split(size), self.targets.split(size), start.split(size), strict=True)
            )
        ]

    def reorder(self, order: Int64[Tensor, "task item"]) -> None:
        """Bring what the steps of an epoch take into its order.

        Each column of products is copied by the same indices, and lies in the cache meanwhile.
        """
        torch.eq(self.labels.gather(1, order).T[:, None], self.way, out=self.targets)
        first = order.T.contiguous() * len(order)
        torch.add(first[:, None], self.first_place, out=self.places)
        sources = first.mul_(len(self.ordered)).add_(self.task).view(-1)
        for column, target in self.columns:
            torch.index_select(column, 0, sources, out=target)

    def step(self, batch: _Batch, gain: float) -> None:
        """One step of gradient descent on the items of a batch.

        With r_bc = scale * (softmax_bc - onehot_bc) / batch size the gradients are
            dL/dg_c = sum_b r_bc cos_bc,
            dL/dv_c = g_c / ||v_c|| * sum_b r_bc x_b - g_c / ||v_c||^2 * dL/dg_c * v_c.

        Args:
            gain: fraction of the gradient that enters the momentum.
        """
        settings, factor = self.settings, self.settings.scale / len(batch.gram)
        gain = self._decayed(gain)
        inverse = torch.mul(self.coefficients, self.products, out=self.work).sum(1).rsqrt_()
        inverse_norms = self.norms * inverse
        products = self.flat_products.index_select(0, batch.places).view_as(batch.targets)
        # r without its factor, which costs less on what is summed over the batch.
        residuals = torch.softmax(products * (inverse_norms * settings.scale), dim=1).sub_(batch.targets)
        slopes = products.mul_(residuals).sum(0).mul_(inverse).mul_(factor)
        shrinkage = settings.weight_decay - inverse_norms * inverse * slopes
        self.velocity.addcmul_(self.state, shrinkage[:, None], value=gain)
        self._accelerate(batch, residuals.mul_(inverse_norms.mul_(gain * factor)))
        self.state.add_(self.velocity, alpha=-settings.learning_rate * self.decay)
        slopes.add_(self.norms, alpha=settings.weight_decay)
        self.norm_velocity.add_(slopes, alpha=gain)
        self.norms.add_(self.norm_velocity, alpha=-settings.learning_rate * self.decay)

    def _decayed(self, gain: float) -> float:
        """Let the momentum decay by a factor beside the velocities, which are multiplied by it only now and then; the gain over it."""
        self.decay *= self.settings.momentum
        if self.decay < MIN_DECAY:
            self.velocity.mul_(self.decay)
            self.norm_velocity.mul_(self.decay)
            self.decay = 1.0
        return gain / self.decay

    def _accelerate(self, batch: _Batch, weights: Float[Tensor, "item way task"]) -> None:
        """Add a combination of the features of a batch to the velocity of each class."""
        self.flat_velocity.index_add_(0, batch.places, weights.view(-1))
        products = self.velocity[1]
        products[:, -1].add_((weights * batch.start).sum(0))
        support_products = products[:, :-1]
        for row, weight in zip(batch.gram, weights[:, :, None], strict=True):
            support_products.addcmul_(weight, row)
