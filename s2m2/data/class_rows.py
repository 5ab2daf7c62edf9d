"""The rows of each class side by size, and draws from them without replacement."""

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

MAX_STEPS = 200
"""Draws up to which exchanging one item after another is faster than sorting random keys."""


class ClassRows:
    """Which rows belong to which class."""

    def __init__(self, labels: Int64[Tensor, " row"], chosen: Bool[Tensor, " row"] | None = None) -> None:
        """Sort the rows by class; `chosen` are the ones of use, None: all."""
        rows = torch.arange(len(labels)) if chosen is None else chosen.nonzero().flatten()
        self.numbers, self.counts = torch.unique(labels[rows], return_counts=True)
        self.by_class = rows[labels[rows].argsort(stable=True)]
        self.starts = self.counts.cumsum(0) - self.counts

    def draw(self, classes: Int64[Tensor, "task way"], items: int, generator: torch.Generator) -> Int64[Tensor, "task way item"]:
        """Different rows of each class in random order, every order equally likely.

        Args:
            classes: places in `numbers`.
            items: rows of each class; where a class has fewer, the entries beyond them are of no use.
        """
        places = distinct(self.counts[classes].flatten(), items, generator)
        return self.by_class.take(self.starts[classes][..., None] + places.unflatten(0, classes.shape))


class TaskRows:
    """Rows for support and rows for queries: the same ones, or those of two sources."""

    def __init__(self, labels: Int64[Tensor, " row"], for_queries: Bool[Tensor, " row"] | None) -> None:
        """Sort the rows by class. With two sources, only classes that both have are of use.

        Args:
            labels: class number of each row.
            for_queries: rows of the queries, all others being for support; None: any row may be either, once in a task.
        """
        self.apart = for_queries is not None
        if for_queries is None:
            self.support = self.query = ClassRows(labels)
        else:
            shared = torch.isin(labels, labels[for_queries]) & torch.isin(labels, labels[~for_queries])
            self.support = ClassRows(labels, shared & ~for_queries)
            self.query = ClassRows(labels, shared & for_queries)
        self.numbers = self.support.numbers
        self.sizes = self.support.counts

    def needs(self, shots: int, queries: int) -> list[tuple[Int64[Tensor, " class"], int]]:
        """Sizes of the classes, and what a task takes of each."""
        return [(self.support.counts, shots), (self.query.counts, queries)] if self.apart else [(self.sizes, shots + queries)]

    def left(self, classes: Int64[Tensor, "task way"], shots: int) -> Int64[Tensor, "task way"]:
        """Rows that may be queries once the support is drawn."""
        return self.query.counts[classes] - (0 if self.apart else shots)

    def draw(
        self, classes: Int64[Tensor, "task way"], shots: int, queries: int, generator: torch.Generator
    ) -> tuple[Int64[Tensor, "task way shot"], Int64[Tensor, "task way query"]]:
        """Support and query rows of each class, no row twice."""
        if self.apart:
            return self.support.draw(classes, shots, generator), self.query.draw(classes, queries, generator)
        rows = self.support.draw(classes, shots + queries, generator)
        return rows[..., :shots], rows[..., shots:]

    def draw_unequal(
        self,
        classes: Int64[Tensor, "task way"],
        shots: Int64[Tensor, "task way"],
        queries: Int64[Tensor, "task way"],
        generator: torch.Generator,
    ) -> list[tuple[Int64[Tensor, "task way item"], Bool[Tensor, "task way item"]]]:
        """As `draw`, for numbers that differ: rows and which of them count, of the support and of the queries."""
        if self.apart:
            support, query = self.draw(classes, int(shots.max()), int(queries.max()), generator)
            return [(support, _below(support, shots)), (query, _below(query, queries))]
        rows = self.support.draw(classes, int((shots + queries).max()), generator)
        support = _below(rows, shots)
        return [(rows, support), (rows, _below(rows, shots + queries) & ~support)]


def _below(rows: Int64[Tensor, "task way item"], counts: Int64[Tensor, "task way"]) -> Bool[Tensor, "task way item"]:
    return torch.arange(rows.shape[2]) < counts[..., None]


def distinct(counts: Int64[Tensor, " draw"], items: int, generator: torch.Generator) -> Int64[Tensor, "draw item"]:
    """For each draw, `items` different numbers below its count in random order; entries beyond the count repeat earlier ones."""
    return _by_exchange(counts, items, generator) if items <= MAX_STEPS else _by_keys(counts, items, generator)


def _by_exchange(counts: Tensor, items: int, generator: torch.Generator) -> Tensor:
    """The Fisher-Yates shuffle of 0, 1, 2, ..., of which only the places that it touches are ever known.

    Step i exchanges the entries at i and at a random place p_i >= i; the shuffle's entry i is what lay at p_i. Looking back from step j
    what lay there: an earlier step i with p_i equal to the place put there what had lain at i. All steps j look back together, and
    the axis of the draws is last, along which every operation runs.
    """
    step = torch.arange(items)[:, None]
    left = (counts - step).clamp_(min=1)
    places = torch.randint(2**62, (len(counts), items), generator=generator).T.remainder(left).add_(step)
    found = places.clone()
    for earlier in range(items - 2, -1, -1):
        later = found[earlier + 1 :]
        later.masked_fill_(later == places[earlier], earlier)
    # Steps beyond a small count look at nothing of use; only what they point at must exist.
    return torch.minimum(found, counts - 1).T


def _by_keys(counts: Tensor, items: int, generator: torch.Generator) -> Tensor:
    """The order of random keys; keys beyond a count come last."""
    largest = max(int(counts.max()), items)
    keys = torch.rand(len(counts), largest, generator=generator)
    keys.masked_fill_(torch.arange(largest) >= counts[:, None], 2.0)
    return torch.minimum(keys.argsort(dim=1)[:, :items], counts[:, None] - 1)
