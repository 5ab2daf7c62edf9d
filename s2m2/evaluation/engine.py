"""All tasks of an evaluation through one classifier, block by block, on all cores."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from threading import local
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from s2m2.data.episodes import EpisodeIndices, join_episodes
from s2m2.data.sampling import EpisodeSource
from s2m2.evaluation.classifiers.protocol import FewShotClassifier
from s2m2.evaluation.tasks import BLOCKS, MAX_GATHER, FewShotTasks, TaskGatherer
from s2m2.seeding import generator_for
from s2m2.threads import one_thread

JOBS_AHEAD = 2
"""Jobs that may wait for each thread, which bounds the memory."""

Result = TypeVar("Result")
Reduce = Callable[[EpisodeIndices, Float[Tensor, "task query way"]], Result]
"""What is kept of some tasks and their scores."""
TaskTransform = Callable[[FewShotTasks], FewShotTasks]
"""Changes the features of tasks before the classifier meets them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Scorer:
    """A classifier as it meets every task."""

    classifier: FewShotClassifier
    stream: tuple[str | int, ...]
    """Name of the classifier's random stream; a job adds its number."""
    seed: int
    transform: TaskTransform | None = None
    support_features: Float[Tensor, "row dim"] | None = None
    """What support images show, where that is not what they show as queries (see `FeatureSet`)."""
    blocks: int = BLOCKS
    """Blocks of tasks that are one job, computed by one thread: more of them make the operations of a classifier larger."""
    max_gather: int = MAX_GATHER
    """Numbers that the classifier meets at once, at most: a classifier of few operations is fastest where they stay in the processor's cache."""


def map_tasks(
    features: Float[Tensor, "row dim"],
    source: EpisodeSource,
    scorer: Scorer,
    reduce: Reduce[Result],
    *,
    device: torch.device | str = "cpu",
) -> Iterator[Result]:
    """`reduce` of all tasks in order, one part after the other.

    Jobs of some blocks each are shared out among as many threads as torch uses, each of which computes on its own; on another
    device than the CPU there is one. Neither their number nor their pace changes a result.

    Raises:
        InputError: a task needs what there is not.
    """
    dataset, kept = features.to(device), local()
    support = scorer.support_features.to(device) if scorer.support_features is not None else None

    def serve(job: int) -> list[Result]:
        if not hasattr(kept, "gather"):
            kept.gather = TaskGatherer(dataset, support)
        with torch.inference_mode():
            generator = generator_for(scorer.seed, *scorer.stream, job)
            parts = _parts(source, job, scorer, dataset.shape[1])
            return [reduce(part, _scores(part, kept.gather, scorer, generator)) for part in parts]

    workers = torch.get_num_threads() if dataset.device.type == "cpu" else 1
    with one_thread(), ThreadPoolExecutor(workers, thread_name_prefix="tasks") as pool:
        waiting: deque[Future[list[Result]]] = deque()
        try:
            for job in range(-(-source.blocks // scorer.blocks)):
                waiting.append(pool.submit(serve, job))
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


def _parts(source: EpisodeSource, job: int, scorer: Scorer, dim: int) -> Iterator[EpisodeIndices]:
    """The tasks of a job, those of one size together as far as memory allows."""
    blocks = range(job * scorer.blocks, min((job + 1) * scorer.blocks, source.blocks))
    drawn = [episodes for number in blocks for episodes in source.block(number)]
    for _, group in groupby(drawn, key=lambda episodes: episodes.size):
        episodes = join_episodes(list(group))
        size = part_size(episodes, dim, scorer.max_gather)
        for start in range(0, len(episodes), size):
            yield episodes.part(start, start + size)


def _scores(episodes: EpisodeIndices, gather: TaskGatherer, scorer: Scorer, generator: torch.Generator) -> Float[Tensor, "task query way"]:
    tasks = gather(episodes)
    return scorer.classifier(scorer.transform(tasks) if scorer.transform is not None else tasks, generator)
