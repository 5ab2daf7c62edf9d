# shim
"""Settings of the inductive few-shot classifiers, apart from the paper's cosine classifier."""

from dataclasses import dataclass

from s2m2.recipe.checks import check


@dataclass(frozen=True, kw_only=True)
class ConvergedCosineConfig:
    """The cosine classifier at the minimum of its loss, instead of after some epochs of SGD (defaults: S2M2's)."""

    weight_decay: float = 1e-3
    """Weight decay, half of which multiplies the squared norms in the loss."""
    scale: float = 2.0
    """Multiplier of the cosines before the softmax."""

    def __post_init__(self) -> None:
        _check_positive("cosine_converged", self, "weight_decay", "scale")


@dataclass(frozen=True, kw_only=True)
class LogisticConfig:
    """Multinomial logistic regression (default: scikit-learn's)."""

    inverse_penalty: float = 1.0
    """C: multiplier of the summed cross entropy, against half the squared weights."""

    def __post_init__(self) -> None:
        _check_positive("logistic", self, "inverse_penalty")


@dataclass(frozen=True, kw_only=True)
class SvmConfig:
    """Linear support vector machine, one class against the rest (default: scikit-learn's)."""

    inverse_penalty: float = 1.0
    """C: multiplier of the summed squared hinge losses, against half the squared weights."""

    def __post_init__(self) -> None:
        _check_positive("svm", self, "inverse_penalty")


@dataclass(frozen=True, kw_only=True)
class RidgeConfig:
    """Ridge regression to +1 for the item's class and -1 for the others."""

    penalty: float = 1.0
    """Multiplier of the squared weights. R2D2 learns it together with its network; 1 is scikit-learn's."""

    def __post_init__(self) -> None:
        _check_positive("ridge", self, "penalty")


@dataclass(frozen=True, kw_only=True)
class CalibratedConfig:
    """Distribution calibration: logistic regression on features drawn around each support item (defaults: the paper's)."""

    power: float = 0.5
    """Power that support and query features are raised to first (Tukey's ladder); the statistics of the base classes stay as they are."""
    neighbors: int = 2
    """Nearest base classes that lend their mean and covariance to a support item."""
    spread: float = 0.21
    """Added to every entry of the covariance; the paper has 0.21 on mini-ImageNet and tieredImageNet, 0.3 on CUB."""
    samples: int = 750
    """Features drawn for each class of a task, shared out equally among its support items."""
    inverse_penalty: float = 1.0
    """C of the logistic regression, as scikit-learn has it."""

    def __post_init__(self) -> None:
        _check_positive("calibrated", self, "power", "inverse_penalty")
        check(self.neighbors >= 1, "evaluate.calibrated.neighbors", self.neighbors, "1 or more")
        check(self.samples >= 1, "evaluate.calibrated.samples", self.samples, "1 or more")
        check(self.spread >= 0, "evaluate.calibrated.spread", self.spread, "0 or more")


def _check_positive(classifier: str, config: object, *names: str) -> None:
    for name in names:
        check(getattr(config, name) > 0, f"evaluate.{classifier}.{name}", getattr(config, name), "above 0")
