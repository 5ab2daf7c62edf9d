"""`FewShotTasks`: the features of a block of tasks, as a classifier meets them."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from s2m2.data.episodes import EpisodeIndices

BLOCKS = 4
"""Blocks of tasks that one thread computes at once, by default: about a thousand tasks."""
MAX_GATHER = 2**26
"""Numbers that a part of a block may gather from the features: 256 MB of float32."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FewShotTasks:
    """Tasks of one size: labeled support features, and query features whose way is asked for."""

    support: Float[Tensor, "task item dim"]
    """In order of the ways."""
    labels: Int64[Tensor, "task item"]
    """Way of each support item; every way has one at least."""
    query: Float[Tensor, "task query dim"]
    ways: int
    shots: int | None
    """Support items of every way; None where that differs between ways."""

    def __len__(self) -> int:
        return len(self.support)

    def one_hot(self) -> Float[Tensor, "task way item"]:
        """1 where an item belongs to a way, else 0."""
        return F.one_hot(self.labels, self.ways).mT.to(self.support.dtype)

    def class_means(self) -> Float[Tensor, "task way dim"]:
        """Mean support feature of each way."""
        if self.shots is not None:
            return self.support.unflatten(1, (self.ways, self.shots)).mean(2)
        members = self.one_hot()
        return members / members.sum(-1, keepdim=True) @ self.support


class TaskGatherer:
    """Copies the features of tasks out of a dataset, into memory that is used again: fresh memory costs more than the copy itself.

    What it returned last is overwritten by the next call.
    """

    def __init__(self, features: Float[Tensor, "row dim"], support_features: Float[Tensor, "row dim"] | None = None) -> None:
        self.features = features
        self.support_features = features if support_features is None else support_features
        self.memory = {"support": features.new_empty(0, features.shape[1]), "query": features.new_empty(0, features.shape[1])}

    def __call__(self, episodes: EpisodeIndices) -> FewShotTasks:
        """The features of tasks."""
        return FewShotTasks(
            support=self._gather("support", self.support_features, episodes.support),
            labels=episodes.support_ways.to(self.features.device),
            query=self._gather("query", self.features, episodes.query),
            ways=episodes.ways,
            shots=episodes.shots,
        )

    def _gather(self, name: str, features: Float[Tensor, "row dim"], rows: Int64[Tensor, "task item"]) -> Float[Tensor, "task item dim"]:
        if len(self.memory[name]) < rows.numel():
            self.memory[name] = features.new_empty(rows.numel(), features.shape[1])
        gathered = self.memory[name][: rows.numel()]
        torch.index_select(features, 0, rows.flatten().to(features.device), out=gathered)
        return gathered.unflatten(0, rows.shape)
