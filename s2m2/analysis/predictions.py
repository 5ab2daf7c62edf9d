"""What is measured of a network with its class head: likelihood, calibration, an attack, and labels learned by heart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, Int64, UInt8
from torch import Tensor, nn

from s2m2.functional.predictions import PredictionQuality, prediction_quality
from s2m2.functional.signed_gradient import gradient_signs, perturb
from s2m2.models.backbone import Backbone
from s2m2.models.modes import evaluation_mode

LEVELS = 255
"""Levels of an 8-bit image above black."""


class Classifier(nn.Module):
    """A backbone with its class head: normalized images to logits of the base classes."""

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: Float[Tensor, "batch 3 size size"]) -> Float[Tensor, "batch class"]:
        """Logits."""
        return self.head(self.backbone(images))


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
    """Of each bin of confidence: number of images, sum of confidences, number of right ones."""
    attacked: tuple[tuple[float, float], ...]
    """Length of the step in levels of 255, and the accuracy that the attack leaves."""


def measure_head(
    classifier: nn.Module,
    images: UInt8[Tensor, "image height width 3"],
    rows: Int64[Tensor, " row"],
    labels: Int64[Tensor, " row"],
    view: Callable[[Tensor], Tensor],
    *,
    epsilons: Sequence[float],
    mean: Sequence[float],
    std: Sequence[float],
    batch_size: int,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> HeadMeasures:
    """Likelihood, calibration and accuracy under the single-step attack on the images `rows`, in evaluation mode.

    Args:
        classifier: normalized images to logits, on `device`; every module gets its own mode back.
        labels: true class of each of the batch.
        view: stored images "batch height width 3" to what the network sees, normalized by `mean` and `std`.
        epsilons: steps of the attack in levels of 255, each tried by itself.
        progress: told the number of images of each batch when it is done.
    """
    logits, right = [], torch.zeros(len(epsilons), dtype=torch.int64)
    with evaluation_mode(classifier):
        for places in torch.arange(len(rows)).split(batch_size):
            batch, known = view(images[rows[places]].to(device)), labels[places].to(device)
            with torch.inference_mode():
                logits.append(classifier(batch).float().cpu())
            right += _right_under_attack(classifier, batch, known, epsilons, mean, std)
            if progress is not None:
                progress(len(places))
    shares = (right.double() / len(rows)).tolist()
    return _head_measures(prediction_quality(torch.cat(logits), labels), tuple(zip(map(float, epsilons), shares, strict=True)))


def _right_under_attack(
    classifier: nn.Module,
    images: Float[Tensor, "batch 3 size size"],
    labels: Int64[Tensor, " batch"],
    epsilons: Sequence[float],
    mean: Sequence[float],
    std: Sequence[float],
) -> Int64[Tensor, " epsilon"]:
    """How many of a batch are recognized after each step, on the CPU."""
    if not epsilons:
        return torch.zeros(0, dtype=torch.int64)
    signs = gradient_signs(classifier, images, labels)
    with torch.inference_mode():
        attacked = (classifier(perturb(images, signs, epsilon / LEVELS, mean, std)) for epsilon in epsilons)
        return torch.stack([(logits.argmax(1) == labels).sum() for logits in attacked]).cpu()


def _head_measures(quality: PredictionQuality, attacked: tuple[tuple[float, float], ...]) -> HeadMeasures:
    return HeadMeasures(
        images=quality.items,
        accuracy=quality.accuracy,
        nll=quality.nll,
        calibration_error=quality.calibration_error,
        bins=tuple((count, confidence, hits) for count, confidence, hits in quality.bins.tolist()),
        attacked=attacked,
    )


@torch.inference_mode()
def predict(
    classifier: nn.Module,
    images: UInt8[Tensor, "image height width 3"],
    rows: Int64[Tensor, " row"],
    view: Callable[[Tensor], Tensor],
    *,
    batch_size: int,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Float32[Tensor, "row class"]:
    """Logits of the images `rows` in evaluation mode, on the CPU."""
    found = []
    with evaluation_mode(classifier):
        for part in rows.split(batch_size):
            found.append(classifier(view(images[part].to(device))).float().cpu())
            if progress is not None:
                progress(len(part))
    return torch.cat(found)
