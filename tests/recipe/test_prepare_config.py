import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from s2m2.errors import InputError
from s2m2.recipe import PrepareConfig


@pytest.mark.parametrize(
    "wrong",
    [{"size": 0}, {"size": 5000}, {"seed": -1}, {"workers": -1}, {"name": " "}, {"splits": ""}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_value_out_of_range_is_an_error_naming_the_flag(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"--{next(iter(wrong))} is "):
        PrepareConfig(source=Path("a"), output=Path("b"), **wrong)


def test_the_settings_import_no_torch() -> None:
    script = "import sys, s2m2.recipe.preparation; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
