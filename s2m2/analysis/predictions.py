"""The predictions of a network with its class head: likelihood, calibration, accuracy under attack, and memorized labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Float64, Int64, UInt8
from torch import Tensor, nn

from s2m2.data.batches import fetch
from s2m2.evaluation.calibration import calibration_error, reliability_bins
from s2m2.models.backbone import Backbone
from s2m2.models.layers import evaluation_mode

MAX_LEVEL = 255
"""Of an 8-bit image."""
Logits = Callable[[Tensor], Tensor]
"""Normalized images "batch 3 size size" to logits "batch class"; in evaluation mode, so that no image depends on another."""


class Classifier(nn.Module):
    """A backbone with its class head: normalized images to logits of the base classes."""

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: Float[Tensor, "batch 3 size size"]) -> Float[Tensor, "batch class"]:
        """Logits."""
        return self.head(self.backbone(images))


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictionQuality:
    """Accuracy, likelihood and calibration of predictions."""

    accuracy: float
    """A fraction."""
    nll: float
    """Mean negative log-likelihood of the label, in nats."""
    calibration_error: float
    """Expected calibration error over 15 bins, a fraction."""
    bins: Float64[Tensor, "bin 3"]
    """Of each bin of confidence: number of items, sum of confidences, number of correct predictions."""
    items: int


@dataclass(frozen=True, kw_only=True)
class Memorization:
    """Predictions on training images, some of which had a wrong label (Zhang et al., ICLR 2017, arXiv 1611.03530).

    Fractions; None where there are no such images.
    """

    corrupted: int
    """Images trained under a wrong label."""
    clean: int
    memorized: float | None
    """Fraction of the corrupted images classified as their wrong training label."""
    true_label: float | None
    """Fraction of the corrupted images classified as their true class nevertheless."""
    clean_accuracy: float | None
    """Fraction of the other images classified correctly."""


@dataclass(frozen=True, kw_only=True)
class HeadMeasures:
    """The predictions of the class head."""

    images: int
    accuracy: float
    """A fraction."""
    nll: float
    """Mean negative log-likelihood of the true class, in nats."""
    calibration_error: float
    """Expected calibration error over 15 bins, a fraction."""
    bins: tuple[tuple[float, float, float], ...]
    """Of each bin of confidence: number of images, sum of confidences, number of correct predictions."""
    attacked: tuple[tuple[float, float], ...]
    """Step size in levels of 255, and the accuracy under the attack."""


def prediction_quality(logits: Float[Tensor, "item class"], labels: Int64[Tensor, " item"]) -> PredictionQuality:
    """Accuracy, negative log-likelihood -1/n sum log p(y) and expected calibration error (Guo et al., ICML 2017, section 2).

    Probabilities are the softmax of the logits; the largest is the confidence.
    """
    log_probabilities = torch.log_softmax(logits.cpu().double(), dim=1)
    labels = labels.cpu()
    confidence, predicted = log_probabilities.max(1)
    correct = predicted == labels
    bins = reliability_bins(confidence.exp(), correct)
    return PredictionQuality(
        accuracy=float(correct.double().mean()),
        nll=float(F.nll_loss(log_probabilities, labels)),
        calibration_error=calibration_error(bins),
        bins=bins,
        items=len(labels),
    )


def memorization(predicted: Int64[Tensor, " item"], trained: Int64[Tensor, " item"], true: Int64[Tensor, " item"]) -> Memorization:
    """How many training images are classified as their training label, and as their true class.

    Args:
        predicted: class by the network.
        trained: label in training, wrong for some.
        true: class.
    """
    corrupted = trained != true

    def fraction(hits: Tensor, among: Tensor) -> float | None:
        return float(hits[among].double().mean()) if bool(among.any()) else None

    return Memorization(
        corrupted=int(corrupted.sum()),
        clean=int((~corrupted).sum()),
        memorized=fraction(predicted == trained, corrupted),
        true_label=fraction(predicted == true, corrupted),
        clean_accuracy=fraction(predicted == true, ~corrupted),
    )


def measure_head(
    classifier: nn.Module,
    images: UInt8[Tensor, "image height width 3"],
    indices: Int64[Tensor, " index"],
    labels: Int64[Tensor, " index"],
    view: Callable[[Tensor], Tensor],
    *,
    epsilons: Sequence[float],
    mean: Sequence[float],
    std: Sequence[float],
    batch_size: int,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> HeadMeasures:
    """Likelihood, calibration and accuracy under the single-step attack, in evaluation mode.

    Args:
        classifier: normalized images to logits, on `device`; every module gets its own mode back.
        indices: of the images to measure on.
        labels: true class of each of them.
        view: stored images "batch height width 3" to the network's input, normalized by `mean` and `std`.
        epsilons: step sizes of the attack in levels of 255.
        progress: called with the number of images of each finished batch.
    """
    logits, correct = [], torch.zeros(len(epsilons), dtype=torch.int64)
    with evaluation_mode(classifier):
        for positions in torch.arange(len(indices)).split(batch_size):
            batch, batch_labels = view(fetch(images, indices[positions], torch.device(device))), labels[positions].to(device)
            with torch.inference_mode():
                logits.append(classifier(batch).float().cpu())
            correct += _correct_under_attack(classifier, batch, batch_labels, epsilons, mean, std)
            if progress is not None:
                progress(len(positions))
    accuracies = (correct.double() / len(indices)).tolist()
    quality = prediction_quality(torch.cat(logits), labels)
    return HeadMeasures(
        images=quality.items,
        accuracy=quality.accuracy,
        nll=quality.nll,
        calibration_error=quality.calibration_error,
        bins=tuple((count, confidence, hits) for count, confidence, hits in quality.bins.tolist()),
        attacked=tuple(zip(map(float, epsilons), accuracies, strict=True)),
    )


@torch.inference_mode()
def predict(
    classifier: nn.Module,
    images: UInt8[Tensor, "image height width 3"],
    indices: Int64[Tensor, " index"],
    view: Callable[[Tensor], Tensor],
    *,
    batch_size: int,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Float32[Tensor, "index class"]:
    """Logits of images in evaluation mode, on the CPU."""
    logits = []
    with evaluation_mode(classifier):
        for batch in indices.split(batch_size):
            logits.append(classifier(view(fetch(images, batch, torch.device(device)))).float().cpu())
            if progress is not None:
                progress(len(batch))
    return torch.cat(logits)


def gradient_signs(
    logits_of: Logits, images: Float[Tensor, "batch channel height width"], labels: Int64[Tensor, " batch"]
) -> Float[Tensor, "batch channel height width"]:
    """Signs of the gradient of each image's cross entropy by its values; the scale of the values does not matter."""
    with torch.inference_mode(False), torch.enable_grad():
        batch = images.detach().clone().requires_grad_()
        loss = F.cross_entropy(logits_of(batch), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, batch)
    return gradient.sign()


