# shim
"""Settings of the transductive few-shot classifiers, which look at all queries of a task together."""

from dataclasses import dataclass
from typing import Literal

from s2m2.recipe.checks import check

AdamName = Literal["classwise", "elementwise"]


@dataclass(frozen=True, kw_only=True)
class SoftKMeansConfig:
    """Soft k-means (Ren et al., ICLR 2018)."""

    steps: int = 1
    """Refinements of the class means; the paper found one to be enough."""
    scale: float = 1.0
    """Multiplier of the negative squared distances before the softmax. The paper has none (1) and learns its features' scale; on features
    of unit length 1 is soft, on raw ones it may be nearly hard."""

    def __post_init__(self) -> None:
        check(self.steps >= 0, "evaluate.soft_kmeans.steps", self.steps, "0 or more")
        check(self.scale > 0, "evaluate.soft_kmeans.scale", self.scale, "above 0")


@dataclass(frozen=True, kw_only=True)
class BDCSPNConfig:
    """BD-CSPN, prototype rectification (Liu et al., ECCV 2020)."""

    scale: float = 10.0
    """Multiplier of the cosines before the softmax; epsilon of the paper."""
    pseudo_labels: int = 8
    """Queries of each class, the most confident ones that are predicted to be it, that join its support; Z of the paper. 0: all, as in
    public re-implementations."""

    def __post_init__(self) -> None:
        check(self.scale > 0, "evaluate.bd_cspn.scale", self.scale, "above 0")
        check(self.pseudo_labels >= 0, "evaluate.bd_cspn.pseudo_labels", self.pseudo_labels, "0 or more")


@dataclass(frozen=True, kw_only=True)
class LaplacianShotConfig:
    """LaplacianShot (Ziko et al., ICML 2020). Its authors tune `weight` on the validation classes of each benchmark."""

    weight: float = 0.7
    """Weight of the agreement of neighbors; lambda of the paper. 0.7 is what validation on mini-ImageNet chooses at one shot; the authors
    search 0.1 to 1.5, and at five shots 0.1 to 0.3 are chosen where queries are balanced."""
    neighbors: int = 3
    """Nearest queries that a query is tied to; it counts itself as the first of them, as the authors' code does."""
    steps: int = 20
    """Bound updates, at most."""
    tolerance: float = 1e-6
    """Relative change of the energy at which the updates of a task end."""
    rectify: bool = True
    """Shift the queries and rectify the class means as BD-CSPN does. Off: plain class means, and no assumption of balance."""
    center: bool = True
    """Subtract the mean of the base features before scaling features to unit length (CL2N)."""

    def __post_init__(self) -> None:
        check(self.weight >= 0, "evaluate.laplacian_shot.weight", self.weight, "0 or more")
        check(self.neighbors >= 2, "evaluate.laplacian_shot.neighbors", self.neighbors, "2 or more, as a query is its own first")
        check(self.steps >= 1, "evaluate.laplacian_shot.steps", self.steps, "1 or more")
        check(self.tolerance >= 0, "evaluate.laplacian_shot.tolerance", self.tolerance, "0 or more")


@dataclass(frozen=True, kw_only=True)
class TIMConfig:
    """TIM-GD, transductive information maximization (Boudiaf et al., NeurIPS 2020)."""

    scale: float = 15.0
    """Multiplier of half the negative squared distances; tau of the paper."""
    supervised: float = 0.1
    """Weight of the cross entropy of the support; lambda of the paper."""
    marginal: float = 1.0
    """Weight of the entropy of the mean prediction of the queries, which is made large."""
    conditional: float = 0.1
    """Weight of the mean entropy of the predictions of the queries, which is made small; alpha of the paper."""
    steps: int = 1000
    """Steps of Adam, each on the whole task."""
    learning_rate: float = 1e-4
    """Learning rate of Adam, as in the authors' code."""
    adam: AdamName = "elementwise"
    """elementwise: Adam exactly as the authors run it. classwise: with one average of squared gradients for the weights of a class, which
    comes close to it on features of many dimensions and is several times as fast, as only inner products matter then."""

    def __post_init__(self) -> None:
        _check_information(self, "tim")


