"""Which weights of a run there are to analyze, and whether an analysis is of them."""

import hashlib

from s2m2.analysis.results import TRAINED, Analysis, StageName
from s2m2.errors import InputError
from s2m2.runs.checkpoint import load_outcome
from s2m2.runs.directory import RunDirectory


def finished_stages(run: RunDirectory) -> list[StageName]:
    """Training stages that are finished, in their order.

    Raises:
        InputError: the outcome of one is damaged.
    """
    return [name for name in TRAINED if load_outcome(run.outcome(name)) is not None]


def weights_digest(run: RunDirectory, stage: str) -> str:
    """SHA-256 of the file of a stage's best weights, hexadecimal.

    Raises:
        InputError: there is no such file.
    """
    try:
        with run.best(stage).open("rb") as stored:
            return hashlib.file_digest(stored, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{run.best(stage)} cannot be read: {error.strerror}") from error


def changed_stages(run: RunDirectory, analysis: Analysis) -> list[StageName]:
    """Training stages whose weights are no longer, or not yet, those that were measured, in their order."""
    measured = {stage.name: stage.fingerprint for stage in analysis.stages}
    finished = finished_stages(run)
    return [name for name in TRAINED if measured.get(name) != (_known_digest(run, name) if name in finished else None)]


def _known_digest(run: RunDirectory, stage: str) -> str:
    return weights_digest(run, stage) if run.best(stage).is_file() else "gone"
