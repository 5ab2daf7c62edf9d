"""Drawing few-shot tasks from labels alone. Tasks come in blocks, each from a generator of its own, so that any may be drawn first."""

from collections.abc import Iterator, Sequence
from typing import Protocol, get_args, runtime_checkable

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from s2m2.data.class_rows import TaskRows, distinct
from s2m2.data.episodes import UNKNOWN, EpisodeIndices, EpisodeSpec, join_episodes
from s2m2.data.unbalanced import MIN_WAYS, dirichlet_counts, variable_counts
from s2m2.errors import InputError
from s2m2.recipe.tasks import ProtocolName
from s2m2.seeding import generator_for, numpy_generator_for
from s2m2.threads import one_thread

BLOCK = 256
"""Tasks drawn from one generator. Fixed, so that the first tasks of a seed are the same however many are asked for."""


@runtime_checkable
class EpisodeSource(Protocol):
    """Tasks, block by block; drawn, or read from a file."""

    tasks: int

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        ...

    def block(self, number: int) -> list[EpisodeIndices]:
        """The tasks of a block in order; those of one size that follow each other are together."""
        ...


def sample_episodes(labels: Int64[Tensor, " row"], spec: EpisodeSpec, class_names: Sequence[str] | None = None) -> EpisodeIndices:
    """Draw all tasks at once: classes without replacement, then images of each class without replacement, all equally likely.

    The draw depends on the labels, the specification and the seed alone, and the first tasks of a longer draw are those of a
    shorter one.

    Args:
        labels: class number of each row; any numbers, in any order.
        class_names: names by class number, for the error message.

    Raises:
        InputError: there are fewer classes than ways, or a class has fewer images than the task needs.
        ValueError: the tasks differ in size.
    """
    with one_thread():
        return join_episodes(list(iterate_episodes(labels, spec, class_names)))


def iterate_episodes(
    labels: Int64[Tensor, " row"], spec: EpisodeSpec, class_names: Sequence[str] | None = None
) -> Iterator[EpisodeIndices]:
    """The tasks of `sample_episodes` one part of a block after the other, so that memory does not grow with their number.

    Raises:
        InputError: as `sample_episodes`, when the first part is asked for.
    """
    sampler = EpisodeSampler(labels, spec, class_names)
    for number in range(sampler.blocks):
        yield from sampler.block(number)


