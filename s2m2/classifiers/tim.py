"""TIM-GD, transductive information maximization (Boudiaf et al., NeurIPS 2020), and alpha-TIM (Veilleux et al., NeurIPS 2021).

With x of unit length, p_ik the softmax over k of -scale / 2 * ||x_i - w_k||^2 and m the mean of the queries' p, the loss is
    supervised * CE(support) - marginal * H(m) + conditional * mean of H(p_i) over queries,
where H is the alpha-entropy (1 - sum_k p_k^alpha) / (alpha - 1), or Shannon's at alpha 1.

`tim` and `alpha_tim` descend by Adam as their authors run it, element by element. `tim_fast` and `alpha_tim_fast` average one square of
the gradient for all weights of a class, ||g||^2 / dimensions. Adam divides each axis by an average of its own; where the axes have little
to do with the directions that matter, as the hundreds of a network's features, these averages are much alike, so the fast ones come
close: mean accuracies differ by tenths of a point, both ways, and single tasks by up to 19 points. They are several times as fast, as only
inner products matter then. (In version 0.1 the plain names meant the fast ones.)
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from s2m2.classifiers.adam import BETA1, BETA2, EPSILON, Adam
from s2m2.classifiers.base import SMALL_STEPS, FewShotTasks, TransductiveClassifier
from s2m2.recipe.ranges import NonNegativeFloat, NonNegativeInt, PositiveFloat

MIN_PROBABILITY = 1e-30
"""Of a mean prediction, where its logarithm is taken."""
ONE_SHOT, FEW_SHOTS, MANY_SHOTS, MANY = 2.0, 5.0, 7.0, 5
"""Orders of alpha-TIM's entropies at one shot, in between (and where shots differ), and from `MANY` shots on, as in the authors' code."""


@dataclass(kw_only=True, eq=False, repr=False)
class TIM(TransductiveClassifier):
    """Class weights fitted by gradient descent to the support labels and mutual information (TIM, eq. 1 to 3, section 3.4 "TIM-GD").

    It assumes balanced queries: the mutual information is largest where the mean prediction is uniform.
    """

    name = "tim"
    title = "TIM-GD"
    job = SMALL_STEPS
    classwise: ClassVar[bool] = False
    """One average of squared gradients for all weights of a class, in place of Adam's own."""

    scale: PositiveFloat = 15.0
    """Multiplier of half the negative squared distances; tau of the paper."""
    supervised: NonNegativeFloat = 0.1
    """Weight of the cross entropy of the support; lambda of the paper."""
    marginal: NonNegativeFloat = 1.0
    """Weight of the entropy of the mean prediction of the queries, which is maximized."""
    conditional: NonNegativeFloat = 0.1
    """Weight of the mean entropy of the predictions of the queries, which is minimized; alpha of the paper."""
    steps: NonNegativeInt = 1000
    """Steps of Adam, each on the whole task."""
    learning_rate: PositiveFloat = 1e-4
    """Learning rate of Adam, as in the authors' code."""

    def assumes_balance(self) -> bool:
        """Always."""
        return True

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Fit, and return the logits of the queries."""
        return maximize_information(tasks, self, order=1.0)


class FastTIM(TIM):
    """TIM-GD with one average of squared gradients a class."""

    name = "tim_fast"
    title = "TIM-GD, fast"
    classwise = True


@dataclass(kw_only=True, eq=False, repr=False)
class AlphaTIM(TransductiveClassifier):
    """TIM with alpha-entropies of predictions and mean prediction (alpha-TIM, eq. 8 and 9), for queries in unequal numbers.

    It does not assume balanced queries: the gain in entropy near the uniform mean prediction is small at large alpha. The cross
    entropy of the support stays Shannon's, as in the authors' experiments.
    """

    name = "alpha_tim"
    title = "alpha-TIM"
    job = SMALL_STEPS
    classwise: ClassVar[bool] = False
    """As in `TIM`."""

    alpha: PositiveFloat | None = None
    """Order of both entropies; 1 is Shannon's. None: the authors' choice for Dirichlet-distributed queries, 2 at one shot, 7 from five
    shots on, else 5."""
    scale: PositiveFloat = 15.0
    """Multiplier of half the negative squared distances."""
    supervised: NonNegativeFloat = 1.0
    """Weight of the cross entropy of the support."""
    marginal: NonNegativeFloat = 1.0
    """Weight of the alpha-entropy of the mean prediction of the queries, which is maximized."""
    conditional: NonNegativeFloat = 1.0
    """Weight of the mean alpha-entropy of the predictions of the queries, which is minimized."""
    steps: NonNegativeInt = 1000
    """Steps of Adam, each on the whole task."""
    learning_rate: PositiveFloat = 1e-4
    """Learning rate of Adam."""

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Fit, and return the logits of the queries."""
        return maximize_information(tasks, self, order=self.alpha if self.alpha is not None else order_for(tasks.shots))


class FastAlphaTIM(AlphaTIM):
    """alpha-TIM with one average of squared gradients a class."""

    name = "alpha_tim_fast"
    title = "alpha-TIM, fast"
    classwise = True


def order_for(shots: int | None) -> float:
    """Order of the entropies that the authors of alpha-TIM chose on validation classes."""
    if shots == 1:
        return ONE_SHOT
    return MANY_SHOTS if shots is not None and shots >= MANY else FEW_SHOTS


