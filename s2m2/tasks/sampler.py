"""Sampling of few-shot tasks from labels, by four protocols.

fixed: as many queries of every class. s2m2: all images of the task's classes that are not support (Mangla et al., WACV 2020).
dirichlet: a fixed number of queries, distributed among the classes by a Dirichlet sample (Veilleux et al., NeurIPS 2021). variable:
random ways and shots (Meta-Dataset; Triantafillou et al., ICLR 2020). Classes are sampled without replacement, then images of each
class without replacement, all equally likely. Every block of tasks has a random stream of its own, so the order of blocks is free.
"""

from collections.abc import Iterator, Sequence
from typing import get_args

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from s2m2.errors import InputError
from s2m2.random import generator_for, numpy_generator_for
from s2m2.recipe.evaluation import ProtocolName
from s2m2.tasks.episodes import OPEN_SET, EpisodeIndices, EpisodeSpec, join_episodes
from s2m2.threads import one_thread

BLOCK = 256
"""Tasks of one random stream. Fixed, so that the first tasks of a seed are the same however many are sampled."""
MAX_STEPS = 200
"""Sample size up to which a partial Fisher-Yates shuffle is faster than sorting random keys."""
MIN_WAYS, MAX_WAYS = 5, 50
MAX_QUERIES, MAX_SUPPORT, MAX_SUPPORT_OF_CLASS = 10, 500, 100
"""Limits of protocol `variable`, by Meta-Dataset's rule."""


def sample_tasks(labels: Int64[Tensor, " image"], spec: EpisodeSpec, class_names: Sequence[str] | None = None) -> EpisodeIndices:
    """All tasks of a specification at once.

    They depend on labels, specification and seed alone, and the first tasks of a larger sample are those of a smaller one.

    Args:
        labels: class number of each image; any numbers, in any order.
        class_names: names by class number, for the error message.

    Raises:
        InputError: there are fewer classes than ways, or a class has fewer images than the task needs.
        ValueError: the tasks differ in size.
    """
    with one_thread():
        return join_episodes(list(iterate_tasks(labels, spec, class_names)))


def iterate_tasks(labels: Int64[Tensor, " image"], spec: EpisodeSpec, class_names: Sequence[str] | None = None) -> Iterator[EpisodeIndices]:
    """The tasks of `sample_tasks` in parts of a block, in constant memory.

    Raises:
        InputError: as `sample_tasks`, with the first part.
    """
    sampler = TaskSampler(labels, spec, class_names)
    for number in range(sampler.blocks):
        yield from sampler.block(number)


