"""The singular values of class representations: in how many directions the items of a class differ (flattening).

Manifold mixup is said to flatten them: it leaves each class fewer directions of variance (Verma et al., ICML 2019, 1806.05236,
section 3).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from s2m2.functional.double_pieces import double_pieces
from s2m2.functional.linear import where_doubles_are

MAX_OF_VARIANCE = 0.95


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassSpectrum:
    """How the variance within classes is spread over directions; each figure is the mean over the classes that vary.

    A class of n items varies in n - 1 directions at most: compare figures of as many items a class. Where no class varies, because
    each has collapsed to a point, there is a single direction with nothing in it, and every figure is 0.
    """

    shares: Float64[Tensor, " direction"]
    """Share of a class's variance in each of its principal directions, the largest first: s_k^2 / sum_j s_j^2. Sums to 1, or to 0."""
    singular_values: Float64[Tensor, " direction"]
    """Singular values s_k of the class's centerd representations, divided by sqrt(items): standard deviations along the directions."""
    largest_share: float
    """Of the variance, in the first direction."""
    effective_rank: float
    """exp of the entropy of the shares (Roy and Vetterli, EUSIPCO 2007, with variances in place of singular values)."""
    directions: float
    """Least number of directions that hold 95% of the variance."""
    within: float
    """Variance within classes as a share of all variance around the mean of all items; 0: every class is one point."""
    classes: int
    """Classes measured."""
    left_out: int
    """Classes of one item, or of items that are all the same, which have no directions."""


def class_spectrum(features: Float[Tensor, "item dim"], labels: Int64[Tensor, " item"]) -> ClassSpectrum:
    """The spectrum of every class around its own mean, averaged over classes; in float64, without gradient.

    Singular values come from the smaller of the two products of the centerd representations, one class at a time, so that memory
    is a copy of one class in float64.
    """
    with torch.no_grad():
        spectra, within, left_out = [], 0.0, 0
        for label in labels.unique().tolist():
            own = where_doubles_are(features[labels == label]).double()
            variances = _variances(own)
            within += float(variances.sum()) * len(own)
            if float(variances.sum()) > 0:
                spectra.append(variances)
            else:
                left_out += 1
        if not spectra:
            return _collapsed(left_out)
        padded = torch.nn.utils.rnn.pad_sequence(spectra, batch_first=True)
        return _summary(padded, within / (_total_variance(features) * len(features)), left_out)


def _variances(items: Float64[Tensor, "item dim"]) -> Float64[Tensor, " direction"]:
    """Squared singular values of the centerd items over their number, descending, at most items - 1 of them."""
    centerd = items - items.mean(0)
    smaller = centerd @ centerd.mT if len(items) <= items.shape[1] else centerd.mT @ centerd
    found = torch.linalg.eigvalsh(smaller).flip(0)[: max(len(items) - 1, 1)] / len(items)
    # What identical items differ by from their computed mean is rounding, not variance.
    rounding = torch.finfo(items.dtype).eps * float(items.square().sum()) / len(items)
    return found.masked_fill(found <= rounding, 0.0)


def _total_variance(features: Float[Tensor, "item dim"]) -> float:
    """Sum over dimensions of the variance around the mean of all items, the dimension taken piece by piece."""
    return sum(float(piece.var(0, correction=0).sum()) for piece in double_pieces(features))


def _collapsed(classes: int) -> ClassSpectrum:
    nothing = torch.zeros(1, dtype=torch.float64)
    return ClassSpectrum(
        shares=nothing,
        singular_values=nothing,
        largest_share=0.0,
        effective_rank=0.0,
        directions=0.0,
        within=0.0,
        classes=0,
        left_out=classes,
    )


def _summary(variances: Float64[Tensor, "class direction"], within: float, left_out: int) -> ClassSpectrum:
    shares = variances / variances.sum(1, keepdim=True)
    ranks = torch.special.entr(shares).sum(1).exp()
    # A sum that misses its bound by rounding shall not cost another direction.
    directions = (shares.cumsum(1) < MAX_OF_VARIANCE - 1e-9).sum(1) + 1
    return ClassSpectrum(
        shares=shares.mean(0),
        singular_values=variances.sqrt().mean(0),
        largest_share=float(shares[:, 0].mean()),
        effective_rank=float(ranks.mean()),
        directions=float(directions.double().mean()),
        within=within,
        classes=len(variances),
        left_out=left_out,
    )