@dataclass(frozen=True, kw_only=True)
class AlphaTIMConfig:
    """alpha-TIM (Veilleux et al., NeurIPS 2021): TIM with alpha-entropies, for queries in unequal numbers."""

    alpha: float | None = None
    """Order of both entropies; 1 is Shannon's. Not set: the authors' choice for Dirichlet-drawn queries, 2 at one shot, 7 from five
    shots on, else 5."""
    scale: float = 15.0
    """Multiplier of half the negative squared distances."""
    supervised: float = 1.0
    """Weight of the cross entropy of the support."""
    marginal: float = 1.0
    """Weight of the alpha-entropy of the mean prediction of the queries, which is made large."""
    conditional: float = 1.0
    """Weight of the mean alpha-entropy of the predictions of the queries, which is made small."""
    steps: int = 1000
    """Steps of Adam, each on the whole task."""
    learning_rate: float = 1e-4
    """Learning rate of Adam."""
    adam: AdamName = "elementwise"
    """Kind of Adam, see `tim`."""

    def __post_init__(self) -> None:
        check(self.alpha is None or self.alpha > 0, "evaluate.alpha_tim.alpha", self.alpha, "above 0")
        _check_information(self, "alpha_tim")


@dataclass(frozen=True, kw_only=True)
class PTMapConfig:
    """PT-MAP, power transform and optimal transport (Hu et al., ICANN 2021)."""

    power: float = 0.5
    """Exponent of the features, which must not be negative unless it is 1; beta of the paper. 0 takes the logarithm."""
    center: bool = True
    """Subtract from support and queries their own means, as the authors' code does after the power transform."""
    scale: float = 10.0
    """Multiplier of the squared distances in the transport plan; lambda of the paper."""
    rate: float = 0.2
    """Share of the way that class centers go to their estimates in a step; alpha of the paper."""
    steps: int = 20
    """Updates of the class centers."""
    tolerance: float = 1e-6
    """Largest change of a query's total in an iteration at which Sinkhorn's iteration ends; looked at every tenth time."""
    iterations: int = 1000
    """Sinkhorn iterations, at most; rounded up to tens."""

    def __post_init__(self) -> None:
        check(0 <= self.power <= 1, "evaluate.pt_map.power", self.power, "from 0 to 1")
        check(0 < self.rate <= 1, "evaluate.pt_map.rate", self.rate, "above 0, and 1 or less")
        for name in ("scale", "tolerance"):
            check(getattr(self, name) > 0, f"evaluate.pt_map.{name}", getattr(self, name), "above 0")
        check(self.steps >= 0, "evaluate.pt_map.steps", self.steps, "0 or more")
        check(self.iterations >= 1, "evaluate.pt_map.iterations", self.iterations, "1 or more")


@dataclass(frozen=True, kw_only=True)
class TransductiveFinetuningConfig:
    """Transductive fine-tuning (Dhillon et al., ICLR 2020) of the classifier on fixed features."""

    epochs: int = 25
    """Epochs of two steps each: one on the cross entropy of the support, one on the entropy of the queries."""
    learning_rate: float = 5e-5
    """Learning rate of Adam. The paper's, with which it moves the whole network; a classifier alone hardly leaves its start."""
    scale: float = 1.0
    """Multiplier of the cosines before the softmax. The paper has none (1)."""

    def __post_init__(self) -> None:
        check(self.epochs >= 0, "evaluate.transductive_finetuning.epochs", self.epochs, "0 or more")
        for name in ("learning_rate", "scale"):
            check(getattr(self, name) > 0, f"evaluate.transductive_finetuning.{name}", getattr(self, name), "above 0")


def _check_information(config: TIMConfig | AlphaTIMConfig, classifier: str) -> None:
    for name in ("supervised", "marginal", "conditional"):
        check(getattr(config, name) >= 0, f"evaluate.{classifier}.{name}", getattr(config, name), "0 or more")
    for name in ("scale", "learning_rate"):
        check(getattr(config, name) > 0, f"evaluate.{classifier}.{name}", getattr(config, name), "above 0")
    check(config.steps >= 0, f"evaluate.{classifier}.steps", config.steps, "0 or more")
