"""`import s2m2`: fast, lazy, complete, and the same for type checkers as at run time."""

import ast
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import s2m2

SOURCE = Path(s2m2.__file__)


def imported_by(code: str) -> list[str]:
    """Top-level modules that a fresh interpreter has imported after a statement."""
    program = f"{code}\nimport sys, json; print(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=SOURCE.parents[1])
    return list(json.loads(finished.stdout.splitlines()[-1]))


def test_import_loads_no_library() -> None:
    code = "import time; t = time.perf_counter(); import s2m2; dir(s2m2); s = time.perf_counter() - t; assert s < 0.3, s"
    modules = imported_by(code)
    assert not {"torch", "numpy", "sklearn", "jsonargparse", "rich"} & set(modules)


def test_recipes_and_errors_need_no_torch() -> None:
    assert "torch" not in imported_by("import s2m2; s2m2.Recipe(); s2m2.read_recipe; s2m2.InputError")


@pytest.mark.parametrize("name", s2m2.__all__)
def test_every_public_name_exists(name: str) -> None:
    value = getattr(s2m2, name)
    assert value.__doc__, f"{name} has no docstring"
    assert callable(value)


def test_public_names_are_those_of_type_checkers() -> None:
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    (typed,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = {alias.asname: node.module for node in typed.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imports == s2m2._NAMES
    assert set(s2m2.__all__) == set(imports)
    assert set(s2m2.__all__) <= set(dir(s2m2))
    assert all(find_spec(module) for module in set(imports.values()))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = s2m2.nothing


def test_the_command_line_answers_without_torch() -> None:
    assert "torch" not in imported_by("import s2m2.cli")
    assert os.environ["OMP_NUM_THREADS"] == "1"  # of every process that a test starts
