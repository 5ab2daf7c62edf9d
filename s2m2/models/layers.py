"""Heads of the training objectives, initial weights, and evaluation mode for a while.

Initial weights come from a generator of the caller, not from torch's global one as in the constructors of `torch.nn`: the weights
of a run follow from its seed alone, not from earlier sampling or from the order in which networks are built.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from s2m2.random import generator_for

EPSILON = 1e-5
"""Added to the norm of features before division (S2M2)."""


class CosineHead(nn.Module):
    """Classifier by the cosine between features and one direction per class: logits = scale * g_c * cos(x, v_c) (S2M2).

    The norm g_c is learned apart from the direction v_c, as in weight normalization (Salimans and Kingma, NeurIPS 2016).
    Features are divided by ||x|| + 1e-5. Computed in float32 at least, as bare cosines lose too much in half precision.
    """

    def __init__(self, feature_dim: int, classes: int, scale: float) -> None:
        super().__init__()
        self.classes, self.scale = classes, scale
        self.direction = nn.Parameter(torch.empty(classes, feature_dim))
        self.norm = nn.Parameter(torch.empty(classes))
        self.initialize(generator_for(0, "head"))

    @torch.no_grad()
    def initialize(self, generator: torch.Generator) -> None:
        """Reset the directions to the random weights of a linear layer, and the norms to their lengths."""
        _initialize_linear(self.direction, generator)
        self.norm.copy_(torch.linalg.vector_norm(self.direction, dim=1))

    def forward(self, features: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch class"]:
        """Logits of the classes."""
        with torch.autocast(features.device.type, enabled=False):
            features = features.to(torch.promote_types(features.dtype, torch.float32))
            unit_features = features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + EPSILON)
            lengths = self.scale * self.norm / torch.linalg.vector_norm(self.direction, dim=1)
            return F.linear(unit_features, self.direction) * lengths


class LinearHead(nn.Module):
    """An affine classifier, logits = W x + b; S2M2's rotation head is one of four classes."""

    def __init__(self, feature_dim: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.weight = nn.Parameter(torch.empty(classes, feature_dim))
        self.bias = nn.Parameter(torch.empty(classes))
        self.initialize(generator_for(0, "head"))

    @torch.no_grad()
    def initialize(self, generator: torch.Generator) -> None:
        """Reset to random weights and zero biases."""
        _initialize_linear(self.weight, generator)
        self.bias.zero_()

    def forward(self, features: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch class"]:
        """Logits of the classes."""
        return F.linear(features, self.weight, self.bias)


def _initialize_linear(weight: Tensor, generator: torch.Generator) -> None:
    bound = weight.shape[1] ** -0.5
    nn.init.uniform_(weight, -bound, bound, generator=generator)


@torch.no_grad()
def initialize(module: nn.Module, generator: torch.Generator) -> None:
    """Reset every parameter of a backbone or head to its random initial value, and the statistics of its batch normalization.

    Convolutions: N(0, sqrt(2 / (k * k * out))), which S2M2 uses (He et al., ICCV 2015, over the outputs); batch normalization:
    ones and zeros; heads: their own `initialize`. Module and generator are on one device; sampling on the CPU before moving the
    module gives every device the same weights.

    Raises:
        TypeError: the module has parameters of a kind without a rule here.
    """
    for part in module.modules():
        if isinstance(part, CosineHead | LinearHead):
            part.initialize(generator)
        elif isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            if part.bias is not None:
                part.bias.zero_()
        elif isinstance(part, nn.BatchNorm2d):
            part.reset_parameters()
        elif any(True for _ in part.parameters(recurse=False)):
            raise TypeError(f"no rule for the initial weights of {type(part).__name__}")


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and every module of it back into its own mode at the end."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
