"""The exemplar loss (Dosovitskiy et al., 2014, arXiv 1406.6909; S2M2, L_exemplar): copies of one image together, other images away."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def exemplar_loss(features: Float[Tensor, "copy image dim"]) -> Float[Tensor, ""]:
    """Mean over all copies of log(1 + exp(largest distance to an own copy - smallest distance to another image's copy)).

    Distances are Euclidean. One printed form has the signs the other way round; the text that goes with it decides. Computed in
    float32 at least, also under autocast.

    Args:
        features: of the randomly augmented copies, four an image in S2M2.

    Raises:
        ValueError: there is but one image, so that nothing is to be kept away from.
    """
    copies, images, _ = features.shape
    if images < 2:
        raise ValueError("the exemplar loss needs two images or more")
    with torch.autocast(features.device.type, enabled=False):
        rows = features.flatten(0, 1).to(torch.promote_types(features.dtype, torch.float32))
        own = torch.eye(images, dtype=torch.bool, device=rows.device).repeat(copies, copies)
        farthest, nearest = _hardest(rows.detach(), own)
        # Only the two hardest distances of a row carry a gradient, so only they are computed with one. Where a distance is
        # zero, as among equal copies, `vector_norm` gives the subgradient zero and not the square root's infinity.
        pull = torch.linalg.vector_norm(rows - rows[farthest], dim=1)
        push = torch.linalg.vector_norm(rows - rows[nearest], dim=1)
        return F.softplus(pull - push).mean()


def _hardest(rows: Float[Tensor, "row dim"], own: Bool[Tensor, "row row"]) -> tuple[Tensor, Tensor]:
    """Of each row, the farthest row of the same image and the nearest one of another."""
    # Without the product form |a|^2 + |b|^2 - 2ab, whose rounding hides the small distances among copies.
    distance = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    return distance.masked_fill(~own, -1.0).argmax(dim=1), distance.masked_fill(own, torch.inf).argmin(dim=1)
