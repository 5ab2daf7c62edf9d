import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from s2m2.analysis.weights import changed_stages, finished_stages, weights_digest
from s2m2.errors import InputError
from s2m2.files import write_text
from s2m2.runs.checkpoint import Outcome, save_outcome
from s2m2.runs.directory import RunDirectory
from tests.reporting.made_up_analysis import made_up_analysis


def test_a_stage_is_known_by_the_file_of_its_best_weights(tmp_path: Path) -> None:
    run, analysis = RunDirectory(tmp_path), made_up_analysis(headed=False)
    initial, pretrain, finetune = analysis.stages
    assert finished_stages(run) == []
    assert changed_stages(run, replace(analysis, stages=(initial,))) == []
    assert changed_stages(run, analysis) == ["pretrain", "finetune"]
    with pytest.raises(InputError, match=r"best\.safetensors cannot be read"):
        weights_digest(run, "finetune")
    write_text(run.best("finetune"), "weights")
    assert changed_stages(run, replace(analysis, stages=(initial,))) == []  # the stage has not ended
    save_outcome(run.outcome("finetune"), Outcome(epochs=1, best_epoch=1))
    assert finished_stages(run) == ["finetune"]
    assert changed_stages(run, replace(analysis, stages=(initial,))) == ["finetune"]
    known = replace(finetune, fingerprint=hashlib.sha256(b"weights").hexdigest())
    assert changed_stages(run, replace(analysis, stages=(initial, known))) == []
    assert changed_stages(run, replace(analysis, stages=(pretrain, known))) == ["pretrain"]
