"""How long the search takes: the same examples at every start, or more of them with `pytest tests/fuzz --hypothesis-profile=long`."""

import tempfile
from collections.abc import Iterator

import jaxtyping
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

set_hypothesis_home_dir(tempfile.mkdtemp(prefix="hypothesis"))  # nothing in the working directory
COMMON = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("short", settings(max_examples=60, derandomize=True, **COMMON))
settings.register_profile("long", settings(max_examples=1_000, print_blob=True, **COMMON))
settings.load_profile("short")


@pytest.fixture(autouse=True, scope="package")
def as_users_have_it() -> Iterator[None]:
    """Without the checks of annotations, which only tests have: they would answer before our own."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