class TaskSampler:
    """Samples the tasks of a specification, block by block. Thread-safe."""

    def __init__(
        self,
        labels: Int64[Tensor, " image"],
        spec: EpisodeSpec,
        class_names: Sequence[str] | None = None,
        for_queries: Bool[Tensor, " image"] | None = None,
    ) -> None:
        """Group the images by class.

        Args:
            labels: class number of each image; any numbers, in any order.
            class_names: names by class number, for error messages.
            for_queries: images that queries are sampled from, all others being for support; None: any image may be either.

        Raises:
            InputError: there are fewer classes than ways, or a class has fewer images than the task needs.
            ValueError: the protocol cannot be sampled.
        """
        if spec.protocol not in get_args(ProtocolName):
            raise ValueError(f"protocol {spec.protocol} cannot be sampled: choose one of {', '.join(get_args(ProtocolName))}")
        self.spec = spec
        self.tasks = spec.tasks
        self.pools = TaskPools(labels, for_queries)
        _check(self.pools, spec, class_names)

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-self.spec.tasks // BLOCK)

    def block(self, number: int) -> list[EpisodeIndices]:
        """The tasks of a block in order; consecutive tasks of one size are together."""
        spec, tasks = self.spec, min(BLOCK, self.spec.tasks - number * BLOCK)
        stream = (spec.seed, "episodes", spec.protocol, spec.ways, spec.shots, spec.queries, number)
        generator = generator_for(*stream)
        if spec.protocol == "variable":
            rng = numpy_generator_for(*stream)
            counts = (variable_counts(self.pools.sizes, rng) for _ in range(tasks))
            return [self._unequal(classes[None], shots[None], queries[None], generator) for classes, shots, queries in counts]
        classes = distinct(torch.full((BLOCK,), len(self.pools.numbers)), spec.ways + spec.open_set_classes, generator)
        if spec.protocol == "fixed":
            return [self._equal(classes, generator).part(0, tasks)]
        shots = torch.full_like(classes, spec.shots)
        available = self.pools.query_sizes(classes, spec.shots)
        total = spec.ways * spec.queries
        all_of_them = spec.protocol == "s2m2"
        queries = available if all_of_them else dirichlet_counts(available, total, spec.concentration, numpy_generator_for(*stream))
        if bool((queries.sum(1) == queries[0].sum()).all()):
            return [self._unequal(classes, shots, queries, generator).part(0, tasks)]
        slices = [slice(task, task + 1) for task in range(tasks)]
        return [self._unequal(classes[one], shots[one], queries[one], generator) for one in slices]

    def _equal(self, classes: Int64[Tensor, "task way"], generator: torch.Generator) -> EpisodeIndices:
        """As many support images and as many queries of every class; only queries of the open-set classes."""
        spec, tasks = self.spec, len(classes)
        support, query = self.pools.sample(classes, spec.shots, spec.queries, generator)
        ways = torch.arange(spec.ways)
        query_ways = torch.cat([ways, torch.full((spec.open_set_classes,), OPEN_SET)]).repeat_interleave(spec.queries)
        return EpisodeIndices(
            classes=self.pools.numbers[classes[:, : spec.ways]],
            support=support[:, : spec.ways].flatten(1),
            support_ways=ways.repeat_interleave(spec.shots).expand(tasks, -1),
            query=query.flatten(1),
            query_ways=query_ways.expand(tasks, -1),
            shots=spec.shots,
        )

    def _unequal(
        self,
        classes: Int64[Tensor, "task way"],
        shots: Int64[Tensor, "task way"],
        queries: Int64[Tensor, "task way"],
        generator: torch.Generator,
    ) -> EpisodeIndices:
        """Any number of support images and queries of each class, with equal sums in all tasks."""
        tasks, ways = classes.shape
        way = torch.arange(ways)[:, None].expand(tasks, -1, -1)
        parts = {}
        samples = self.pools.sample_unequal(classes, shots, queries, generator)
        for name, (indices, used) in zip(("support", "query"), samples, strict=True):
            parts[name] = indices[used].reshape(tasks, -1)
            parts[f"{name}_ways"] = way.expand_as(indices)[used].reshape(tasks, -1)
        even = bool((shots == shots[0, 0]).all())
        return EpisodeIndices(classes=self.pools.numbers[classes], **parts, shots=int(shots[0, 0]) if even else None)


def _check(pools: "TaskPools", spec: EpisodeSpec, class_names: Sequence[str] | None) -> None:
    """Raise `InputError` unless every possible task has the images that it needs."""
    ways, open_set, available = spec.ways, spec.open_set_classes, len(pools.numbers)
    shots, queries, what = spec.shots, spec.queries, f"{spec.shots} shots and {spec.queries} queries need"
    if spec.protocol == "variable":
        ways, shots, queries, what = MIN_WAYS, 1, 1, "one shot and one query need"
        if pools.separate:
            raise InputError("variable tasks take support and queries from one source; choose another of --evaluate.protocols")
    elif spec.protocol != "fixed":
        queries, what = 1, f"{spec.shots} shots and one query need"
    if available < ways + open_set:
        of = f" with {open_set} open-set classes" if open_set else ""
        raise InputError(f"a {ways}-way task{of} needs {ways + open_set} classes, but there are {available}")
    for counts, need in pools.needs(shots, queries):
        if int(counts.min()) < need:
            smallest = int(counts.argmin())
            number = int(pools.numbers[smallest])
            name = class_names[number] if class_names is not None else str(number)
            raise InputError(f"class {name} has {int(counts[smallest])} images, but {what} {need}")


