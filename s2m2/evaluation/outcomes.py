"""`Outcomes`: accuracies, confusions, reliability and hardest tasks of an evaluation, measured in one pass over the tasks."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from s2m2.evaluation.calibration import BINS, reliability_bins
from s2m2.evaluation.map_tasks import Scorer, map_tasks
from s2m2.tasks.episodes import OPEN_SET, EpisodeIndices, TaskSource

HARDEST = 10
"""Number of tasks of lowest accuracy that are stored whole."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HardTask:
    """One task and the predictions of its queries."""

    number: int
    """Position of the task in the evaluation."""
    accuracy: float
    episode: EpisodeIndices
    """The task alone."""
    predicted: Int64[Tensor, " query"]
    """Predicted way of each query."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcomes:
    """Results of a classifier on the tasks of an evaluation. Open-set queries are excluded."""

    accuracies: Float64[Tensor, " task"]
    """Fraction of the queries of each task."""
    classes: Int64[Tensor, " class"]
    """Class numbers, ascending; the order of the following."""
    confusion: Int64[Tensor, "class class"]
    """Queries by true class, then by predicted class."""
    class_tasks: Int64[Tensor, " class"]
    """Tasks with the class."""
    class_sums: Float64[Tensor, " class"]
    """Sum of their accuracies."""
    reliability: Float64[Tensor, "temperature bin 3"]
    """Of each bin of confidence: number of queries, sum of confidences, number of right predictions. First at temperature 1, then at
    the requested one."""
    nll: Float64[Tensor, " temperature"]
    """Mean negative log-likelihood of a query, in nats, at the same temperatures."""
    hardest: tuple[HardTask, ...]
    """Lowest accuracy first; ties in order of the tasks."""


def task_accuracies(episodes: EpisodeIndices, scores: Float[Tensor, "task query way"]) -> Float64[Tensor, " task"]:
    """Fraction of the queries with the highest score at their true way; open-set queries do not count."""
    closed = episodes.query_ways != OPEN_SET
    right = (scores.argmax(-1).cpu() == episodes.query_ways) & closed
    return right.sum(1).double() / closed.sum(1)


def confidences(
    scores: Float[Tensor, "*tasks query way"], temperature: float
) -> tuple[Float[Tensor, "*tasks query"], Float[Tensor, "*tasks query"]]:
    """Largest softmax probability of each query, and its logarithm, after division of the scores by a temperature."""
    return _confidences(scores - scores.amax(-1, keepdim=True), temperature)


def measure_outcomes(
    features: Float[Tensor, "image dim"],
    labels: Int64[Tensor, " image"],
    source: TaskSource,
    scorer: Scorer,
    *,
    temperature: float = 1.0,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Outcomes:
    """Outcomes of all tasks of a source.

    Args:
        labels: class number of each image.
        temperature: divisor of the scores before the second of the two softmaxes.
        progress: called with the number of tasks of each finished part.

    Raises:
        InputError: a task needs more than there is.
    """
    total = _Total(labels.unique())
    reduce = _Reduce(total.classes, temperature)
    for part in map_tasks(features, source, scorer, reduce, device=device):
        total.add(part)
        if progress is not None:
            progress(len(part.accuracies))
    return total.outcomes()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Part:
    """Outcomes of a part of a block."""

    accuracies: Float64[Tensor, " task"]
    positions: Int64[Tensor, "task way"]
    """Of the classes of each task among all classes."""
    pairs: Int64[Tensor, " closed"]
    """Position of the true class times the number of classes, plus that of the predicted class."""
    reliability: Float64[Tensor, "temperature bin 3"]
    nll: Float64[Tensor, " temperature"]
    """Summed over queries."""
    episodes: EpisodeIndices
    predicted: Int64[Tensor, "task query"]


class _Reduce:
    """Reduces the scores of a part. Without state, as several threads use it at once."""

    def __init__(self, classes: Int64[Tensor, " class"], temperature: float) -> None:
        self.count, self.temperatures = len(classes), (1.0, temperature)
        self.position = torch.zeros(int(classes.max()) + 1, dtype=torch.int64)
        self.position[classes] = torch.arange(len(classes))

    def __call__(self, episodes: EpisodeIndices, scores: Float[Tensor, "task query way"]) -> _Part:
        scores = scores.cpu()
        predicted, ways = scores.argmax(-1), episodes.query_ways
        closed = ways != OPEN_SET
        all_closed = bool(closed.all())
        right = (predicted == ways) & closed
        accuracies = right.sum(1).double() / closed.sum(1)
        positions = self.position[episodes.classes]
        pairs = positions.gather(1, ways.clamp(min=0)) * self.count + positions.gather(1, predicted)
        shifted = scores - scores.amax(-1, keepdim=True)
        true = shifted.gather(-1, ways.clamp(min=0)[..., None])[..., 0]
        reliability, nll = [], []
        for temperature in self.temperatures:
            confidence, logarithm = _confidences(shifted, temperature)
            loss = -logarithm - true / temperature
            values = (confidence, right, loss) if all_closed else (confidence[closed], right[closed], loss[closed])
            reliability.append(reliability_bins(values[0].flatten(), values[1].flatten()))
            nll.append(values[2].sum(dtype=torch.float64))
        return _Part(
            accuracies=accuracies,
            positions=positions,
            pairs=pairs.flatten() if all_closed else pairs[closed],
            reliability=torch.stack(reliability),
            nll=torch.stack(nll),
            episodes=episodes,
            predicted=predicted,
        )


class _Total:
    """Sums the parts in order."""

    def __init__(self, classes: Int64[Tensor, " class"]) -> None:
        self.classes, count = classes, len(classes)
        self.confusion = torch.zeros(count * count, dtype=torch.int64)
        self.class_tasks = torch.zeros(count, dtype=torch.int64)
        self.class_sums = torch.zeros(count, dtype=torch.float64)
        self.reliability = torch.zeros(2, BINS, 3, dtype=torch.float64)
        self.nll = torch.zeros(2, dtype=torch.float64)
        self.accuracies: list[Float64[Tensor, " task"]] = []
        self.hardest: list[HardTask] = []
        self.tasks = 0

    def add(self, part: _Part) -> None:
        self.confusion.index_add_(0, part.pairs, torch.ones_like(part.pairs))
        positions = part.positions.flatten()
        self.class_tasks.index_add_(0, positions, torch.ones_like(positions))
        self.class_sums.index_add_(0, positions, part.accuracies.repeat_interleave(part.positions.shape[1]))
        self.reliability += part.reliability
        self.nll += part.nll
        self.accuracies.append(part.accuracies)
        self._update_hardest(part)
        self.tasks += len(part.accuracies)

    def _update_hardest(self, part: _Part) -> None:
        """Once there are ten, few parts have a harder task, so the copies cost nothing."""
        worst = self.hardest[-1].accuracy if len(self.hardest) == HARDEST else 2.0
        if float(part.accuracies.min()) >= worst:
            return
        chosen = [task for task in part.accuracies.argsort(stable=True)[:HARDEST].tolist() if part.accuracies[task] < worst]
        harder = [
            HardTask(
                number=self.tasks + task,
                accuracy=float(part.accuracies[task]),
                episode=part.episodes.part(task, task + 1),
                predicted=part.predicted[task].clone(),
            )
            for task in chosen
        ]
        self.hardest = sorted([*self.hardest, *harder], key=lambda task: (task.accuracy, task.number))[:HARDEST]

    def outcomes(self) -> Outcomes:
        count, queries = len(self.classes), self.reliability[0, :, 0].sum()
        return Outcomes(
            accuracies=torch.cat(self.accuracies),
            classes=self.classes,
            confusion=self.confusion.reshape(count, count),
            class_tasks=self.class_tasks,
            class_sums=self.class_sums,
            reliability=self.reliability,
            nll=self.nll / queries,
            hardest=tuple(self.hardest),
        )


def _confidences(
    shifted: Float[Tensor, "*tasks query way"], temperature: float
) -> tuple[Float[Tensor, "*tasks query"], Float[Tensor, "*tasks query"]]:
    """As `confidences`, of scores minus their largest, which cannot overflow."""
    sums = (shifted / temperature).exp_().sum(-1)
    return sums.reciprocal(), -sums.log()
