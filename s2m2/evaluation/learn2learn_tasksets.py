"""Our datasets as datasets of learn2learn, and learn2learn's tasks through our few-shot classifiers.

learn2learn (Arnold et al., 2020, arXiv 2008.12284) samples a task from a `MetaDataset` by task transforms, such as N ways and K shots.
Both together are a `Taskset`, with items (data, labels).
"""

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64, UInt8
from torch import Tensor, nn
from torch.utils.data import Dataset

from s2m2.classifiers.base import MAX_GATHER, FewShotTasks, ScoresTasks
from s2m2.classifiers.finite import scored
from s2m2.classifiers.task_streams import task_keys
from s2m2.data.chunks import check_images
from s2m2.data.dataset import ImageDataset, Split
from s2m2.data.learn2learn_datasets import import_learn2learn
from s2m2.errors import InputError
from s2m2.evaluation.features import FeatureSet, Transform
from s2m2.evaluation.map_tasks import stream_name
from s2m2.models.layers import evaluation_mode
from s2m2.random import generator_for, seed_for
from s2m2.tasks.sampler import BLOCK
from s2m2.threads import one_thread


def meta_dataset(dataset: ImageDataset | FeatureSet, split: Split | None = None, transform: Transform | None = None) -> Any:
    """A dataset as a `learn2learn.data.MetaDataset`, for its task transforms and its `Taskset`.

    Item i is (tensor, label), the label being a class number of the dataset. Images are read on access, and the tensor is the transformed
    image, by default Float "3 height width" from 0 to 1. For features it is the feature, Float "dim".

    Args:
        split: classes of an image dataset; None: all. Features are of one split already.
        transform: for images, in batches of one; `partial(evaluation_view, config=recipe.data)` gives the input of a recipe's networks.

    Raises:
        InputError: learn2learn is not installed, the dataset has no class in the split, or features come with a split or transform.
    """
    learn2learn = import_learn2learn()
    if isinstance(dataset, FeatureSet):
        if split is not None or transform is not None:
            raise InputError("a FeatureSet is one split of features already; give meta_dataset no split and no transform with it")
        items = _Items(dataset.features, torch.arange(len(dataset.features)), dataset.labels, _unchanged)
    else:
        indices = torch.from_numpy(dataset.indices(split) if split is not None else np.arange(len(dataset.images)))
        items = _Items(dataset.image_tensor(), indices, torch.from_numpy(dataset.labels)[indices], _View(transform or _from_0_to_1))
    # Without the labels, learn2learn would read every image twice.
    return learn2learn.data.MetaDataset(items, indices_to_labels=dict(enumerate(items.labels.tolist())))


class _Items(Dataset[tuple[Tensor, int]]):
    """Items of a dataset with their labels. learn2learn accepts only subclasses of torch's `Dataset`."""

    def __init__(
        self, dataset: Tensor, indices: Int64[Tensor, " item"], labels: Int64[Tensor, " item"], view: Callable[[Tensor], Tensor]
    ) -> None:
        self.dataset, self.indices, self.labels, self.view = dataset, indices, labels, view

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        check_images(self.dataset, self.indices[position : position + 1])
        return self.view(self.dataset[self.indices[position]]), int(self.labels[position])


@dataclass(frozen=True)
class _View:
    """A transform of batches, for a single image."""

    transform: Transform

    def __call__(self, image: UInt8[Tensor, "height width 3"]) -> Float[Tensor, "3 side_1 side_2"]:
        return self.transform(image[None])[0]


def _unchanged(feature: Float[Tensor, " dim"]) -> Float[Tensor, " dim"]:
    return feature


def _from_0_to_1(images: UInt8[Tensor, "batch height width 3"]) -> Float32[Tensor, "batch 3 height width"]:
    return images.permute(0, 3, 1, 2).float() / 255


@dataclass(frozen=True, kw_only=True, eq=False)
class TasksetTask:
    """One task of a `Taskset`, its features split into support and queries."""

    tasks: FewShotTasks
    """The task alone. Way c is the c-th smallest label."""
    query_ways: Int64[Tensor, "1 query"]
    """True way of each query."""
    labels: Int64[Tensor, " way"]
    """Label of each way in the taskset."""


