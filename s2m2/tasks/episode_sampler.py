"""`EpisodeSampler`: few-shot tasks as arrays of indices, for any labels and any training loop."""

from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
import torch
from jaxtyping import Int64

from s2m2.arguments import choice, real_number, whole_number
from s2m2.errors import InputError
from s2m2.recipe.evaluation import ProtocolName
from s2m2.tasks.episodes import EpisodeIndices, EpisodeSpec
from s2m2.tasks.labels import label_array
from s2m2.tasks.sampler import TaskSampler


class EpisodeSampler:
    """Few-shot tasks sampled from labels: an iterable of `(support, query)`, index arrays in order of the ways.

        sampler = EpisodeSampler(y, ways=5, shots=1, queries=15, tasks=100, seed=0)
        for support, query in sampler:
            X[support], y[support], X[query], y[query]

    The classes of a task are in random order; way c is the c-th distinct label of the support. Each iteration gives the same tasks, and the
    first tasks of a seed are the same however many are sampled. `s2m2.evaluate` with equal labels and arguments scores these tasks.
    """

    def __init__(
        self,
        labels: Any,
        *,
        ways: int = 5,
        shots: int = 1,
        queries: int = 15,
        tasks: int = 1000,
        seed: int = 0,
        protocol: str = "fixed",
        concentration: float = 2.0,
        open_set_classes: int = 0,
    ) -> None:
        """Prepare the sampling.

        Args:
            labels: label of each image, " image": whole numbers or text, as a list, a NumPy array or a torch tensor.
            ways: classes of a task; unused by protocol `variable`.
            shots: support images per class; unused by protocol `variable`.
            queries: query images per class, on average for protocol `dirichlet`; unused by `s2m2` and `variable`.
            tasks: number of tasks.
            seed: of the random streams.
            protocol: fixed: equally many queries of every class; s2m2: all other images of the task's classes are queries; dirichlet:
                unbalanced queries; variable: ways and shots by Meta-Dataset's rule.
            concentration: of the Dirichlet distribution, protocol `dirichlet`.
            open_set_classes: additional classes with queries and no support; protocol `fixed` only. Their queries come last.

        Raises:
            InputError: an argument is out of range, there are too few classes, or a class has too few images.
        """
        spec = task_spec(
            ways=ways,
            shots=shots,
            queries=queries,
            tasks=tasks,
            seed=seed,
            protocol=protocol,
            concentration=concentration,
            open_set_classes=open_set_classes,
        )
        self.labels = label_array(labels)
        """The labels as a NumPy array: `sampler.labels[support]` are those of a support."""
        self.classes, numbers = np.unique(self.labels, return_inverse=True)
        """The distinct labels, sorted."""
        try:
            self._sampler = TaskSampler(torch.from_numpy(numbers.astype(np.int64)), spec, [str(name) for name in self.classes.tolist()])
        except InputError as error:
            raise InputError(f"labels: {error}") from error

    def __len__(self) -> int:
        return self._sampler.tasks

    def __iter__(self) -> Iterator[tuple[Int64[np.ndarray, " support"], Int64[np.ndarray, " query"]]]:
        for task in self.episodes():
            yield task.support[0].numpy().copy(), task.query[0].numpy().copy()

    def episodes(self) -> Iterator[EpisodeIndices]:
        """The tasks one by one with their ways; `classes` are positions in `self.classes`."""
        for number in range(self._sampler.blocks):
            for part in self._sampler.block(number):
                for task in range(len(part)):
                    yield part.part(task, task + 1)

    def batches(self) -> "TaskBatches":
        """The tasks as batches of a data loader, support first: `DataLoader(dataset, batch_sampler=sampler.batches())`.

        Of protocols with equal shots the first `ways * shots` items of a batch are support.
        """
        return TaskBatches(self)


class TaskBatches:
    """A `batch_sampler`: one list of indices per task, support first. Every epoch has the same tasks."""

    def __init__(self, sampler: EpisodeSampler) -> None:
        self.sampler = sampler

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[list[int]]:
        for support, query in self.sampler:
            yield [*support.tolist(), *query.tolist()]


def task_spec(
    *,
    ways: int,
    shots: int,
    queries: int,
    tasks: int,
    seed: int,
    protocol: str,
    concentration: float = 2.0,
    open_set_classes: int = 0,
) -> EpisodeSpec:
    """The specification of checked arguments; a number may be of any type that is whole, such as 1e4.

    Raises:
        InputError: an argument is of another type or out of range; it is named.
    """
    choice("protocol", protocol, get_args(ProtocolName))
    least = {"ways": 2, "shots": 1, "queries": 1, "tasks": 1, "seed": 0, "open_set_classes": 0}
    given = (ways, shots, queries, tasks, seed, open_set_classes)
    whole = {name: whole_number(name, value, least[name]) for name, value in zip(least, given, strict=True)}
    if whole["open_set_classes"] and protocol != "fixed":
        raise InputError(f"open_set_classes is {open_set_classes}, but only tasks of protocol fixed have open-set classes, not {protocol}")
    if protocol == "variable":
        whole |= {"ways": 0, "shots": 0}
    return EpisodeSpec(
        **whole,
        protocol=protocol,  # type: ignore[arg-type]  # checked above
        concentration=real_number("concentration", concentration, lambda number: number > 0, "above 0"),
    )