class EpisodeSampler:
    """Draws the tasks of a specification. Safe to use from several threads."""

    def __init__(
        self,
        labels: Int64[Tensor, " row"],
        spec: EpisodeSpec,
        class_names: Sequence[str] | None = None,
        for_queries: Bool[Tensor, " row"] | None = None,
    ) -> None:
        """Prepare the draw.

        Args:
            labels: class number of each row; any numbers, in any order.
            class_names: names by class number, for error messages.
            for_queries: rows that queries are drawn from, all others being for support; None: any row may be either.

        Raises:
            InputError: there are fewer classes than ways, or a class has fewer rows than the task needs.
            ValueError: the protocol is none that tasks are drawn by.
        """
        if spec.protocol not in get_args(ProtocolName):
            raise ValueError(f"no tasks are drawn by protocol {spec.protocol}: choose one of {', '.join(get_args(ProtocolName))}")
        self.spec = spec
        self.tasks = spec.tasks
        self.rows = TaskRows(labels, for_queries)
        _check(self.rows, spec, class_names)

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-self.spec.tasks // BLOCK)

    def block(self, number: int) -> list[EpisodeIndices]:
        """The tasks of a block in order; those of one size that follow each other are together."""
        spec, tasks = self.spec, min(BLOCK, self.spec.tasks - number * BLOCK)
        name = (spec.seed, "episodes", spec.protocol, spec.ways, spec.shots, spec.queries, number)
        generator = generator_for(*name)
        if spec.protocol == "variable":
            drawn = numpy_generator_for(*name)
            counts = (variable_counts(self.rows.sizes, drawn) for _ in range(tasks))
            return [self._any(classes[None], shots[None], queries[None], generator) for classes, shots, queries in counts]
        classes = distinct(torch.full((BLOCK,), len(self.rows.numbers)), spec.ways + spec.unknown, generator)
        if spec.protocol == "fixed":
            return [self._equal(classes, generator).part(0, tasks)]
        shots = torch.full_like(classes, spec.shots)
        left = self.rows.left(classes, spec.shots)
        total = spec.ways * spec.queries
        queries = left if spec.protocol == "s2m2" else dirichlet_counts(left, total, spec.concentration, numpy_generator_for(*name))
        if bool((queries.sum(1) == queries[0].sum()).all()):
            return [self._any(classes, shots, queries, generator).part(0, tasks)]
        ones = [slice(task, task + 1) for task in range(tasks)]
        return [self._any(classes[one], shots[one], queries[one], generator) for one in ones]

    def _equal(self, classes: Int64[Tensor, "task way"], generator: torch.Generator) -> EpisodeIndices:
        """As many support rows and as many queries of every class; queries alone of the unknown ones."""
        spec, tasks = self.spec, len(classes)
        support, query = self.rows.draw(classes, spec.shots, spec.queries, generator)
        ways = torch.arange(spec.ways)
        query_ways = torch.cat([ways, torch.full((spec.unknown,), UNKNOWN)]).repeat_interleave(spec.queries)
        return EpisodeIndices(
            classes=self.rows.numbers[classes[:, : spec.ways]],
            support=support[:, : spec.ways].flatten(1),
            support_ways=ways.repeat_interleave(spec.shots).expand(tasks, -1),
            query=query.flatten(1),
            query_ways=query_ways.expand(tasks, -1),
            shots=spec.shots,
        )

    def _any(
        self,
        classes: Int64[Tensor, "task way"],
        shots: Int64[Tensor, "task way"],
        queries: Int64[Tensor, "task way"],
        generator: torch.Generator,
    ) -> EpisodeIndices:
        """Any number of support rows and of queries of each class; both add up to the same in all tasks."""
        tasks, ways = classes.shape
        way = torch.arange(ways)[:, None].expand(tasks, -1, -1)
        parts = {}
        drawn = self.rows.draw_unequal(classes, shots, queries, generator)
        for name, (rows, chosen) in zip(("support", "query"), drawn, strict=True):
            parts[name] = rows[chosen].reshape(tasks, -1)
            parts[f"{name}_ways"] = way.expand_as(rows)[chosen].reshape(tasks, -1)
        even = bool((shots == shots[0, 0]).all())
        return EpisodeIndices(classes=self.rows.numbers[classes], **parts, shots=int(shots[0, 0]) if even else None)


def _check(rows: TaskRows, spec: EpisodeSpec, class_names: Sequence[str] | None) -> None:
    """Raise `InputError` unless every task that may be drawn has what it needs."""
    ways, unknown, found = spec.ways, spec.unknown, len(rows.numbers)
    shots, queries, what = spec.shots, spec.queries, f"{spec.shots} shots and {spec.queries} queries need"
    if spec.protocol == "variable":
        ways, shots, queries, what = MIN_WAYS, 1, 1, "one shot and one query need"
        if rows.apart:
            raise InputError("variable tasks take support and queries from one source; choose another of --evaluate.protocols")
    elif spec.protocol != "fixed":
        queries, what = 1, f"{spec.shots} shots and one query need"
    if found < ways + unknown:
        of = f" with {unknown} unknown classes" if unknown else ""
        raise InputError(f"a {ways}-way task{of} needs {ways + unknown} classes, but there are {found}")
    for counts, need in rows.needs(shots, queries):
        if int(counts.min()) < need:
            smallest = int(counts.argmin())
            number = int(rows.numbers[smallest])
            name = class_names[number] if class_names is not None else str(number)
            raise InputError(f"class {name} has {int(counts[smallest])} images, but {what} {need}")
