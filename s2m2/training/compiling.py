"""Compiling the networks of a run with torch.compile."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn

from s2m2.models.backbone import Backbone
from s2m2.models.heads import CosineHead, LinearHead

MAX_GRAPHS = 64
"""Of one piece of code, over all networks of a process."""


def compile_networks(backbone: Backbone, objective: nn.Module, backend: str = "inductor") -> None:
    """Compile the stages of a backbone and the heads of an objective in place, each when it is first used in a new way.

    Stages and not the whole backbone, which would be a graph for each stage to mix at: a mixture is a few operations between two of
    them, and whichever is drawn, the same graphs serve it, in both stages of training. Shapes are fixed in a graph (`dynamic=False`):
    torch would otherwise answer the second one with a slower graph that fits all. So once every size of a training batch was met,
    nothing is compiled again; validation calls the networks as they are (`uncompiled`).

    Args:
        backend: what makes code of the graphs; torch's own needs a C++ compiler on a CPU.
    """
    # All stages are the same code to torch, whose default of 8 graphs is fewer than two sizes of a batch for each of them.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, MAX_GRAPHS)
    for stage in backbone.stages:
        stage.compile(dynamic=False, backend=backend)
    for head in objective.modules():
        if isinstance(head, CosineHead | LinearHead):
            head.compile(dynamic=False, backend=backend)


@contextmanager
def uncompiled(compiled: bool) -> Iterator[None]:
    """Call networks as they are, where they are compiled.

    For work on batches of several sizes that a run does now and then: compiling takes longer than it saves.
    """
    # Asked for only where it is needed, as torch loads its compiler for it.
    with torch.compiler.set_stance("force_eager") if compiled else nullcontext():
        yield
