"""Classifiers of few-shot tasks, fitted to the support and to the information that the queries' predictions carry."""

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from s2m2.functional.adam import EPSILON, MOMENTUM, SPREAD, Adam

MIN_PROBABILITY = 1e-30
"""Of a mean prediction, where its logarithm is taken."""


@dataclass(frozen=True, kw_only=True)
class InformationSettings:
    """The loss of TIM (Boudiaf et al., NeurIPS 2020) and of alpha-TIM (Veilleux et al., NeurIPS 2021), and its descent.

    With x of unit length, p_ik the softmax over k of -scale / 2 * ||x_i - w_k||^2 and m the mean of the queries' p, the loss is
        supervised * CE(support) - marginal * H(m) + conditional * mean of H(p_i) over queries,
    where H is the alpha-entropy (1 - sum_k p_k^alpha) / (alpha - 1), or Shannon's at alpha 1.
    """

    scale: float
    supervised: float
    marginal: float
    conditional: float
    alpha: float
    steps: int
    learning_rate: float
    """Of Adam."""
    elementwise: bool
    """Adam as published; else with one average of squared gradients for the weights of a class, of ||g||^2 / dimensions.

    Adam divides each axis by an average of its own; where the axes have little to do with the directions that matter, as the hundreds of
    a network's features, these averages are much alike, and the other comes close."""


def information_logits(
    items: Float[Tensor, "task item dim"], support_ways: Float[Tensor, "task way shot"], settings: InformationSettings
) -> Float[Tensor, "task way query"]:
    """Logits of the queries, up to a term that all ways share, by class weights that went down the loss from the class means.

    Args:
        items: the support items, then the queries.
        support_ways: 1 where a support item belongs to a way, else 0.
    """
    count = support_ways.shape[2]
    shares = support_ways / support_ways.sum(-1, keepdim=True)
    within_span = not settings.elementwise and items.shape[1] <= items.shape[2]
    descent: _Descent = (_SpanDescent if within_span else _FeatureDescent)(items, shares, settings)
    targets = support_ways * (settings.scale * settings.supervised / count)
    residuals = items.new_empty(*shares.shape[:2], items.shape[1])
    for _ in range(settings.steps):
        fill_residuals(residuals, descent.logits(), targets, settings)
        descent.step(residuals)
    return descent.logits()[..., count:]


def fill_residuals(
    residuals: Float[Tensor, "task way item"],
    logits: Float[Tensor, "task way item"],
    targets: Float[Tensor, "task way shot"],
    settings: InformationSettings,
) -> None:
    """Fill in scale times the derivatives of the loss by the logits.

    With u = dL/dp of a query, up to a term that all ways share, dL/dlogit_k = p_k (u_k - sum_j p_j u_j); of a support item it is
    supervised / items * (p_k - onehot_k). The derivative of the alpha-entropy by p_k is -alpha / (alpha - 1) * p_k^(alpha - 1), that
    of Shannon's -log(p_k) - 1.

    Args:
        targets: scale * supervised / items where a support item belongs to a way, else 0.
    """
    count, order = targets.shape[2], settings.alpha
    logs = torch.log_softmax(logits, dim=1)
    chances = logs.exp()
    torch.mul(chances[..., :count], settings.scale * settings.supervised / count, out=residuals[..., :count]).sub_(targets)
    slopes, chances, of_queries = logs[..., count:], chances[..., count:], residuals[..., count:]
    mean = chances.mean(-1, keepdim=True)
    factor = settings.scale / slopes.shape[2]
    if order == 1:
        mean.clamp_(min=MIN_PROBABILITY).log_()
    else:
        factor *= order / (order - 1)
        mean.pow_(order - 1)
        slopes.mul_(order - 1).exp_()
    slopes.mul_(-settings.conditional * factor).add_(mean, alpha=settings.marginal * factor)
    torch.mul(chances, slopes, out=of_queries)
    of_queries.addcmul_(chances, of_queries.sum(1, keepdim=True), value=-1)


class _Descent(Protocol):
    """Class weights w of a block of tasks, on their way down.

    With r the residuals of `fill_residuals`, the gradient at w_k is sum_i r_ik (x_i - w_k).
    """

    def logits(self) -> Float[Tensor, "task way item"]: ...

    def step(self, residuals: Float[Tensor, "task way item"]) -> None: ...


class _FeatureDescent:
    """In the features' own coordinates."""

    def __init__(
        self, items: Float[Tensor, "task item dim"], shares: Float[Tensor, "task way shot"], settings: InformationSettings
    ) -> None:
        self.scale, self.items, self.columns = settings.scale, items, items.mT.contiguous()
        self.weights = shares @ items[:, : shares.shape[2]]
        self.adam = Adam(self.weights, settings.learning_rate, rotations=not settings.elementwise)
        self.gradients = torch.empty_like(self.weights)

    def logits(self) -> Float[Tensor, "task way item"]:
        squares = self.weights.square().sum(-1, keepdim=True)
        return torch.baddbmm(squares, self.weights, self.columns, beta=-self.scale / 2, alpha=self.scale)

    def step(self, residuals: Float[Tensor, "task way item"]) -> None:
        torch.bmm(residuals, self.items, out=self.gradients)
        self.adam.step(self.gradients.addcmul_(residuals.sum(-1, keepdim=True), self.weights, value=-1))


class _SpanDescent:
    """In coefficients over the items, where Adam has one average of squared gradients for each class.

    Such steps do not depend on the axes, so class weights never leave the span of the items; all that is needed are their coefficients
    over the items and their products with the items. This is exact, and takes one product with the Gram matrix a step.
    """

    def __init__(
        self, items: Float[Tensor, "task item dim"], shares: Float[Tensor, "task way shot"], settings: InformationSettings
    ) -> None:
        self.scale, self.learning_rate = settings.scale, settings.learning_rate
        self.dim, self.steps = items.shape[2], 0
        self.gram = items @ items.mT
        self.state, self.mean, self.gradients = self.gram.new_zeros(3, 2, *shares.shape[:2], items.shape[1]).unbind()
        self.coefficients, self.products = self.state
        self.coefficients[..., : shares.shape[2]] = shares
        torch.bmm(self.coefficients, self.gram, out=self.products)
        self.square = torch.zeros_like(self.coefficients[..., :1])

    def logits(self) -> Float[Tensor, "task way item"]:
        squares = (self.coefficients * self.products).sum(-1, keepdim=True)
        return torch.sub(self.products, squares, alpha=0.5).mul_(self.scale)

    def step(self, residuals: Float[Tensor, "task way item"]) -> None:
        self.steps += 1
        coefficients, products = self.gradients
        coefficients.copy_(residuals)
        torch.bmm(residuals, self.gram, out=products)
        self.gradients.addcmul_(residuals.sum(-1, keepdim=True), self.state, value=-1)
        lengths = (coefficients * products).sum(-1, keepdim=True).clamp_(min=0)
        self.mean.lerp_(self.gradients, 1 - MOMENTUM)
        self.square.mul_(SPREAD).add_(lengths, alpha=(1 - SPREAD) / self.dim)
        correction = (1 - SPREAD**self.steps) ** 0.5
        rates = self.square.sqrt().add_(EPSILON * correction).reciprocal_()
        self.state.addcmul_(self.mean, rates, value=-self.learning_rate * correction / (1 - MOMENTUM**self.steps))
