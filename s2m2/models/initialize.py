"""Initial weights drawn from a generator of the caller's, not from torch's global one as the constructors of `torch.nn` do.

So the weights of a run follow from its seed alone: not from what else drew before, nor from the order in which backbone and
heads are built.
"""

import torch
from torch import nn

from s2m2.models.heads import CosineHead, LinearHead


@torch.no_grad()
def initialize(module: nn.Module, generator: torch.Generator) -> None:
    """Draw every parameter of a backbone or head anew, and reset the statistics of its batch normalization.

    Convolutions: N(0, sqrt(2 / (k * k * out))), which S2M2 uses (He et al., ICCV 2015, over the outputs); batch normalization:
    ones and zeros; heads: their own `draw`. Module and generator are on one device; drawing on the CPU and then moving the
    module gives every device the same weights.

    Raises:
        TypeError: the module holds parameters of a kind that has no rule here.
    """
    for part in module.modules():
        if isinstance(part, CosineHead | LinearHead):
            part.draw(generator)
        elif isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            if part.bias is not None:
                part.bias.zero_()
        elif isinstance(part, nn.BatchNorm2d):
            part.reset_parameters()
        elif any(True for _ in part.parameters(recurse=False)):
            raise TypeError(f"no rule for the initial weights of {type(part).__name__}")
