from dataclasses import replace

import pytest
import torch

from s2m2.evaluation.details import Details
from s2m2.evaluation.features import FeatureSet
from s2m2.evaluation.measure_details import MIXED_SIZES, NO_VALIDATION, TWO_SOURCES, Selection, measure_tasks
from s2m2.tasks.episodes import EpisodeSpec
from s2m2.tasks.sampler import TaskSampler
from tests.evaluation.trials import SPEC, made_up_features, outcomes_of, scorer

NOVEL, VALIDATION = made_up_features(), made_up_features("validation")
SELECTION = Selection(validation=VALIDATION, tasks=40, open_set_classes=2)


def measured(spec: EpisodeSpec = SPEC, selection: Selection = SELECTION, dataset: FeatureSet = NOVEL) -> tuple[torch.Tensor, Details]:
    return measure_tasks(dataset, spec, TaskSampler(dataset.labels, spec), scorer(), selection)


def test_details_follow_from_the_outcomes() -> None:
    (accuracies, details), outcomes = measured(), outcomes_of(NOVEL)
    assert torch.equal(accuracies, outcomes.accuracies)
    assert [entry.name for entry in details.classes] == [f"class {number}" for number in outcomes.classes.tolist()]
    assert [entry.right for entry in details.classes] == outcomes.confusion.diagonal().tolist()
    assert {(true, predicted): count for true, predicted, count in details.confusion} == {
        (true, predicted): int(outcomes.confusion[true, predicted]) for true, predicted in outcomes.confusion.nonzero().tolist()
    }
    assert details.left_out == ()
    hard, task = details.hardest[0], outcomes.hardest[0]
    assert hard.number == task.number
    assert sum(way.right for way in hard.ways) == pytest.approx(hard.accuracy * SPEC.ways * SPEC.queries)
    assert [index for way in hard.ways for index in way.support] == NOVEL.indices[task.episode.support[0]].tolist()
    for number, way in enumerate(hard.ways):
        for index, answer in way.wrong:
            position = task.episode.query[0].tolist().index(index - 100)
            assert task.episode.query_ways[0, position] == number != answer == task.predicted[position]


def test_the_temperature_comes_from_validation_classes_alone() -> None:
    one, other = (
        measured(selection=replace(SELECTION, validation=dataset))[1].calibration for dataset in (VALIDATION, made_up_features("else"))
    )
    assert one.temperature != other.temperature
    assert one.before == other.before
    assert one.after is not None
    assert one.after.nll < one.before.nll
    changed = FeatureSet(**{**vars(NOVEL), "features": NOVEL.features.flip(0)})
    assert measured(dataset=changed)[1].calibration.temperature == one.temperature


def test_the_threshold_comes_from_validation_classes_alone() -> None:
    changed = FeatureSet(**{**vars(NOVEL), "features": NOVEL.features.flip(0)})
    one, other = measured()[1].open_set, measured(dataset=changed)[1].open_set
    assert one is not None
    assert other is not None
    assert one.threshold == other.threshold
    assert one.score != other.score


@pytest.mark.parametrize(
    ("spec", "selection", "reason", "calibrated"),
    [
        (SPEC, replace(SELECTION, validation=None), NO_VALIDATION, False),
        (SPEC, replace(SELECTION, validation=made_up_features("few", classes=2)), "on validation classes, a 3-way task needs 3", False),
        (SPEC, replace(SELECTION, open_set_classes=6), "of the validation classes, a 3-way task with 6 open-set classes needs 9", True),
        (replace(SPEC, protocol="dirichlet"), SELECTION, "protocol dirichlet has none, only fixed", True),
    ],
)
def test_a_measurement_left_out_states_its_reason(spec: EpisodeSpec, selection: Selection, reason: str, calibrated: bool) -> None:
    details = measured(spec, selection)[1]
    assert details.open_set is None
    assert (details.calibration.temperature is not None) == (details.calibration.after is not None) == calibrated
    (message,) = details.left_out
    assert reason in message


def test_a_novel_split_too_small_for_open_set_classes_is_named() -> None:
    selection = replace(SELECTION, open_set_classes=5, validation=made_up_features("many", classes=12))
    details = measured(selection=selection, dataset=made_up_features(classes=7))[1]
    assert "of the evaluated classes, a 3-way task with 5 open-set classes needs 8 classes, but there are 7" in details.left_out[0]


def test_without_open_set_classes_there_are_no_open_set_metrics() -> None:
    details = measured(selection=replace(SELECTION, open_set_classes=0))[1]
    assert details.open_set is None
    assert details.left_out == ()


def test_tasks_of_a_file_are_measured_like_balanced_ones() -> None:
    sampler = TaskSampler(NOVEL.labels, SPEC)
    assert measure_tasks(NOVEL, replace(SPEC, protocol="stored"), sampler, scorer(), SELECTION)[1] == measured()[1]


@pytest.mark.parametrize("size", ["ways", "shots", "queries"])
def test_tasks_of_a_file_that_differ_in_size_leave_temperature_and_open_set_classes_out(size: str) -> None:
    spec = replace(SPEC, protocol="stored", **{size: 0})
    details = measure_tasks(NOVEL, spec, TaskSampler(NOVEL.labels, SPEC), scorer(), SELECTION)[1]
    assert details.left_out == (MIXED_SIZES,)
    assert details.calibration.temperature is details.open_set is None


def test_queries_of_another_source_leave_temperature_and_open_set_classes_out() -> None:
    dataset = replace(NOVEL, for_queries=torch.arange(len(NOVEL.labels)) % 2 == 0)
    sampler = TaskSampler(dataset.labels, replace(SPEC, queries=2), for_queries=dataset.for_queries)
    details = measure_tasks(dataset, sampler.spec, sampler, scorer(), SELECTION)[1]
    assert details.left_out == (TWO_SOURCES,)
    assert details.calibration.temperature is details.open_set is None
