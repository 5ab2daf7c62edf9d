"""Entropic optimal transport from the queries of few-shot tasks to their classes, by Sinkhorn's iteration."""

import torch
from jaxtyping import Float
from torch import Tensor

ROUND = 10
"""Iterations between two looks at the tolerance."""


def sinkhorn(gains: Float[Tensor, "task way query"], *, mass: float, tolerance: float, rounds: int) -> Float[Tensor, "task way query"]:
    """The logarithm of the plan that gives each query 1 and each way `mass` (Cuturi, NeurIPS 2013, algorithm 1).

    The plan is diag(b) exp(gains) diag(a); a and b are rescaled in turn, b last. A task ends after the first round of ten iterations
    of which the last changed no query's total by more than `tolerance`, whatever other tasks of the block do.

    Args:
        gains: negative costs, times the multiplier of the regularization; a term that all ways of a query share changes nothing.
        mass: queries divided by ways.
        rounds: at most.
    """
    gains = gains - gains.amax(1, keepdim=True)
    kernel, running = gains.exp(), torch.arange(len(gains), device=gains.device)
    ways, queries, plans = torch.ones_like(kernel[..., :1]), torch.ones_like(kernel[:, :1]), gains.clone()
    for number in range(rounds):
        for _ in range(ROUND):
            previous = queries
            queries = (kernel * ways).sum(1, keepdim=True).reciprocal_()
            ways = mass / (kernel * queries).sum(2, keepdim=True)
        totals = queries * (kernel * ways).sum(1, keepdim=True)
        going = (totals - previous / queries).abs_().amax((1, 2)) > tolerance
        if number == rounds - 1:
            going = torch.zeros_like(going)
        if not bool(going.all()):
            ended = running[~going]
            plans[ended] = gains[ended] + ways[~going].log() + queries[~going].log()
            running, kernel, ways, queries = running[going], kernel[going], ways[going], queries[going]
        if not len(running):
            break
    return plans
