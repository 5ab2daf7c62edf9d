import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from s2m2.analysis.measurements import OLDER_KEYS, changed_stages, finished_stages, load_analysis, save_analysis, weights_digest
from s2m2.errors import InputError
from s2m2.io import write_text
from s2m2.runs.checkpoint import Outcome, save_outcome
from s2m2.runs.directory import RunDirectory
from tests.reports.made_up_analysis import made_up_analysis


@pytest.mark.parametrize("parts", [{}, {"corrupted": False, "novel": False}, {"headed": False}])
def test_an_analysis_comes_back_as_it_was(tmp_path: Path, parts: dict[str, bool]) -> None:
    analysis = made_up_analysis(**parts)
    save_analysis(tmp_path / "analysis.json", analysis)
    found = load_analysis(tmp_path / "analysis.json")
    assert found is not None
    assert found.stages == analysis.stages
    assert (found.created, found.digest, found.base_from, found.head_from) == (
        analysis.created, analysis.digest, analysis.base_from, analysis.head_from,
    )  # fmt: skip
    assert found.settings["epsilons"] == list(analysis.settings["epsilons"])


def test_without_a_file_there_is_none(tmp_path: Path) -> None:
    assert load_analysis(tmp_path / "analysis.json") is None


@pytest.mark.parametrize("damage", ["{", "[]", "{}", '{"format": 7}', "cut", "more", "no stages", "another stage", "no date"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "analysis.json"
    save_analysis(path, made_up_analysis())
    whole = path.read_text()
    stated = json.loads(whole)
    if damage == "more":
        stated["stages"][0]["base"]["layers"][0]["unheard_of"] = 1
    if damage == "no stages":
        stated["stages"] = []
    if damage == "another stage":
        stated["stages"][0]["name"] = "third"
    if damage == "no date":
        stated["created"] = "yesterday"
    if stated != json.loads(whole):
        damage = json.dumps(stated)
    path.write_text(whole[:500] if damage == "cut" else damage)
    with pytest.raises(InputError, match=r"analysis\.json is damaged .*; `s2m2 analyze` replaces it$"):
        load_analysis(path)


def test_a_file_of_the_older_format_is_read(tmp_path: Path) -> None:
    analysis, path = made_up_analysis(), tmp_path / "analysis.json"
    save_analysis(path, analysis)
    text = re.sub(r'"checksum": "\w+",', "", path.read_text()).replace('"format": 2', '"format": 1')
    for older, key in OLDER_KEYS.items():
        assert f'"{key}":' in text
        text = text.replace(f'"{key}":', f'"{older}":')
    path.write_text(text)
    loaded = load_analysis(path)
    assert loaded is not None
    assert loaded.stages == analysis.stages
    assert loaded.settings["images"] == analysis.settings["images"]


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
