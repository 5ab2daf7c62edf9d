"""Few-shot tasks as index tensors: what a task looks like, and which images are its support and its queries."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int64
from torch import Tensor

from s2m2.recipe.tasks import ProtocolName

UNKNOWN = -1
"""Way of a query whose class is none of its task's."""


@dataclass(frozen=True, kw_only=True)
class EpisodeSpec:
    """What a task looks like, and how many there are. `s2m2.data.sampling` says how each protocol draws."""

    ways: int
    """Classes of a task; of protocol `variable`: not used."""
    shots: int
    """Labeled images a class; of protocol `variable`: not used."""
    queries: int
    """Images a class to recognize, on average where they are unbalanced; of protocols `s2m2` and `variable`: not used."""
    tasks: int
    seed: int = 0
    protocol: ProtocolName | Literal["stored"] = "fixed"
    """stored: read from a file that does not say how."""
    concentration: float = 2.0
    """Of the Dirichlet distribution of the query classes, protocol `dirichlet`: the smaller, the less balanced."""
    unknown: int = 0
    """Further classes of each task that have `queries` queries and no support; protocol `fixed` only."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EpisodeIndices:
    """Tasks of one size; the entries of `support` and `query` are rows of whatever the labels described."""

    classes: Int64[Tensor, "task way"]
    """Class number of each way."""
    support: Int64[Tensor, "task item"]
    """Rows of the support, in order of their ways."""
    support_ways: Int64[Tensor, "task item"]
    query: Int64[Tensor, "task query"]
    query_ways: Int64[Tensor, "task query"]
    """Way of each query, or `UNKNOWN`."""
    shots: int | None
    """Support rows of every class; None where that differs between classes."""

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def ways(self) -> int:
        """Classes of a task."""
        return self.classes.shape[1]

    def part(self, start: int, stop: int) -> "EpisodeIndices":
        """Tasks `start` to `stop - 1`, or fewer at the end."""
        chosen = slice(start, stop)
        return EpisodeIndices(
            classes=self.classes[chosen],
            support=self.support[chosen],
            support_ways=self.support_ways[chosen],
            query=self.query[chosen],
            query_ways=self.query_ways[chosen],
            shots=self.shots,
        )

    @property
    def size(self) -> tuple[int, int, int, int | None]:
        """Ways, support rows, queries and shots: tasks that share them can be computed together."""
        return self.ways, self.support.shape[1], self.query.shape[1], self.shots


def join_episodes(parts: list[EpisodeIndices]) -> EpisodeIndices:
    """Tasks of one size, one part after the other.

    Raises:
        ValueError: they differ in size.
    """
    if len({part.size for part in parts}) != 1:
        raise ValueError("tasks of different sizes are no one block")
    names = ("classes", "support", "support_ways", "query", "query_ways")
    return EpisodeIndices(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names}, shots=parts[0].shots)
