"""Probabilities against accuracies, in bins of confidence (Guo et al., ICML 2017, arXiv 1706.04599, sections 2 and 4)."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

BINS = 15
"""Bins of confidence, all as wide (Guo et al., section 4)."""


def reliability_bins(confidence: Float[Tensor, " query"], right: Tensor) -> Float64[Tensor, "bin 3"]:
    """Number of queries, sum of their confidences and number of right ones in `BINS` bins (m - 1, m] / `BINS`."""
    bins = (confidence * BINS).ceil_().sub_(1).clamp_(0, BINS - 1).long()
    count = torch.bincount(bins, minlength=BINS).double()
    sums = torch.bincount(bins, weights=confidence.double(), minlength=BINS)
    return torch.stack([count, sums, torch.bincount(bins, weights=right.double(), minlength=BINS)], dim=1)


def calibration_error(bins: Float64[Tensor, "bin 3"]) -> float:
    """Expected calibration error, a fraction: the mean over queries of |accuracy - confidence| of their bin (Guo et al., equation 3).

    Args:
        bins: number of queries, sum of confidences, number of right queries; as `reliability_bins` counts them.
    """
    return float((bins[:, 2] - bins[:, 1]).abs().sum() / bins[:, 0].sum())
