"""`Outcomes`: what is kept of all tasks of an evaluation in one pass, beyond the accuracy of each."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from s2m2.data.episodes import UNKNOWN, EpisodeIndices
from s2m2.data.sampling import EpisodeSource
from s2m2.evaluation.engine import Scorer, map_tasks
from s2m2.functional.reliability import BINS, reliability_bins

HARDEST = 10
"""Tasks of lowest accuracy that are kept whole."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HardTask:
    """One task and what the classifier made of it."""

    number: int
    """Place of the task among those of the evaluation."""
    accuracy: float
    episode: EpisodeIndices
    """The task alone."""
    predicted: Int64[Tensor, " query"]
    """Predicted way of each query."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcomes:
    """What a classifier did on the tasks of an evaluation. Queries of unknown classes are in none of it."""

    accuracies: Float64[Tensor, " task"]
    """A fraction of the queries of each task."""
    classes: Int64[Tensor, " class"]
    """Class numbers, ascending; the order of the following."""
    confusion: Int64[Tensor, "class class"]
    """Queries by true class, then by predicted class."""
    class_tasks: Int64[Tensor, " class"]
    """Tasks that had the class."""
    class_sums: Float64[Tensor, " class"]
    """Sum of their accuracies."""
    reliability: Float64[Tensor, "temperature bin 3"]
    """Of the queries in each bin of confidence: their number, the sum of their confidences, and how many are right. First at
    temperature 1, then at the one that was asked for."""
    nll: Float64[Tensor, " temperature"]
    """Mean negative log-likelihood of a query, in nats, at the same temperatures."""
    hardest: tuple[HardTask, ...]
    """Lowest accuracy first; of equal ones the earlier first."""


def task_accuracies(episodes: EpisodeIndices, scores: Float[Tensor, "task query way"]) -> Float64[Tensor, " task"]:
    """Share of the queries whose own way has the highest score; those of unknown classes do not count."""
    asked = episodes.query_ways != UNKNOWN
    right = (scores.argmax(-1).cpu() == episodes.query_ways) & asked
    return right.sum(1).double() / asked.sum(1)


def confidences(
    scores: Float[Tensor, "*tasks query way"], temperature: float
) -> tuple[Float[Tensor, "*tasks query"], Float[Tensor, "*tasks query"]]:
    """Largest softmax probability of each query and its logarithm, at a temperature that the scores are divided by."""
    return _confidences(scores - scores.amax(-1, keepdim=True), temperature)


def measure_outcomes(
    features: Float[Tensor, "row dim"],
    labels: Int64[Tensor, " row"],
    source: EpisodeSource,
    scorer: Scorer,
    *,
    temperature: float = 1.0,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Outcomes:
    """All tasks of a source through a classifier.

    Args:
        labels: class number of each row of the features.
        temperature: scores are divided by it before the second of the two softmaxes.
        progress: told the number of tasks of each part when it is done.

    Raises:
        InputError: a task needs what there is not.
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
    """What is kept of a part of a block."""

    accuracies: Float64[Tensor, " task"]
    places: Int64[Tensor, "task way"]
    """Of the classes of each task among all classes."""
    pairs: Int64[Tensor, " known"]
    """True class times the number of classes, plus predicted class, as places."""
    reliability: Float64[Tensor, "temperature bin 3"]
    nll: Float64[Tensor, " temperature"]
    """Summed over queries."""
    episodes: EpisodeIndices
    predicted: Int64[Tensor, "task query"]


class _Reduce:
    """Reduces the scores of a part; several threads use it at once, so it changes nothing of its own."""

    def __init__(self, classes: Int64[Tensor, " class"], temperature: float) -> None:
        self.count, self.temperatures = len(classes), (1.0, temperature)
        self.place = torch.zeros(int(classes.max()) + 1, dtype=torch.int64)
        self.place[classes] = torch.arange(len(classes))

    def __call__(self, episodes: EpisodeIndices, scores: Float[Tensor, "task query way"]) -> _Part:
        scores = scores.cpu()
        predicted, ways = scores.argmax(-1), episodes.query_ways
        asked = ways != UNKNOWN
        everything = bool(asked.all())
        right = (predicted == ways) & asked
        accuracies = right.sum(1).double() / asked.sum(1)
        places = self.place[episodes.classes]
        pairs = places.gather(1, ways.clamp(min=0)) * self.count + places.gather(1, predicted)
        below = scores - scores.amax(-1, keepdim=True)
        own = below.gather(-1, ways.clamp(min=0)[..., None])[..., 0]
        reliability, nll = [], []
        for temperature in self.temperatures:
            confidence, logarithm = _confidences(below, temperature)
            loss = -logarithm - own / temperature
            of_all = (confidence, right, loss) if everything else (confidence[asked], right[asked], loss[asked])
            reliability.append(reliability_bins(of_all[0].flatten(), of_all[1].flatten()))
            nll.append(of_all[2].sum(dtype=torch.float64))
        return _Part(
            accuracies=accuracies,
            places=places,
            pairs=pairs.flatten() if everything else pairs[asked],
            reliability=torch.stack(reliability),
            nll=torch.stack(nll),
            episodes=episodes,
            predicted=predicted,
        )


class _Total:
    """Adds up the parts in order."""

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
        places = part.places.flatten()
        self.class_tasks.index_add_(0, places, torch.ones_like(places))
        self.class_sums.index_add_(0, places, part.accuracies.repeat_interleave(part.places.shape[1]))
        self.reliability += part.reliability
        self.nll += part.nll
        self.accuracies.append(part.accuracies)
        self._keep_hardest(part)
        self.tasks += len(part.accuracies)

    def _keep_hardest(self, part: _Part) -> None:
        """Hardly ever does a part have one, once there are ten: what is copied for them costs nothing then."""
        worst = self.hardest[-1].accuracy if len(self.hardest) == HARDEST else 2.0
        if float(part.accuracies.min()) >= worst:
            return
        chosen = [task for task in part.accuracies.argsort(stable=True)[:HARDEST].tolist() if part.accuracies[task] < worst]
        found = [
            HardTask(
                number=self.tasks + task,
                accuracy=float(part.accuracies[task]),
                episode=part.episodes.part(task, task + 1),
                predicted=part.predicted[task].clone(),
            )
            for task in chosen
        ]
        self.hardest = sorted([*self.hardest, *found], key=lambda task: (task.accuracy, task.number))[:HARDEST]

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
    below: Float[Tensor, "*tasks query way"], temperature: float
) -> tuple[Float[Tensor, "*tasks query"], Float[Tensor, "*tasks query"]]:
    """The same of scores less their largest one, which cannot overflow."""
    sums = (below / temperature).exp_().sum(-1)
    return sums.reciprocal(), -sums.log()
