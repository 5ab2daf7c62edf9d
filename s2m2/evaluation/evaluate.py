"""Features and few-shot tasks to accuracies: every task is drawn, its head fitted, its queries predicted."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from s2m2.data.episodes import EpisodeIndices, EpisodeSpec, iterate_episodes
from s2m2.evaluation.classifiers import FewShotClassifier
from s2m2.evaluation.features import FeatureTable
from s2m2.seeding import generator_for
from s2m2.threads import one_thread

LARGEST_BLOCK = 1024
LARGEST_GATHER = 2**26
"""Numbers that a block of tasks may gather from the features: 256 MB of float32."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ExampleTask:
    """The first task of an evaluation and what the head made of it, to be drawn in a report."""

    episode: EpisodeIndices
    """One task, whose entries are rows of the feature table; `FeatureTable.rows` has their pictures."""
    predicted: Int64[Tensor, "way query"]
    """Predicted way of each query; correct where it is the number of its row here."""


def score_tasks(
    features: FeatureTable,
    spec: EpisodeSpec,
    classifier: FewShotClassifier,
    *,
    head: str,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Float64[Tensor, " task"]:
    """Accuracy of a head on each task, a fraction of its queries.

    Tasks and the head's draws depend on `spec.seed` alone (and the draws on the head's name), so two heads, two backbones or two
    trainings meet the same tasks, and the first tasks of a longer evaluation score as those of a shorter one.

    Args:
        head: name of the head, which its random stream is named by.
        progress: told the number of tasks of each block when it is done.

    Raises:
        InputError: a task needs more classes, or more pictures of a class, than there are.
    """
    accuracies = []
    for episodes, predicted in _predictions(features, spec, classifier, head, device):
        correct = predicted == torch.arange(spec.ways, device=predicted.device)[:, None]
        accuracies.append(correct.sum(dim=(1, 2)).cpu().double() / (spec.ways * spec.queries))
        if progress is not None:
            progress(len(episodes))
    return torch.cat(accuracies)


def example_task(
    features: FeatureTable, spec: EpisodeSpec, classifier: FewShotClassifier, *, head: str, device: torch.device | str = "cpu"
) -> ExampleTask:
    """The first task that `score_tasks` meets, with its predictions."""
    only = EpisodeSpec(ways=spec.ways, shots=spec.shots, queries=spec.queries, tasks=1, seed=spec.seed)
    episode, predicted = next(_predictions(features, only, classifier, head, device))
    return ExampleTask(episode=episode, predicted=predicted[0].cpu())


def _predictions(
    features: FeatureTable, spec: EpisodeSpec, classifier: FewShotClassifier, head: str, device: torch.device | str
) -> Iterator[tuple[EpisodeIndices, Int64[Tensor, "task way query"]]]:
    """Blocks of tasks and the predicted ways of their queries."""
    table = features.features.to(device)
    block_size = _block_size(spec, table.shape[1])
    support, query = _Gather(table), _Gather(table)
    blocks = iterate_episodes(features.labels, spec, features.class_names, chunk=block_size)
    for number, episodes in enumerate(blocks):
        generator = generator_for(spec.seed, "head", head, spec.ways, spec.shots, number)
        with torch.inference_mode(), one_thread():
            scores = classifier(support(episodes.support), query(episodes.query), generator)
            predicted = scores.argmax(dim=-1)
        yield episodes, predicted


def _block_size(spec: EpisodeSpec, dim: int) -> int:
    """Tasks that share a generator and are fitted together: a power of two that depends on their size, never on their number."""
    fitting = LARGEST_GATHER // (spec.ways * (spec.shots + spec.queries) * dim)
    return min(LARGEST_BLOCK, 1 << max(fitting.bit_length() - 1, 0))


class _Gather:
    """Rows of a feature table, in memory that is used again for the next block: fresh memory costs more than the copy itself."""

    def __init__(self, table: Float[Tensor, "row dim"]) -> None:
        self.table = table
        self.memory = table.new_empty(0, table.shape[1])

    def __call__(self, rows: Int64[Tensor, "task way item"]) -> Float[Tensor, "task way item dim"]:
        if len(self.memory) < rows.numel():
            self.memory = self.table.new_empty(rows.numel(), self.table.shape[1])
        gathered = self.memory[: rows.numel()]
        torch.index_select(self.table, 0, rows.flatten().to(self.table.device), out=gathered)
        return gathered.unflatten(0, rows.shape)
