"""Few-shot tasks as index tensors: the support and the queries of each task."""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Int64
from torch import Tensor

from s2m2.recipe.evaluation import ProtocolName

OPEN_SET = -1
"""Way of a query whose class is not in its task."""


@dataclass(frozen=True, kw_only=True)
class EpisodeSpec:
    """Size, number and sampling protocol of tasks. `s2m2.tasks.sampler` implements the protocols."""

    ways: int
    """Classes of a task; unused by protocol `variable`."""
    shots: int
    """Labeled images per class; unused by protocol `variable`."""
    queries: int
    """Query images per class, on average where they are unbalanced; unused by protocols `s2m2` and `variable`."""
    tasks: int
    seed: int = 0
    protocol: ProtocolName | Literal["stored"] = "fixed"
    """stored: from a file that does not state the protocol."""
    concentration: float = 2.0
    """Of the Dirichlet distribution of the query classes, protocol `dirichlet`: the smaller, the less balanced."""
    open_set_classes: int = 0
    """Additional classes of each task with `queries` queries and no support; protocol `fixed` only."""

    @property
    def label(self) -> str:
        """The kind of task in words."""
        return task_label(self.ways, self.shots, self.protocol)


@dataclass(frozen=True, kw_only=True, eq=False)
class EpisodeIndices:
    """Tasks of one size; the entries of `support` and `query` are indices into the labels that the tasks were sampled from."""

    classes: Int64[Tensor, "task way"]
    """Class number of each way."""
    support: Int64[Tensor, "task item"]
    """Support indices, in order of their ways."""
    support_ways: Int64[Tensor, "task item"]
    query: Int64[Tensor, "task query"]
    query_ways: Int64[Tensor, "task query"]
    """Way of each query, or `OPEN_SET`."""
    shots: int | None
    """Support images of every class; None where classes differ."""

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
        """Ways, support images, queries and shots: tasks of equal size can be computed together."""
        return self.ways, self.support.shape[1], self.query.shape[1], self.shots


@runtime_checkable
class TaskSource(Protocol):
    """Tasks in blocks; sampled, or read from a file."""

    tasks: int

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        ...

    def block(self, number: int) -> list[EpisodeIndices]:
        """The tasks of a block in order; consecutive tasks of one size are together."""
        ...


def join_episodes(parts: list[EpisodeIndices]) -> EpisodeIndices:
    """Tasks of one size, concatenated.

    Raises:
        ValueError: they differ in size.
    """
    if len({part.size for part in parts}) != 1:
        raise ValueError("tasks of different sizes cannot be joined")
    names = ("classes", "support", "support_ways", "query", "query_ways")
    return EpisodeIndices(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names}, shots=parts[0].shots)


def task_label(ways: int, shots: int, protocol: str = "fixed") -> str:
    """A kind of task in words: `5-way 1-shot`, `5-way 1-shot, dirichlet`, `variable tasks`; a number in which tasks differ is 0."""
    if protocol == "variable" or ways == 0:
        return f"{protocol} tasks"
    return f"{ways}-way" + (f" {shots}-shot" if shots else "") + ("" if protocol == "fixed" else f", {protocol}")
