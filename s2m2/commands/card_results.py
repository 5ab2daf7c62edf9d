"""The results of a run that a model card may show."""

from datetime import UTC, datetime

from s2m2.evaluation.results import TaskResults
from s2m2.evaluation.trained import TrainedBackbone
from s2m2.reporting.report import read_results
from s2m2.reporting.score_table import newest_results
from s2m2.runs.directory import RunDirectory


def results_of(run: RunDirectory, trained: TrainedBackbone) -> tuple[tuple[TaskResults, ...], int]:
    """The results of a run that are of these weights and no others, the newest of each kind; and how many of the stage are left out.

    Where results state a fingerprint that can be made again, it has to be that of the weights; those of support crops and of a query
    dataset only have to be younger than the end of the stage, and the newest of them count, as in the report.
    """
    of_stage = [result for result in read_results(run) if result.features.split("-")[0] == trained.stage]
    ended = int(run.outcome(trained.stage).stat().st_mtime)
    places = {(result.data_digest, result.split) for result in of_stage if _states_weights(result, trained.stage)}
    prints = {place: trained.fingerprint_on(*place) for place in places}
    own = []
    for result in of_stage:
        if _states_weights(result, trained.stage):
            fits = result.fingerprint == prints[result.data_digest, result.split]
        else:
            fits = "-ensemble" not in result.features and _seconds(result) >= ended
        own += [result] if fits else []
    kept, older = newest_results(own)
    return tuple(kept), len(of_stage) - len(own) + older


def _states_weights(result: TaskResults, stage: str) -> bool:
    return result.features == stage and "+" not in result.data_digest


def _seconds(result: TaskResults) -> float:
    """When results were made, in seconds since 1970; 0 where they do not say."""
    try:
        made = datetime.fromisoformat(result.created)
    except ValueError:
        return 0.0
    return (made if made.tzinfo else made.replace(tzinfo=UTC)).timestamp()
