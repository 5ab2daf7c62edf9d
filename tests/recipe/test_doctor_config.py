import pytest

from s2m2.errors import InputError
from s2m2.recipe import DoctorConfig


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("ways", 0),
        ("shots", 0),
        ("queries", 0),
        ("seed", -1),
        ("images", -1),
        ("images", 101),
        ("workers", -1),
        ("workers", 257),
        ("output", "report.txt"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(flag: str, value: object) -> None:
    with pytest.raises(InputError, match=f"--{flag} is {value}"):
        DoctorConfig(data="glyphs", **{flag: value})  # type: ignore[arg-type]


def test_the_page_may_be_left_out() -> None:
    assert DoctorConfig(data="glyphs", output=None).output is None
