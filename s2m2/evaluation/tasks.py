"""The features of sampled tasks, copied out of those of a dataset."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from s2m2.classifiers.base import BLOCKS as BLOCKS
from s2m2.classifiers.base import MAX_GATHER as MAX_GATHER
from s2m2.classifiers.base import FewShotTasks as FewShotTasks
from s2m2.tasks.episodes import EpisodeIndices


class TaskGatherer:
    """Copies the features of tasks out of a dataset, into memory that is used again: fresh memory costs more than the copy itself.

    The next call overwrites what the last one returned.
    """

    def __init__(self, features: Float[Tensor, "image dim"], support_features: Float[Tensor, "image dim"] | None = None) -> None:
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

    def _gather(
        self, name: str, features: Float[Tensor, "image dim"], indices: Int64[Tensor, "task item"]
    ) -> Float[Tensor, "task item dim"]:
        if len(self.memory[name]) < indices.numel():
            self.memory[name] = features.new_empty(indices.numel(), features.shape[1])
        gathered = self.memory[name][: indices.numel()]
        torch.index_select(features, 0, indices.flatten().to(features.device), out=gathered)
        return gathered.unflatten(0, indices.shape)