class ClassPool:
    """Image indices grouped by class."""

    def __init__(self, labels: Int64[Tensor, " image"], used: Bool[Tensor, " image"] | None = None) -> None:
        """Group the indices of `labels`, or of those that are `used`."""
        indices = torch.arange(len(labels)) if used is None else used.nonzero().flatten()
        self.numbers, self.counts = torch.unique(labels[indices], return_counts=True)
        self.by_class = indices[labels[indices].argsort(stable=True)]
        self.starts = self.counts.cumsum(0) - self.counts

    def sample(self, classes: Int64[Tensor, "task way"], items: int, generator: torch.Generator) -> Int64[Tensor, "task way item"]:
        """Distinct indices of each class in random order, every order equally likely.

        Args:
            classes: positions in `numbers`.
            items: indices per class; entries beyond the size of a class are meaningless.
        """
        positions = distinct(self.counts[classes].flatten(), items, generator)
        return self.by_class.take(self.starts[classes][..., None] + positions.unflatten(0, classes.shape))


class TaskPools:
    """Images for support and images for queries: the same, or separate ones."""

    def __init__(self, labels: Int64[Tensor, " image"], for_queries: Bool[Tensor, " image"] | None) -> None:
        """Group the images by class. With separate pools, only classes in both are used.

        Args:
            labels: class number of each image.
            for_queries: images for queries, all others being for support; None: any image may be either, once in a task.
        """
        self.separate = for_queries is not None
        if for_queries is None:
            self.support = self.query = ClassPool(labels)
        else:
            shared = torch.isin(labels, labels[for_queries]) & torch.isin(labels, labels[~for_queries])
            self.support = ClassPool(labels, shared & ~for_queries)
            self.query = ClassPool(labels, shared & for_queries)
        self.numbers = self.support.numbers
        self.sizes = self.support.counts

    def needs(self, shots: int, queries: int) -> list[tuple[Int64[Tensor, " class"], int]]:
        """Class sizes of each pool, and the images per class that a task takes from it."""
        return [(self.support.counts, shots), (self.query.counts, queries)] if self.separate else [(self.sizes, shots + queries)]

    def query_sizes(self, classes: Int64[Tensor, "task way"], shots: int) -> Int64[Tensor, "task way"]:
        """Images that may be queries after the support is sampled."""
        return self.query.counts[classes] - (0 if self.separate else shots)

    def sample(
        self, classes: Int64[Tensor, "task way"], shots: int, queries: int, generator: torch.Generator
    ) -> tuple[Int64[Tensor, "task way shot"], Int64[Tensor, "task way query"]]:
        """Support and query indices of each class, all distinct."""
        if self.separate:
            return self.support.sample(classes, shots, generator), self.query.sample(classes, queries, generator)
        indices = self.support.sample(classes, shots + queries, generator)
        return indices[..., :shots], indices[..., shots:]

    def sample_unequal(
        self,
        classes: Int64[Tensor, "task way"],
        shots: Int64[Tensor, "task way"],
        queries: Int64[Tensor, "task way"],
        generator: torch.Generator,
    ) -> list[tuple[Int64[Tensor, "task way item"], Bool[Tensor, "task way item"]]]:
        """As `sample`, for numbers that differ: indices and a mask of the valid ones, of the support and of the queries."""
        if self.separate:
            support, query = self.sample(classes, int(shots.max()), int(queries.max()), generator)
            return [(support, _first(support, shots)), (query, _first(query, queries))]
        indices = self.support.sample(classes, int((shots + queries).max()), generator)
        support = _first(indices, shots)
        return [(indices, support), (indices, _first(indices, shots + queries) & ~support)]


def _first(indices: Int64[Tensor, "task way item"], counts: Int64[Tensor, "task way"]) -> Bool[Tensor, "task way item"]:
    return torch.arange(indices.shape[2]) < counts[..., None]


