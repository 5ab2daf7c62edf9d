import pytest

from s2m2.commands.scoring import warn_of_balance
from s2m2.recipe import EvaluateConfig


def test_a_line_for_each_head_and_protocol_that_do_not_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    warn_of_balance(EvaluateConfig(heads=("pt_map", "alpha_tim", "cosine"), protocols=("fixed", "dirichlet", "variable")))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" (")[0] for line in lines] == ["warning: PT-MAP", "warning: PT-MAP"]
    assert "dirichlet" in lines[0]
    assert "variable" in lines[1]


def test_nothing_where_queries_are_balanced(capsys: pytest.CaptureFixture[str]) -> None:
    warn_of_balance(EvaluateConfig(heads=("pt_map", "tim"), protocols=("fixed", "s2m2")))
    assert capsys.readouterr().out == ""
