"""Compiling the networks of a run with torch.compile."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn

from s2m2.models.backbone import Backbone
from s2m2.models.layers import CosineHead, LinearHead

MAX_GRAPHS = 64
"""Graphs of one piece of code, over all networks of a process."""


def compile_networks(backbone: Backbone, objective: nn.Module, backend: str = "inductor") -> None:
    """Compile the stages of a backbone and the heads of an objective in place, each at its first call with a new shape.

    Stages, not the whole backbone, which would need a graph for each mixed stage: a mixture is a few operations between two stages,
    and the same graphs serve all of them, in both stages of training. Shapes are fixed in a graph (`dynamic=False`): torch would
    otherwise answer a second shape with one slower graph for all. After every size of a training batch has occurred, nothing is
    compiled again; validation runs the networks eagerly (`uncompiled`).

    Args:
        backend: compiler of the graphs; torch's own needs a C++ compiler on a CPU.
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
    """Run compiled networks eagerly.

    For occasional work on batches of several sizes, where compiling takes longer than it saves.
    """
    # Only where needed, as torch loads its compiler for it.
    with torch.compiler.set_stance("force_eager") if compiled else nullcontext():
        yield
