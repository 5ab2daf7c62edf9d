from dataclasses import fields
from typing import Any

import pytest

from s2m2.errors import InputError
from s2m2.recipe import EvaluateConfig

WRONG: list[tuple[str, dict[str, Any]]] = [
    ("soft_kmeans", {"steps": -1}),
    ("soft_kmeans", {"scale": 0.0}),
    ("bd_cspn", {"scale": -1.0}),
    ("bd_cspn", {"pseudo_labels": -1}),
    ("laplacian_shot", {"weight": -0.1}),
    ("laplacian_shot", {"neighbors": 1}),
    ("laplacian_shot", {"steps": 0}),
    ("laplacian_shot", {"tolerance": -1e-9}),
    ("tim", {"scale": 0.0}),
    ("tim", {"conditional": -1.0}),
    ("tim", {"learning_rate": 0.0}),
    ("alpha_tim", {"alpha": 0.0}),
    ("alpha_tim", {"marginal": -1.0}),
    ("alpha_tim", {"steps": -1}),
    ("pt_map", {"power": 1.5}),
    ("pt_map", {"rate": 0.0}),
    ("pt_map", {"scale": 0.0}),
    ("pt_map", {"tolerance": 0.0}),
    ("pt_map", {"steps": -1}),
    ("pt_map", {"iterations": 0}),
    ("transductive_finetuning", {"epochs": -1}),
    ("transductive_finetuning", {"learning_rate": 0.0}),
    ("transductive_finetuning", {"scale": 0.0}),
]


@pytest.mark.parametrize(("head", "setting"), WRONG)
def test_a_setting_out_of_range_is_refused_by_its_flag(head: str, setting: dict[str, Any]) -> None:
    kind = next(field.type for field in fields(EvaluateConfig) if field.name == head)
    assert isinstance(kind, type)
    with pytest.raises(InputError, match=rf"--evaluate\.{head}\.{next(iter(setting))} is .*, but must be "):
        kind(**setting)