def perturb(
    images: Float[Tensor, "batch channel height width"],
    signs: Float[Tensor, "batch channel height width"],
    epsilon: float,
    mean: Sequence[float],
    std: Sequence[float],
) -> Float[Tensor, "batch channel height width"]:
    """Images after a step of epsilon * sign on the scale 0 to 1 before normalization, clamped to it (Goodfellow et al., ICLR 2015).

    The single-step signed-gradient attack of arXiv 1412.6572, section 4.

    Args:
        images: normalized, (x - mean) / std by channel.
        epsilon: on the scale 0 to 1; 8 / 255 are 8 levels of an 8-bit image.
    """
    means, stds = (torch.tensor(tuple(values), dtype=images.dtype, device=images.device)[:, None, None] for values in (mean, std))
    pixels = (images * stds + means + epsilon * signs).clamp(0, 1)
    return (pixels - means) / stds


def _correct_under_attack(
    classifier: nn.Module,
    images: Float[Tensor, "batch 3 size size"],
    labels: Int64[Tensor, " batch"],
    epsilons: Sequence[float],
    mean: Sequence[float],
    std: Sequence[float],
) -> Int64[Tensor, " epsilon"]:
    """Number of images of a batch classified correctly after each step, on the CPU."""
    if not epsilons:
        return torch.zeros(0, dtype=torch.int64)
    signs = gradient_signs(classifier, images, labels)
    with torch.inference_mode():
        attacked = (classifier(perturb(images, signs, epsilon / MAX_LEVEL, mean, std)) for epsilon in epsilons)
        return torch.stack([(logits.argmax(1) == labels).sum() for logits in attacked]).cpu()
