"""What the logits of a classifier are worth: likelihood, accuracy, calibration, and what it has learned by heart."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from s2m2.functional.reliability import calibration_error, reliability_bins


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictionQuality:
    """Of the predictions of some items."""

    accuracy: float
    """A fraction."""
    nll: float
    """Mean negative log-likelihood of the label, in nats."""
    calibration_error: float
    """Expected calibration error over 15 bins, a fraction."""
    bins: Float64[Tensor, "bin 3"]
    """Of each bin of confidence: number of items, sum of confidences, number of right ones."""
    items: int


@dataclass(frozen=True, kw_only=True)
class Memorization:
    """What became of items that were trained on, some of them under a wrong label (Zhang et al., ICLR 2017, arXiv 1611.03530).

    All shares are fractions; None where there are no such items.
    """

    corrupted: int
    """Items whose label was wrong."""
    clean: int
    given_label: float | None
    """Of the corrupted, share assigned to the wrong label that training gave: learned by heart."""
    true_label: float | None
    """Of the corrupted, share assigned to their true class all the same."""
    clean_accuracy: float | None
    """Of the others, share assigned to their label."""


def prediction_quality(logits: Float[Tensor, "item class"], labels: Int64[Tensor, " item"]) -> PredictionQuality:
    """Accuracy, negative log-likelihood -1/n sum log p(y) and expected calibration error (Guo et al., ICML 2017, section 2).

    Probabilities are the softmax of the logits; its largest is the confidence.
    """
    logarithms = torch.log_softmax(logits.cpu().double(), dim=1)
    labels = labels.cpu()
    confidence, predicted = logarithms.max(1)
    right = predicted == labels
    bins = reliability_bins(confidence.exp(), right)
    return PredictionQuality(
        accuracy=float(right.double().mean()),
        nll=float(F.nll_loss(logarithms, labels)),
        calibration_error=calibration_error(bins),
        bins=bins,
        items=len(labels),
    )


def memorization(predicted: Int64[Tensor, " item"], given: Int64[Tensor, " item"], true: Int64[Tensor, " item"]) -> Memorization:
    """How many items are assigned to the label that training gave them, and to their true class.

    Args:
        predicted: class that the network assigns to an item that it was trained on.
        given: label in training, wrong for some.
        true: class.
    """
    corrupted = given != true

    def share(hits: Tensor, of: Tensor) -> float | None:
        return float(hits[of].double().mean()) if bool(of.any()) else None

    return Memorization(
        corrupted=int(corrupted.sum()),
        clean=int((~corrupted).sum()),
        given_label=share(predicted == given, corrupted),
        true_label=share(predicted == true, corrupted),
        clean_accuracy=share(predicted == true, ~corrupted),
    )
