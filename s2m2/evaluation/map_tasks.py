"""All tasks of an evaluation through one classifier, block by block, on all cores."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from threading import local
from typing import TypeVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from s2m2.classifiers.base import BLOCKS, MAX_GATHER, FewShotTasks, ScoresTasks
from s2m2.classifiers.finite import scored
from s2m2.classifiers.task_streams import task_keys
from s2m2.classifiers.transforms import TaskTransform
from s2m2.random import generator_for
from s2m2.tasks.episodes import EpisodeIndices, TaskSource, join_episodes
from s2m2.threads import one_thread

JOBS_AHEAD = 2
"""Jobs that may wait for each thread, which bounds the memory."""

Result = TypeVar("Result")
Reduce = Callable[[EpisodeIndices, Float[Tensor, "task query way"]], Result]
"""Reduces tasks and their scores to what is needed of them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Scorer:
    """A classifier with its random stream, the transform before it and its job size."""

    classifier: ScoresTasks
    stream: tuple[str | int, ...]
    """Name of the classifier's random stream, of which every task has a key; for who samples by jobs, a job adds its number."""
    seed: int
    transform: TaskTransform | None = None
    support_features: Float[Tensor, "image dim"] | None = None
    """Features of images as support, where they differ from those as queries (see `FeatureSet`)."""
    blocks: int = BLOCKS
    """Blocks of tasks in one job, computed by one thread: more of them make the operations of a classifier larger."""
    max_gather: int = MAX_GATHER
    """Feature values that the classifier computes on at once, at most: those of few operations are fastest within the processor's cache."""


def stream_name(classifier: ScoresTasks, name: str | None = None) -> str:
    """Name of a classifier's random stream: the given one, else its `name`, else that of its class."""
    return name if name is not None else getattr(classifier, "name", type(classifier).__name__)


class TaskGatherer:
    """Copies the features of tasks out of a dataset into reused memory: fresh memory costs more than the copy itself.

    The next call overwrites the last result.
    """

    def __init__(self, features: Float[Tensor, "image dim"], support_features: Float[Tensor, "image dim"] | None = None) -> None:
        self.features = features
        self.support_features = features if support_features is None else support_features
        self.memory = {"support": features.new_empty(0, features.shape[1]), "query": features.new_empty(0, features.shape[1])}

    def __call__(self, episodes: EpisodeIndices, keys: Int64[Tensor, " task"] | None = None) -> FewShotTasks:
        """The features of tasks, and their keys."""
        return FewShotTasks(
            support=self._gather("support", self.support_features, episodes.support),
            labels=episodes.support_ways.to(self.features.device),
            query=self._gather("query", self.features, episodes.query),
            ways=episodes.ways,
            shots=episodes.shots,
            keys=keys.to(self.features.device) if keys is not None else None,
        )

    def _gather(
        self, name: str, features: Float[Tensor, "image dim"], indices: Int64[Tensor, "task item"]
    ) -> Float[Tensor, "task item dim"]:
        if len(self.memory[name]) < indices.numel():
            self.memory[name] = features.new_empty(indices.numel(), features.shape[1])
        gathered = self.memory[name][: indices.numel()]
        torch.index_select(features, 0, indices.flatten().to(features.device), out=gathered)
        return gathered.unflatten(0, indices.shape)


def map_tasks(
    features: Float[Tensor, "image dim"],
    source: TaskSource,
    scorer: Scorer,
    reduce: Reduce[Result],
    *,
    device: torch.device | str = "cpu",
) -> Iterator[Result]:
    """`reduce` of all tasks in order, part by part.

    Jobs of some blocks each are distributed among as many threads as torch uses, each with single-threaded operations; on another
    device than the CPU there is one. Neither their number nor their pace changes a result.

    Raises:
        InputError: a task needs more than there is, or scores are not finite.
    """
    features_there, thread = features.to(device), local()
    support = scorer.support_features.to(device) if scorer.support_features is not None else None

    def run_job(job: int) -> list[Result]:
        if not hasattr(thread, "gather"):
            thread.gather = TaskGatherer(features_there, support)
        with torch.inference_mode():
            generator = generator_for(scorer.seed, *scorer.stream, job)
            parts = _parts(source, job, scorer, features_there.shape[1])
            return [reduce(part, _scores(thread.gather(part, keys), scorer, generator)) for part, keys in parts]

    workers = torch.get_num_threads() if features_there.device.type == "cpu" else 1
    with one_thread(), ThreadPoolExecutor(workers, thread_name_prefix="tasks") as pool:
        waiting: deque[Future[list[Result]]] = deque()
        try:
            for job in range(-(-source.blocks // scorer.blocks)):
                waiting.append(pool.submit(run_job, job))
                if len(waiting) > JOBS_AHEAD * workers:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def part_size(episodes: EpisodeIndices, dim: int, max_gather: int) -> int:
    """Tasks that are computed together: it depends on their size, never on their number."""
    _, support, queries, _ = episodes.size
    return max(max_gather // ((support + queries) * dim), 1)


def _parts(source: TaskSource, job: int, scorer: Scorer, dim: int) -> Iterator[tuple[EpisodeIndices, Int64[Tensor, " task"]]]:
    """The tasks of a job and their keys, those of one size together as far as memory allows."""
    blocks = {number: source.block(number) for number in range(job * scorer.blocks, min((job + 1) * scorer.blocks, source.blocks))}
    keys = torch.cat([task_keys(scorer.seed, scorer.stream, number, sum(map(len, tasks))) for number, tasks in blocks.items()])
    for _, group in groupby((episodes for tasks in blocks.values() for episodes in tasks), key=lambda episodes: episodes.size):
        episodes = join_episodes(list(group))
        of_group, keys = keys.split([len(episodes), len(keys) - len(episodes)])
        size = part_size(episodes, dim, scorer.max_gather)
        for start in range(0, len(episodes), size):
            yield episodes.part(start, start + size), of_group[start : start + size]


def _scores(tasks: FewShotTasks, scorer: Scorer, generator: torch.Generator) -> Float[Tensor, "task query way"]:
    return scored(scorer.classifier, scorer.transform(tasks) if scorer.transform is not None else tasks, generator)
