"""One classifier on one kind of task with all details: accuracies, classes, calibration, open-set queries, hardest tasks."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float64
from torch import Tensor

from s2m2.errors import InputError
from s2m2.evaluation.accuracies import sampler_for
from s2m2.evaluation.calibration import calibration_error, fit_temperature, score_queries
from s2m2.evaluation.details import (
    Calibration,
    ClassDetails,
    Details,
    HardTaskDetails,
    HardWay,
    OpenSetDetails,
    Reliability,
)
from s2m2.evaluation.features import FeatureSet
from s2m2.evaluation.map_tasks import Scorer
from s2m2.evaluation.open_set import choose_threshold, open_score, open_tasks
from s2m2.evaluation.outcomes import HardTask, Outcomes, measure_outcomes
from s2m2.random import seed_for
from s2m2.tasks.episodes import EpisodeSpec, TaskSource

MAX_SUPPORT, MAX_WRONG = 5, 8
"""Stored images per class of a hard task; further ones are counted only."""
NO_VALIDATION = (
    "There are no validation classes apart from the evaluated ones: no temperature is fitted, and open-set queries are left out, "
    "as no threshold can be chosen."
)
NOT_FITTED = "No temperature is fitted, and open-set queries are left out: "
TWO_SOURCES = f"{NOT_FITTED}queries come from other images than the support, and the validation classes have one source alone."
MIXED_SIZES = f"{NOT_FITTED}the tasks of the file differ in ways, shots or queries a class, so none like them can be sampled."


@dataclass(frozen=True, kw_only=True, eq=False)
class Selection:
    """Classes on which temperature and threshold are chosen, and the tasks for it."""

    validation: FeatureSet | None
    """Features of the validation classes, from the same network; None where there are none but the evaluated ones."""
    tasks: int
    """Validation tasks of each kind; also the number of evaluated tasks with open-set queries."""
    open_set_classes: int
    """Open-set classes of a task; 0: none."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Chooser:
    """Scores a classifier on validation tasks like those evaluated."""

    validation: FeatureSet
    spec: EpisodeSpec
    scorer: Scorer
    selection: Selection
    device: torch.device | str

    def temperature(self) -> float:
        """The temperature fitted on validation tasks.

        Raises:
            InputError: the validation classes are too few or too small.
        """
        spec = replace(self.spec, tasks=self.selection.tasks, seed=seed_for(self.spec.seed, "temperature"))
        scorer = _scorer_on(self.validation, self.scorer, spec)
        source = sampler_for(self.validation, spec)
        return fit_temperature(score_queries(self.validation.features, source, scorer, device=self.device))

    def open_set(self, features: FeatureSet, temperature: float, left_out: list[str]) -> OpenSetDetails | None:
        """Open-set scores of the evaluated classes with a threshold of the validation classes; None with the reason in `left_out`."""
        selection = self.selection
        if self.spec.protocol != "fixed":
            left_out.append(f"Open-set queries are left out: protocol {self.spec.protocol} has none, only fixed.")
            return None
        tasks = []
        # The names of the streams are part of the numbers.
        for purpose, split, subset in (("threshold", "validation", self.validation), ("unknown", "evaluated", features)):
            seed = seed_for(self.spec.seed, purpose)
            spec = replace(self.spec, tasks=selection.tasks, open_set_classes=selection.open_set_classes, seed=seed)
            try:
                source = sampler_for(subset, spec)
            except InputError as error:
                left_out.append(f"Open-set queries are left out: of the {split} classes, {error}.")
                return None
            scorer = _scorer_on(subset, self.scorer, spec)
            tasks.append(open_tasks(subset.features, source, scorer, temperature=temperature, device=self.device))
        threshold = choose_threshold(tasks[0])
        score = open_score(tasks[1], threshold)
        return OpenSetDetails(classes=selection.open_set_classes, tasks=selection.tasks, threshold=threshold, score=score)


