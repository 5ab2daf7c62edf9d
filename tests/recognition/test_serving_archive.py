"""The model to download: what belongs to it, packed once, and no file from elsewhere."""

import asyncio
import io
import shutil
import zipfile
from pathlib import Path

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

from s2m2.recognition.serving.app import create_app
from s2m2.recognition.serving.archive import packed
from s2m2.recognition.serving.shared_model import SharedModel
from tests.recognition.serving_models import ORIGIN, images, local_access, photo, small_limits


def names_in(content: bytes) -> set[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return set(archive.namelist())


def test_only_what_the_model_names_is_packed(client: TestClient, folder: Path) -> None:
    own = {f"colors/{path.name}" for path in folder.iterdir()}
    (folder / "notes.txt").write_text("secret")
    (folder / "backbone").mkdir()  # of no use to this model
    (folder / "backbone" / "x.pt").write_text("x")
    (folder / "link").symlink_to("/etc/passwd")
    assert names_in(client.get("/model.zip").content) == own


def test_the_backbone_that_the_model_names_is_packed(folder: Path) -> None:
    text = (folder / "model.json").read_text()
    (folder / "model.json").write_text(text.replace('"backbone": "efficientnet_lite0"', '"backbone": "backbone"'))
    assert text != (folder / "model.json").read_text()
    (folder / "backbone" / "stage").mkdir(parents=True)
    (folder / "backbone" / "stage" / "best.pt").write_text("x")
    assert "colors/backbone/stage/best.pt" in names_in(b"".join(packed(folder).chunks()))


@pytest.mark.parametrize("name", ["README.md", "images"])
def test_links_are_refused(client: TestClient, folder: Path, name: str) -> None:
    file = next(folder.glob(f"{name}*"))
    moved = shutil.move(file, folder.parent / "elsewhere")
    file.symlink_to(moved)
    response = client.get("/model.zip")
    assert response.status_code == 422
    assert response.json()["detail"] == f"the model cannot be packed: {file.name} is a link; copy the folder with its files"


def test_a_state_is_packed_once(client: TestClient, shared: SharedModel) -> None:
    first = shared.archive()
    assert shared.archive() is first
    client.post("/corrections", files=images(photo("White", 7)), data={"label": "White"})
    assert shared.archive() is not first
    assert len(b"".join(first.chunks())) == first.size  # a download that began before goes on


def test_downloads_count_among_the_requests_that_wait(shared: SharedModel) -> None:
    app = create_app(shared, local_access(), small_limits(max_waiting=1))

    async def both() -> list[int]:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=ORIGIN) as client,
        ):
            return [one.status_code for one in await asyncio.gather(client.get("/model.zip"), client.get("/model.zip"))]

    assert sorted(asyncio.run(both())) == [200, 503]
