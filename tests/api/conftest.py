"""Shared by the tests of the front door."""

import jaxtyping
import pytest


@pytest.fixture
def unchecked_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls as users make them, without the tests' own checks of types, which would come first."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