def measure_tasks(
    features: FeatureSet,
    spec: EpisodeSpec,
    source: TaskSource,
    scorer: Scorer,
    selection: Selection,
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> tuple[Float64[Tensor, " task"], Details]:
    """Accuracy of each task, and the details.

    Temperature and threshold are chosen on validation tasks of the same kind, with a seed that follows from that of `spec`. What cannot
    be measured is left out, with the reason in the details.

    Args:
        source: the tasks that `spec` describes, sampled or read from a file.
        progress: called with the number of tasks of each finished part of `source`.

    Raises:
        InputError: a task of `source` needs more than there is.
    """
    left_out: list[str] = []
    temperature, open_set = None, None
    similar = _similar_spec(features, spec, selection, left_out)
    chooser = None
    if similar is not None and selection.validation is not None:
        chooser = _Chooser(validation=selection.validation, spec=similar, scorer=scorer, selection=selection, device=device)
        try:
            temperature = chooser.temperature()
        except InputError as error:
            left_out.append(f"{NOT_FITTED}on validation classes, {error}.")
    outcomes = measure_outcomes(
        features.features, features.labels, source, scorer, temperature=temperature or 1.0, device=device, progress=progress
    )
    if chooser is not None and temperature is not None and selection.open_set_classes:
        open_set = chooser.open_set(features, temperature, left_out)
    details = Details(
        classes=_class_details(outcomes, features.class_names),
        confusion=_sparse_confusion(outcomes),
        hardest=tuple(_hard_task_details(task, features) for task in outcomes.hardest),
        calibration=Calibration(
            before=_reliability(outcomes, 0),
            after=_reliability(outcomes, 1) if temperature is not None else None,
            temperature=temperature,
            tasks=selection.tasks if temperature is not None else 0,
        ),
        open_set=open_set,
        left_out=tuple(left_out),
    )
    return outcomes.accuracies, details


def _similar_spec(features: FeatureSet, spec: EpisodeSpec, selection: Selection, left_out: list[str]) -> EpisodeSpec | None:
    """Specification of similar validation tasks; None where there are none, with the reason in `left_out`."""
    if selection.validation is None:
        left_out.append(NO_VALIDATION)
    elif features.for_queries is not None:
        left_out.append(TWO_SOURCES)
    elif spec.protocol != "stored":
        return spec
    elif 0 in (spec.ways, spec.shots, spec.queries):
        left_out.append(MIXED_SIZES)
    else:
        return replace(spec, protocol="fixed")
    return None


def _scorer_on(features: FeatureSet, scorer: Scorer, spec: EpisodeSpec) -> Scorer:
    """The same classifier on other tasks and other features."""
    return replace(scorer, seed=spec.seed, support_features=features.support_features)


def _reliability(outcomes: Outcomes, temperature: int) -> Reliability:
    bins = outcomes.reliability[temperature]
    return Reliability(
        error=calibration_error(bins),
        nll=float(outcomes.nll[temperature]),
        bins=tuple((count, confidence, right) for count, confidence, right in bins.tolist()),
    )


def _class_details(outcomes: Outcomes, names: tuple[str, ...]) -> tuple[ClassDetails, ...]:
    """Every class of an evaluation, in order of class numbers."""
    columns = zip(
        outcomes.classes.tolist(),
        outcomes.class_tasks.tolist(),
        outcomes.class_sums.tolist(),
        outcomes.confusion.sum(1).tolist(),
        outcomes.confusion.diagonal().tolist(),
        strict=True,
    )
    return tuple(
        ClassDetails(name=names[number], tasks=tasks, task_sum=total, queries=queries, right=right)
        for number, tasks, total, queries, right in columns
    )


def _sparse_confusion(outcomes: Outcomes) -> tuple[tuple[int, int, int], ...]:
    """The nonzero entries of the confusion matrix, in order of true classes."""
    positions = outcomes.confusion.nonzero()
    counts = outcomes.confusion[positions[:, 0], positions[:, 1]].tolist()
    return tuple((true, predicted, count) for (true, predicted), count in zip(positions.tolist(), counts, strict=True))


def _hard_task_details(task: HardTask, features: FeatureSet) -> HardTaskDetails:
    """A hard task as indices of the image dataset."""
    episode, ways = task.episode, []
    for way, number in enumerate(episode.classes[0].tolist()):
        support = features.indices[episode.support[0][episode.support_ways[0] == way]].tolist()
        of_way = episode.query_ways[0] == way
        answers = list(zip(features.indices[episode.query[0][of_way]].tolist(), task.predicted[of_way].tolist(), strict=True))
        wrong = [(index, answer) for index, answer in answers if answer != way]
        ways.append(
            HardWay(
                name=features.class_names[number],
                support=tuple(support[:MAX_SUPPORT]),
                wrong=tuple(wrong[:MAX_WRONG]),
                right=len(answers) - len(wrong),
                queries=len(answers),
            )
        )
    return HardTaskDetails(number=task.number, accuracy=task.accuracy, ways=tuple(ways))
