"""Heads that the training objectives put on a backbone. They belong to the objectives; a backbone's weights never include them."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from s2m2.functional.cosine import SHIFT
from s2m2.seeding import generator_for


class CosineHead(nn.Module):
    """Classifier by the cosine between features and one direction a class: logits = scale * g_c * cos(x, v_c) (S2M2).

    The norm g_c is learned apart from the direction v_c, as in weight normalization (Salimans and Kingma, NeurIPS 2016).
    Features are divided by ||x|| + 1e-5. Bare cosines lose too much in half precision, so all is computed in float32 at least.
    """

    def __init__(self, feature_dim: int, classes: int, scale: float) -> None:
        super().__init__()
        self.classes, self.scale = classes, scale
        self.direction = nn.Parameter(torch.empty(classes, feature_dim))
        self.norm = nn.Parameter(torch.empty(classes))
        self.draw(generator_for(0, "head"))

    @torch.no_grad()
    def draw(self, generator: torch.Generator) -> None:
        """Draw the directions anew as a linear layer's weights, and start the norms at the length of these."""
        _draw_linear(self.direction, generator)
        self.norm.copy_(torch.linalg.vector_norm(self.direction, dim=1))

    def forward(self, features: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch class"]:
        """Logits of the classes."""
        with torch.autocast(features.device.type, enabled=False):
            features = features.to(torch.promote_types(features.dtype, torch.float32))
            unit_features = features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + SHIFT)
            lengths = self.scale * self.norm / torch.linalg.vector_norm(self.direction, dim=1)
            return F.linear(unit_features, self.direction) * lengths


class LinearHead(nn.Module):
    """An affine classifier, logits = W x + b; S2M2's rotation head is one of four classes."""

    def __init__(self, feature_dim: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.weight = nn.Parameter(torch.empty(classes, feature_dim))
        self.bias = nn.Parameter(torch.empty(classes))
        self.draw(generator_for(0, "head"))

    @torch.no_grad()
    def draw(self, generator: torch.Generator) -> None:
        """Draw the weights anew, and start the biases at zero."""
        _draw_linear(self.weight, generator)
        self.bias.zero_()

    def forward(self, features: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch class"]:
        """Logits of the classes."""
        return F.linear(features, self.weight, self.bias)


def _draw_linear(weight: Tensor, generator: torch.Generator) -> None:
    bound = weight.shape[1] ** -0.5
    nn.init.uniform_(weight, -bound, bound, generator=generator)
