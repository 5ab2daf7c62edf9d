import json
from pathlib import Path

import pytest

from s2m2.analysis.results import load_analysis, save_analysis
from s2m2.errors import InputError
from tests.reporting.made_up_analysis import made_up_analysis


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
