"""Few-shot tasks as index tensors: which pictures are support and which are query. Sampling sees labels only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from s2m2.errors import InputError
from s2m2.seeding import generator_for

BLOCK = 256
"""Tasks drawn from one generator. Fixed, so that the first tasks of a seed are the same however many are asked for."""


@dataclass(frozen=True, kw_only=True)
class EpisodeSpec:
    """What a task looks like, and how many there are."""

    ways: int
    """Classes of a task."""
    shots: int
    """Labelled pictures a class."""
    queries: int
    """Pictures a class to recognise."""
    tasks: int
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class EpisodeIndices:
    """Tasks of one specification; the entries of `support` and `query` are rows of whatever the labels described."""

    classes: Int64[Tensor, "task way"]
    support: Int64[Tensor, "task way shot"]
    query: Int64[Tensor, "task way query"]

    def __len__(self) -> int:
        return len(self.classes)

    def part(self, start: int, stop: int) -> "EpisodeIndices":
        """Tasks `start` to `stop - 1`, or fewer at the end."""
        return EpisodeIndices(classes=self.classes[start:stop], support=self.support[start:stop], query=self.query[start:stop])


def sample_episodes(labels: Int64[Tensor, " row"], spec: EpisodeSpec, class_names: Sequence[str] | None = None) -> EpisodeIndices:
    """Draw tasks: classes without replacement, then pictures of each class without replacement, all equally likely.

    A task is the top of random keys over classes, then over each class's pictures, so that a block of tasks is a few
    tensor operations. The draw depends on the labels, the specification and the seed alone, and the first tasks of a longer
    draw are those of a shorter one.

    Args:
        labels: class number of each row; any numbers, in any order.
        class_names: names by class number, for the error message.

    Raises:
        InputError: there are fewer classes than ways, or a class has fewer pictures than shots + queries.
    """
    return _Sampler(labels, spec, class_names).draw(0, spec.tasks)


def iterate_episodes(
    labels: Int64[Tensor, " row"], spec: EpisodeSpec, class_names: Sequence[str] | None = None, *, chunk: int = BLOCK
) -> Iterator[EpisodeIndices]:
    """The tasks of `sample_episodes`, `chunk` at a time, so that memory does not grow with their number.

    Args:
        chunk: tasks at a time, a power of two; the last chunk may be smaller. It changes no task.

    Raises:
        InputError: as `sample_episodes`, when the first chunk is asked for.
    """
    sampler = _Sampler(labels, spec, class_names)
    stride = max(chunk, BLOCK)
    assert not any((stride % BLOCK, stride % chunk)), f"chunk {chunk} is no power of two"
    for first in range(0, spec.tasks, stride):
        drawn = sampler.draw(first, min(first + stride, spec.tasks))
        for start in range(0, len(drawn), chunk):
            yield drawn.part(start, start + chunk)


class _Sampler:
    """The rows of each class, side by side, and the draws from them."""

    def __init__(self, labels: Int64[Tensor, " row"], spec: EpisodeSpec, class_names: Sequence[str] | None) -> None:
        self.spec = spec
        self.numbers, self.counts = torch.unique(labels, return_counts=True)
        _check(self.numbers, self.counts, spec, class_names)
        self.by_class = labels.argsort(stable=True)
        self.starts = self.counts.cumsum(0) - self.counts
        self.beyond = torch.arange(int(self.counts.max())) >= self.counts[:, None]
        self.unequal = bool(self.beyond.any())

    def draw(self, first: int, stop: int) -> EpisodeIndices:
        """Tasks `first`, the first one of a block, to `stop - 1`."""
        blocks = [self._block(block) for block in range(first // BLOCK, (stop + BLOCK - 1) // BLOCK)]
        classes = torch.cat([chosen for chosen, _ in blocks])[: stop - first]
        rows = torch.cat([rows for _, rows in blocks])[: stop - first]
        return EpisodeIndices(classes=classes, support=rows[..., : self.spec.shots], query=rows[..., self.spec.shots :])

    def _block(self, block: int) -> tuple[Int64[Tensor, "block way"], Int64[Tensor, "block way item"]]:
        spec = self.spec
        generator = generator_for(spec.seed, "episodes", spec.ways, spec.shots, spec.queries, block)
        chosen = torch.rand(BLOCK, len(self.counts), generator=generator).topk(spec.ways, dim=1).indices
        keys = torch.rand(BLOCK, spec.ways, self.beyond.shape[1], generator=generator)
        if self.unequal:
            keys.masked_fill_(self.beyond[chosen], -1.0)
        places = keys.topk(spec.shots + spec.queries, dim=-1).indices
        return self.numbers[chosen], self.by_class[self.starts[chosen][..., None] + places]


def _check(numbers: Tensor, counts: Tensor, spec: EpisodeSpec, class_names: Sequence[str] | None) -> None:
    if len(numbers) < spec.ways:
        raise InputError(f"a {spec.ways}-way task needs {spec.ways} classes, but there are {len(numbers)}")
    need = spec.shots + spec.queries
    if int(counts.min()) < need:
        smallest = int(counts.argmin())
        number = int(numbers[smallest])
        name = class_names[number] if class_names is not None else str(number)
        raise InputError(
            f"class {name} has {int(counts[smallest])} pictures, but {spec.shots} shots and {spec.queries} queries need {need}"
        )