def distinct(counts: Int64[Tensor, " sample"], items: int, generator: torch.Generator) -> Int64[Tensor, "sample item"]:
    """For each count, `items` distinct numbers below it in random order; entries beyond the count repeat earlier ones."""
    return _by_exchange(counts, items, generator) if items <= MAX_STEPS else _by_keys(counts, items, generator)


def _by_exchange(counts: Tensor, items: int, generator: torch.Generator) -> Tensor:
    """A Fisher-Yates shuffle of 0, 1, 2, ... that stores only the positions it touches.

    Step i exchanges the entries at i and at a random position p_i >= i; entry i of the result is what was at p_i. What was there
    before step j follows from earlier steps: a step i with p_i equal to the position put there what had been at i. All steps j look
    back together, and the axis of the samples is last, along which every operation runs.
    """
    step = torch.arange(items)[:, None]
    remaining = (counts - step).clamp_(min=1)
    positions = torch.randint(2**62, (len(counts), items), generator=generator).T.remainder(remaining).add_(step)
    entries = positions.clone()
    for earlier in range(items - 2, -1, -1):
        later = entries[earlier + 1 :]
        later.masked_fill_(later == positions[earlier], earlier)
    # Entries beyond a small count are meaningless, but must be valid positions.
    return torch.minimum(entries, counts - 1).T


def _by_keys(counts: Tensor, items: int, generator: torch.Generator) -> Tensor:
    """The order of random keys; keys beyond a count come last."""
    largest = max(int(counts.max()), items)
    keys = torch.rand(len(counts), largest, generator=generator)
    keys.masked_fill_(torch.arange(largest) >= counts[:, None], 2.0)
    return torch.minimum(keys.argsort(dim=1)[:, :items], counts[:, None] - 1)


def dirichlet_counts(
    available: Int64[Tensor, "task way"], total: int, concentration: float, generator: np.random.Generator
) -> Int64[Tensor, "task way"]:
    """Queries of each class: `total` of them, in proportions of a symmetric Dirichlet sample (Veilleux et al., NeurIPS 2021, section 3).

    Proportions become whole numbers by largest remainder. What exceeds the images of a class goes to the other classes, those with the
    largest remainder first.
    """
    limits = available.numpy()
    tasks, ways = limits.shape
    exact = total * generator.dirichlet([concentration] * ways, size=tasks)
    counts = np.minimum(exact.astype(np.int64), limits)
    target = np.minimum(total, limits.sum(1))
    while (short := counts.sum(1) < target).any():
        remainder = np.where(counts < limits, exact - counts, -np.inf)
        largest = remainder.argmax(1)
        counts[short, largest[short]] += 1
    return torch.from_numpy(counts)


def variable_counts(
    sizes: Int64[Tensor, " class"], generator: np.random.Generator
) -> tuple[Int64[Tensor, " way"], Int64[Tensor, " way"], Int64[Tensor, " way"]]:
    """Classes, shots and queries of one task by the rule of Meta-Dataset (Triantafillou et al., ICLR 2020, section 3.2).

    5 to 50 classes. Equally many queries of each: half of the smallest class, at most 10. A support of random size, at most 100 images
    of a class and 500 in all, distributed in proportion to the sizes of the classes times a random factor between 1/2 and 2, at least
    one image per class.
    """
    classes = generator.permutation(len(sizes))[: generator.integers(MIN_WAYS, min(MAX_WAYS, len(sizes)), endpoint=True)]
    size = sizes.numpy()[classes]
    queries = min(MAX_QUERIES, int(size.min()) // 2)
    remaining = size - queries
    fraction = 1 - generator.random()  # in (0, 1]
    support = min(MAX_SUPPORT, int(np.ceil(fraction * np.minimum(MAX_SUPPORT_OF_CLASS, remaining)).sum()))
    weights = size * np.exp(generator.uniform(np.log(0.5), np.log(2), len(classes)))
    shots = np.minimum((weights / weights.sum() * (support - len(classes))).astype(np.int64) + 1, remaining)
    return torch.from_numpy(classes), torch.from_numpy(shots), torch.full((len(classes),), queries)
