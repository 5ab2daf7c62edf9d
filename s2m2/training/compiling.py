"""Compiling the networks of a run with torch.compile."""

import torch
from torch import nn

from s2m2.models.backbone import Backbone
from s2m2.models.heads import CosineHead, LinearHead


def compile_networks(backbone: Backbone, objective: nn.Module, backend: str = "inductor") -> None:
    """Compile the backbone and the heads of an objective in place, each when it is first used in a new way.

    A backbone has one graph for each stage to mix at, one without a mixture, and as many without gradient. Shapes and the number of
    the stage are fixed in a graph (`dynamic=False`): torch would otherwise answer the second of each with a slower graph that fits
    all. So once every stage was drawn and every size of batch was met, nothing is compiled again.

    Args:
        backend: what makes code of the graphs; torch's own needs a C++ compiler on a CPU.
    """
    # Torch's default of 8 graphs is fewer; two sizes of a training batch, and two of an evaluation batch.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 4 * (len(backbone.stages) + 2))
    backbone.compile(dynamic=False, backend=backend)
    for head in objective.modules():
        if isinstance(head, CosineHead | LinearHead):
            head.compile(dynamic=False, backend=backend)