def taskset_tasks(
    taskset: Any,
    *,
    shots: int,
    backbone: nn.Module | None = None,
    tasks: int | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Iterator[TasksetTask]:
    """The tasks of a learn2learn `Taskset`: of each label the first `shots` items are support and the others queries.

    learn2learn samples from Python's global generator. It is seeded for each task and restored afterwards, so task i of a fresh taskset
    depends on the seed and i alone. A taskset caches its tasks; cached ones are used as they are.

    Args:
        shots: support items of each label.
        backbone: makes features of the data, in evaluation mode; on `device`. None: the data are features.
        tasks: number of tasks; None: all of the taskset.

    Raises:
        InputError: there are fewer tasks, or a task cannot be used: it is no pair of data and labels, a label has fewer
            items than shots, no query is left, or its features are no finite vectors.
    """
    available = int(getattr(taskset, "num_tasks", -1))
    if tasks is None and available < 0:
        raise InputError("this taskset has tasks without end; give their number as tasks")
    if tasks is not None and 0 <= available < tasks:
        raise InputError(f"this taskset has {available} tasks, not {tasks}")
    for number in range(available if tasks is None else tasks):
        with _seeded(seed_for(seed, "taskset", number)):
            task = taskset[number]
        yield _split_task(*_features_and_labels(task, number, backbone, device), shots, number)


def score_taskset(
    taskset: Any,
    classifier: ScoresTasks,
    *,
    shots: int,
    name: str | None = None,
    backbone: nn.Module | None = None,
    tasks: int | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    transform: Callable[[FewShotTasks], FewShotTasks] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Float64[Tensor, " task"]:
    """Accuracy of a classifier on each task of a learn2learn `Taskset`, a fraction of its queries.

    `mean_and_interval` gives their mean and interval. Arguments and errors not listed here are those of `taskset_tasks`; the first tasks
    of a longer evaluation score as those of a shorter one.

    Args:
        name: of the classifier's random stream; None: `classifier.name`.
        transform: changes the features of tasks before the classifier.
        progress: called with the number of tasks of each finished part.
    """
    accuracies = []
    sampled = taskset_tasks(taskset, shots=shots, backbone=backbone, tasks=tasks, seed=seed, device=device)
    stream = ("head", stream_name(classifier, name), "taskset", shots)
    for number, block in enumerate(_blocks(sampled)):
        generator, keys = generator_for(seed, *stream, number), task_keys(seed, stream, number, len(block))
        for part in _parts(block):
            of_part, keys = keys.split([len(part), len(keys) - len(part)])
            joined = _joined([task.tasks for task in part])
            joined = replace(joined, keys=of_part.to(joined.support.device))
            with torch.inference_mode(), one_thread():
                scores = scored(classifier, transform(joined) if transform is not None else joined, generator)
            true = torch.cat([task.query_ways for task in part])
            accuracies.append((scores.argmax(-1).cpu() == true.cpu()).double().mean(1))
            if progress is not None:
                progress(len(part))
    return torch.cat(accuracies)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Python's global generator with a seed, restored afterwards."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def _features_and_labels(
    task: Any, number: int, backbone: nn.Module | None, device: torch.device | str
) -> tuple[Float[Tensor, "item dim"], Int64[Tensor, " item"]]:
    try:
        data, labels = (torch.as_tensor(part) for part in task)
    except (TypeError, ValueError) as error:
        raise InputError(f"task {number} of the taskset is no pair of data and labels; does it lack learn2learn's LoadData?") from error
    data, labels = data.to(device), labels.to(device)
    if backbone is not None:
        with torch.inference_mode(), evaluation_mode(backbone):
            data = backbone(data)
    if data.ndim != 2 or labels.shape != data.shape[:1] or not data.is_floating_point():
        kind = f"{data.dtype} of shape {tuple(data.shape)} with labels of shape {tuple(labels.shape)}".removeprefix("torch.")
        raise InputError(f"task {number} of the taskset has {kind}, not a feature and a label an item; images need a backbone")
    if not bool(data.isfinite().all()):
        raise InputError(f"task {number} of the taskset has features that are not finite")
    return data.float(), labels.long()


def _split_task(features: Float[Tensor, "item dim"], labels: Int64[Tensor, " item"], shots: int, number: int) -> TasksetTask:
    distinct, ways, counts = labels.unique(return_inverse=True, return_counts=True)
    if int(counts.min()) < shots or int(counts.max()) == shots:
        sizes = ", ".join(map(str, counts.tolist()))
        raise InputError(f"task {number} of the taskset has {sizes} items of its labels, too few for {shots} shots and a query")
    order = ways.argsort(stable=True)
    position = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[ways[order]]
    support, query = order[position < shots], order[position >= shots]
    return TasksetTask(
        tasks=FewShotTasks(
            support=features[support][None], labels=ways[support][None], query=features[query][None], ways=len(distinct), shots=shots
        ),
        query_ways=ways[query][None],
        labels=distinct,
    )


def _blocks(tasks: Iterable[TasksetTask]) -> Iterator[list[TasksetTask]]:
    """Tasks of one generator."""
    waiting = iter(tasks)
    while block := list(islice(waiting, BLOCK)):
        yield block


def _parts(block: list[TasksetTask]) -> Iterator[list[TasksetTask]]:
    """Consecutive tasks of one size, as many together as memory allows."""
    for (_, support, query), alike in groupby(block, key=_size):
        count = max(MAX_GATHER // ((support[1] + query[1]) * support[2]), 1)
        waiting = iter(alike)
        while part := list(islice(waiting, count)):
            yield part


def _size(task: TasksetTask) -> tuple[int, torch.Size, torch.Size]:
    return task.tasks.ways, task.tasks.support.shape, task.tasks.query.shape


def _joined(tasks: list[FewShotTasks]) -> FewShotTasks:
    return FewShotTasks(
        support=torch.cat([task.support for task in tasks]),
        labels=torch.cat([task.labels for task in tasks]),
        query=torch.cat([task.query for task in tasks]),
        ways=tasks[0].ways,
        shots=tasks[0].shots,
    )