def maximize_information(tasks: FewShotTasks, settings: TIM | AlphaTIM, order: float) -> Float[Tensor, "task query way"]:
    """Logits of the queries, up to a term that all ways share, by class weights that went down the loss from the class means.

    Args:
        order: of the entropies; 1 is Shannon's.
    """
    items, members = F.normalize(torch.cat([tasks.support, tasks.query], dim=1), dim=-1), tasks.one_hot()
    # Distances and steps do not change with the origin; about their middle, items with a large part in common keep their digits.
    items -= items.mean(1, keepdim=True)
    count = members.shape[2]
    weights = members / members.sum(-1, keepdim=True)
    within_span = settings.classwise and items.shape[1] <= items.shape[2]
    descent: _Descent = (_SpanDescent if within_span else _FeatureDescent)(items, weights, settings)
    targets = members * (settings.scale * settings.supervised / count)
    residuals = items.new_empty(*weights.shape[:2], items.shape[1])
    for _ in range(settings.steps):
        fill_residuals(residuals, descent.logits(), targets, settings, order)
        descent.step(residuals)
    return descent.logits()[..., count:].mT


def fill_residuals(
    residuals: Float[Tensor, "task way item"],
    logits: Float[Tensor, "task way item"],
    targets: Float[Tensor, "task way shot"],
    settings: TIM | AlphaTIM,
    order: float,
) -> None:
    """Fill in scale times the derivatives of the loss by the logits.

    With u = dL/dp of a query, up to a term that all ways share, dL/dlogit_k = p_k (u_k - sum_j p_j u_j); of a support item it is
    supervised / items * (p_k - onehot_k). The derivative of the alpha-entropy by p_k is -alpha / (alpha - 1) * p_k^(alpha - 1), that
    of Shannon's -log(p_k) - 1.

    Args:
        targets: scale * supervised / items where a support item belongs to a way, else 0.
    """
    count = targets.shape[2]
    logs = torch.log_softmax(logits, dim=1)
    probabilities = logs.exp()
    torch.mul(probabilities[..., :count], settings.scale * settings.supervised / count, out=residuals[..., :count]).sub_(targets)
    slopes, probabilities, of_queries = logs[..., count:], probabilities[..., count:], residuals[..., count:]
    mean = probabilities.mean(-1, keepdim=True)
    factor = settings.scale / slopes.shape[2]
    if order == 1:
        mean.clamp_(min=MIN_PROBABILITY).log_()
    else:
        factor *= order / (order - 1)
        mean.pow_(order - 1)
        slopes.mul_(order - 1).exp_()
    slopes.mul_(-settings.conditional * factor).add_(mean, alpha=settings.marginal * factor)
    torch.mul(probabilities, slopes, out=of_queries)
    of_queries.addcmul_(probabilities, of_queries.sum(1, keepdim=True), value=-1)


class _Descent(Protocol):
    """Class weights w of a batch of tasks during the descent.

    With r the residuals of `fill_residuals`, the gradient at w_k is sum_i r_ik (x_i - w_k).
    """

    def logits(self) -> Float[Tensor, "task way item"]: ...

    def step(self, residuals: Float[Tensor, "task way item"]) -> None: ...


class _FeatureDescent:
    """In the features' own coordinates."""

    def __init__(self, items: Float[Tensor, "task item dim"], weights: Float[Tensor, "task way shot"], settings: TIM | AlphaTIM) -> None:
        self.scale, self.items, self.columns = settings.scale, items, items.mT.contiguous()
        self.weights = weights @ items[:, : weights.shape[2]]
        self.adam = Adam(self.weights, settings.learning_rate, classwise=settings.classwise)
        self.gradients = torch.empty_like(self.weights)

    def logits(self) -> Float[Tensor, "task way item"]:
        squares = self.weights.square().sum(-1, keepdim=True)
        return torch.baddbmm(squares, self.weights, self.columns, beta=-self.scale / 2, alpha=self.scale)

    def step(self, residuals: Float[Tensor, "task way item"]) -> None:
        torch.bmm(residuals, self.items, out=self.gradients)
        self.adam.step(self.gradients.addcmul_(residuals.sum(-1, keepdim=True), self.weights, value=-1))


class _SpanDescent:
    """In coefficients over the items, for one average of squared gradients a class.

    Such steps do not depend on the axes, so class weights never leave the span of the items; their coefficients over the items and their
    products with the items are enough. This is exact, and takes one product with the Gram matrix a step.
    """

    def __init__(self, items: Float[Tensor, "task item dim"], weights: Float[Tensor, "task way shot"], settings: TIM | AlphaTIM) -> None:
        self.scale, self.learning_rate = settings.scale, settings.learning_rate
        self.dim, self.steps = items.shape[2], 0
        self.gram = items @ items.mT
        self.state, self.mean, self.gradients = self.gram.new_zeros(3, 2, *weights.shape[:2], items.shape[1]).unbind()
        self.coefficients, self.products = self.state
        self.coefficients[..., : weights.shape[2]] = weights
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
        self.mean.lerp_(self.gradients, 1 - BETA1)
        self.square.mul_(BETA2).add_(lengths, alpha=(1 - BETA2) / self.dim)
        correction = (1 - BETA2**self.steps) ** 0.5
        rates = self.square.sqrt().add_(EPSILON * correction).reciprocal_()
        self.state.addcmul_(self.mean, rates, value=-self.learning_rate * correction / (1 - BETA1**self.steps))
