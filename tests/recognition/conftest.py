"""Servers of a small model, for the tests of serving."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from s2m2.recognition.serving.app import create_app
from s2m2.recognition.serving.shared_model import SharedModel
from tests.recognition.serving_models import ORIGIN, local_access, save_colors, shared_colors, small_limits


@pytest.fixture(scope="session")
def saved_colors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_colors(tmp_path_factory.mktemp("models") / "colors")


@pytest.fixture
def folder(saved_colors: Path, tmp_path: Path) -> Path:
    """A copy of its own of the model."""
    return Path(shutil.copytree(saved_colors, tmp_path / "colors"))


@pytest.fixture
def shared(folder: Path) -> SharedModel:
    return shared_colors(folder)


@pytest.fixture
def client(shared: SharedModel) -> Iterator[TestClient]:
    with TestClient(create_app(shared, local_access(), small_limits()), base_url=ORIGIN) as client:
        yield client


@pytest.fixture(scope="module")
def steady(saved_colors: Path) -> Iterator[TestClient]:
    """A server of a model that no test changes."""
    with TestClient(create_app(shared_colors(saved_colors), local_access(), small_limits()), base_url=ORIGIN) as client:
        yield client
