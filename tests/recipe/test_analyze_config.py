import pytest

from s2m2.errors import InputError
from s2m2.recipe import AnalyzeConfig


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("classes", 1), ("images", 1), ("predictions", 0), ("batch_size", 0), ("seed", -1), ("temperature", 0.0),
        ("epsilons", (0.0, 1.0)), ("epsilons", (2.0, 1.0)), ("epsilons", (1.0, 1.0)), ("epsilons", (1.0, 300.0)), ("epsilons", (-1.0,)),
    ],
)  # fmt: skip
def test_a_setting_out_of_range_is_named(flag: str, value: object) -> None:
    with pytest.raises(InputError, match=f"--analyze.{flag} is"):
        AnalyzeConfig(**{flag: value})


def test_what_is_in_range_is_taken() -> None:
    assert AnalyzeConfig(epsilons=(), temperature=100.0).epsilons == ()
    assert AnalyzeConfig(epsilons=(0.1, 255.0), classes=2, images=2).epsilons == (0.1, 255.0)
