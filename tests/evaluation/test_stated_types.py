"""A file of results whose fields have other types is refused by the name of the field."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest

from s2m2.errors import InputError
from s2m2.evaluation.api import evaluate
from s2m2.evaluation.results import TaskResults, load_results

RESULTS = evaluate(np.random.default_rng(0).normal(size=(60, 4)), np.arange(60) % 6, "nearest_mean", tasks=3, queries=2).results


@pytest.fixture
def as_users_have_it() -> Iterator[None]:
    """Without the checks of annotations, which only tests have."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("as_users_have_it")
@pytest.mark.parametrize(
    ("change", "name"),
    [
        ('"classifier": null', "classifier is None"),
        ('"dataset": ["a"]', r"dataset is \['a'\]"),
        ('"ways": true', "ways is True"),
        ('"ways": 5.5', "ways is 5.5"),
        ('"transforms": [1]', r"transforms is \(1,\)"),
        ('"settings": []', r"settings is \[\]"),
    ],
)
def test_the_wrong_field_is_named(tmp_path: Path, change: str, name: str) -> None:
    text = re.sub(r'"checksum": "\w+", ', "", RESULTS.to_json()).rstrip().removesuffix("}")
    (tmp_path / "r.json").write_text(f"{text}, {change}}}")  # the later of two keys counts
    with pytest.raises(InputError, match=f"r.json holds no results: {name}"):
        load_results(tmp_path / "r.json")


@pytest.mark.parametrize("change", [{}, {"ways": 0, "protocol": "variable"}, {"details": None}, {"concentration": 2.0}])
def test_what_is_written_is_read(change: dict[str, Any]) -> None:
    results = replace(RESULTS, **change)
    assert TaskResults.from_json(results.to_json()) == results
