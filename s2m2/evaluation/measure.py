"""One classifier on one kind of task with everything that results say: accuracies, classes, calibration, unknown classes, hardest tasks."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float64
from torch import Tensor

from s2m2.data.episodes import EpisodeSpec
from s2m2.data.sampling import EpisodeSource
from s2m2.errors import InputError
from s2m2.evaluation.calibration import fit_temperature, score_queries
from s2m2.evaluation.details import (
    Calibration,
    Details,
    Reliability,
    UnknownDetails,
    class_details,
    hard_task_details,
    sparse_confusion,
)
from s2m2.evaluation.engine import Scorer
from s2m2.evaluation.evaluate import sampler_for
from s2m2.evaluation.features import FeatureSet
from s2m2.evaluation.open_set import choose_threshold, open_score, open_tasks
from s2m2.evaluation.outcomes import Outcomes, measure_outcomes
from s2m2.functional.reliability import calibration_error
from s2m2.seeds import seed_for

NO_VALIDATION = (
    "There are no validation classes apart from the evaluated ones: no temperature is fitted, and unknown classes are left out, "
    "as no threshold can be chosen."
)


NOT_FITTED = "No temperature is fitted, and unknown classes are left out: "
TWO_SOURCES = f"{NOT_FITTED}queries come from other images than the support, and the validation classes have one source alone."
UNLIKE_DRAWN = (
    f"{NOT_FITTED}the tasks of the file do not all have the same ways, shots and queries a class, so none like them can be drawn."
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Selection:
    """Classes to choose a temperature and a threshold on, and how."""

    validation: FeatureSet | None
    """Features of the validation classes, made like those evaluated; None where there are none but the evaluated ones."""
    tasks: int
    """Validation tasks of each kind; also the tasks with unknown classes that are scored."""
    unknown: int
    """Unknown classes in a task; 0: none."""


def measure_tasks(
    features: FeatureSet,
    spec: EpisodeSpec,
    source: EpisodeSource,
    scorer: Scorer,
    selection: Selection,
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> tuple[Float64[Tensor, " task"], Details]:
    """Accuracy of each task, and the details.

    Temperature and threshold are chosen on validation tasks of the same kind, whose seed follows from that of `spec`. What cannot
    be measured is left out, and the details say why.

    Args:
        source: the tasks that `spec` describes, drawn or read from a file.
        progress: told the number of tasks of each part of `source` when it is done.

    Raises:
        InputError: a task of `source` needs what there is not.
    """
    left_out: list[str] = []
    drawn = _drawn_like(features, spec, selection, left_out)
    temperature = _temperature(drawn, scorer, selection, device, left_out) if drawn is not None else None
    outcomes = measure_outcomes(
        features.features, features.labels, source, scorer, temperature=temperature or 1.0, device=device, progress=progress
    )
    unknown = None
    if drawn is not None and temperature is not None:
        unknown = _unknown(features, drawn, scorer, selection, temperature, device, left_out)
    details = Details(
        classes=class_details(outcomes, features.class_names),
        confusion=sparse_confusion(outcomes),
        hardest=tuple(hard_task_details(task, features) for task in outcomes.hardest),
        calibration=Calibration(
            before=_reliability(outcomes, 0),
            after=_reliability(outcomes, 1) if temperature is not None else None,
            temperature=temperature,
            tasks=selection.tasks if temperature is not None else 0,
        ),
        unknown=unknown,
        left_out=tuple(left_out),
    )
    return outcomes.accuracies, details


def _drawn_like(features: FeatureSet, spec: EpisodeSpec, selection: Selection, left_out: list[str]) -> EpisodeSpec | None:
    """How to draw validation tasks of the same kind; None where there are none, with the reason in `left_out`."""
    if selection.validation is None:
        left_out.append(NO_VALIDATION)
    elif features.for_queries is not None:
        left_out.append(TWO_SOURCES)
    elif spec.protocol != "stored":
        return spec
    elif 0 in (spec.ways, spec.shots, spec.queries):
        left_out.append(UNLIKE_DRAWN)
    else:
        return replace(spec, protocol="fixed")
    return None


def _temperature(spec: EpisodeSpec, scorer: Scorer, selection: Selection, device: torch.device | str, left_out: list[str]) -> float | None:
    known = selection.validation
    if known is None:
        return None
    chosen = replace(spec, tasks=selection.tasks, seed=seed_for(spec.seed, "temperature"))
    try:
        source = sampler_for(known, chosen)
    except InputError as error:
        left_out.append(f"{NOT_FITTED}on validation classes, {error}.")
        return None
    return fit_temperature(score_queries(known.features, source, _scorer_on(known, scorer, chosen), device=device))


def _unknown(
    features: FeatureSet,
    spec: EpisodeSpec,
    scorer: Scorer,
    selection: Selection,
    temperature: float,
    device: torch.device | str,
    left_out: list[str],
) -> UnknownDetails | None:
    known = selection.validation
    if selection.unknown == 0 or known is None:
        return None
    if spec.protocol != "fixed":
        left_out.append(f"Unknown classes are left out: they are drawn with protocol fixed, not {spec.protocol}.")
        return None
    scores = []
    for purpose, split, dataset in (("threshold", "validation", known), ("unknown", "evaluated", features)):
        chosen = replace(spec, tasks=selection.tasks, unknown=selection.unknown, seed=seed_for(spec.seed, purpose))
        try:
            source = sampler_for(dataset, chosen)
        except InputError as error:
            left_out.append(f"Unknown classes are left out: of the {split} classes, {error}.")
            return None
        scores.append(open_tasks(dataset.features, source, _scorer_on(dataset, scorer, chosen), temperature=temperature, device=device))
    threshold = choose_threshold(scores[0])
    return UnknownDetails(classes=selection.unknown, tasks=selection.tasks, threshold=threshold, score=open_score(scores[1], threshold))


def _scorer_on(dataset: FeatureSet, scorer: Scorer, spec: EpisodeSpec) -> Scorer:
    """The same classifier on other tasks, and on other features."""
    return replace(scorer, seed=spec.seed, support_features=dataset.support_features)


def _reliability(outcomes: Outcomes, place: int) -> Reliability:
    bins = outcomes.reliability[place]
    return Reliability(
        error=calibration_error(bins),
        nll=float(outcomes.nll[place]),
        bins=tuple((count, confidence, right) for count, confidence, right in bins.tolist()),
    )
