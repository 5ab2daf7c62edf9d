"""`s2m2 serve`: answers, corrections that stay, hostile input, foreign pages, many requests at once."""

import asyncio
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from s2m2.errors import InputError
from s2m2.recognition import ImageClassifier
from s2m2.recognition.serving.access import access_for
from s2m2.recognition.serving.app import create_app
from s2m2.recognition.serving.limits import CPU_BATCH
from s2m2.recognition.serving.shared_model import LOCK, SharedModel, serving_lock
from tests.recognition.serving_models import (
    IMAGES,
    ORIGIN,
    color_pixels,
    local_access,
    network_of,
    photo,
    save_colors,
    shared_colors,
    small_limits,
    tiny_extractor,
)

TOKEN = "a-token-of-24-characters"


@pytest.fixture(scope="session")
def saved_colors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_colors(tmp_path_factory.mktemp("models") / "colors")


@pytest.fixture
def folder(saved_colors: Path, tmp_path: Path) -> Path:
    """A copy of its own of the model."""
    copy = tmp_path / "colors"
    copy.mkdir()
    for file in saved_colors.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


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


def images(*contents: bytes, name: str = "photo.png") -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("images", (name, content, "image/png")) for content in contents]


def counts(answer: Any) -> dict[str, int]:
    return {one["label"]: one["images"] for one in answer["classes"]}


def test_photos_are_named_as_the_model_names_them(client: TestClient, shared: SharedModel) -> None:
    seeds = {"Red": 101, "Green": 102, "Blue": 103}
    answer = client.post("/predict", files=images(*(photo(color, seed) for color, seed in seeds.items()))).json()
    expected = shared.current.model.answers([color_pixels(color, seed) for color, seed in seeds.items()])
    sets = shared.current.model.sets(expected.probabilities, 0.95)
    for position, one in enumerate(answer["predictions"]):
        ranked = {item["label"]: item["probability"] for item in one["probabilities"]}
        assert [ranked[label] for label in expected.classes] == pytest.approx(expected.probabilities[position].tolist(), abs=1e-6)
        assert list(ranked.values()) == sorted(ranked.values(), reverse=True)
        assert (one["label"], one["unknown"], one["error"]) == (expected.labels()[position], bool(expected.unknown[position]), None)
        assert one["probability"] == max(ranked.values())
        assert tuple(one["set"]) == sets[position]


def test_a_photo_of_none_of_the_classes_has_no_label(client: TestClient, shared: SharedModel) -> None:
    gray = photo("Gray")
    assert shared.current.model.answers([color_pixels("Gray", 100)]).unknown.all()
    one = client.post("/predict", files=images(gray), params={"top": 2}).json()["predictions"][0]
    assert (one["label"], one["unknown"], len(one["probabilities"])) == (None, True, 2)


def test_a_new_class_is_learned_undone_and_learned_across_restarts(client: TestClient, folder: Path) -> None:
    white = photo("White", 7)
    before = client.get("/classes").json()
    answer = client.post("/corrections", files=images(white), data={"label": "  Snow \n white "}).json()
    assert counts(answer) == {**counts(before), "Snow white": 1}
    assert answer["last_change"] == "added 1 photo of Snow white"
    assert client.post("/predict", files=images(white)).json()["predictions"][0]["probabilities"][0]["label"] == "Snow white"
    restarted = shared_colors(folder)
    with TestClient(create_app(restarted, local_access(), small_limits()), base_url=ORIGIN) as again:
        assert counts(again.get("/classes").json()) == counts(answer)
        assert counts(again.post("/undo").json()) == counts(before)
        assert again.post("/undo").status_code == 409
    assert counts(TestClientOnce(folder).classes()) == counts(before)


class TestClientOnce:
    """A server that is started for one question."""

    __test__ = False

    def __init__(self, folder: Path) -> None:
        self.app = create_app(shared_colors(folder), local_access(), small_limits())

    def classes(self) -> Any:
        with TestClient(self.app, base_url=ORIGIN) as client:
            return client.get("/classes").json()


def test_photos_old_and_new_get_their_label_in_one_change(client: TestClient) -> None:
    old, new = photo("Red", 0), photo("Red", 55)
    before = counts(client.get("/classes").json())
    answer = client.post("/corrections", files=images(old, new, new), data={"label": "Blue"}).json()
    assert counts(answer) == {**before, "Red": IMAGES - 1, "Blue": IMAGES + 2}
    same = client.post("/corrections", files=images(old, new), data={"label": "Blue"}).json()
    assert (same["version"], counts(same)) == (answer["version"], counts(answer))
    assert counts(client.post("/undo").json()) == before


def test_classes_are_renamed_merged_and_removed(client: TestClient) -> None:
    assert counts(client.post("/classes/rename", json={"label": "Red", "name": "Rouge"}).json())["Rouge"] == IMAGES
    assert counts(client.post("/classes/rename", json={"label": "Rouge", "name": "Blue"}).json()) == {"Blue": 2 * IMAGES, "Green": IMAGES}
    refused = client.post("/classes/remove", json={"label": "Green"})
    assert (refused.status_code, refused.json()["detail"]) == (422, "Green cannot be removed: two classes are needed at least")
    merged = client.post("/classes/rename", json={"label": "Green", "name": "Blue"})
    assert (merged.status_code, merged.json()["detail"]) == (422, "this would leave one class only; two are needed at least")
    client.post("/undo")
    client.post("/undo")
    assert counts(client.post("/classes/remove", json={"label": "Green"}).json()) == {"Red": IMAGES, "Blue": IMAGES}


def test_whole_numbers_stay_whole_numbers(tmp_path: Path) -> None:
    shared = shared_colors(save_colors(tmp_path / "numbers", {"Red": 1, "Green": 2, "Blue": 10}))
    with TestClient(create_app(shared, local_access(), small_limits()), base_url=ORIGIN) as client:
        assert client.post("/predict", files=images(photo("Blue"))).json()["predictions"][0]["probabilities"][0]["label"] == 10
        answer = client.post("/corrections", files=images(photo("Blue")), data={"label": "3"}).json()
        assert list(counts(answer)) == [1, 2, 3, 10]
        refused = client.post("/corrections", files=images(photo("Blue")), data={"label": "blue"})
        assert refused.json()["detail"] == "the classes of this model are whole numbers, but blue is none"


def test_the_downloaded_model_answers_alike(client: TestClient, shared: SharedModel, tmp_path: Path) -> None:
    client.post("/corrections", files=images(photo("White", 7)), data={"label": "White"})
    response = client.get("/model.zip")
    assert response.headers["content-disposition"] == 'attachment; filename="colors.zip"'
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert all(name.startswith("colors/") and not Path(name).name.startswith(".") for name in archive.namelist())
        archive.extractall(tmp_path / "there")
    model = ImageClassifier.load(tmp_path / "there" / "colors")
    model._extractor = tiny_extractor()
    some = [color_pixels(color, 9) for color in ("Red", "White")]
    assert np.array_equal(model.predict_proba(some), shared.current.model.predict_proba(some))


def test_thumbnails_are_those_of_labeled_images(steady: TestClient) -> None:
    summary = steady.get("/classes").json()["classes"][0]
    response = steady.get(f"/thumbnails/{summary['thumbnails'][0]}")
    assert response.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(response.content)).size == (24, 20)
    assert steady.get("/thumbnails/..%2Fmodel.json").status_code == 404


def test_the_interface_describes_itself_and_asks_no_other_host(steady: TestClient) -> None:
    document = steady.get("/openapi.json").json()
    assert {"/predict", "/classes", "/corrections", "/undo", "/health", "/model.zip"} <= set(document["paths"])
    assert "multipart/form-data" in document["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert steady.get("/docs").status_code == steady.get("/redoc").status_code == 404
    for path in ("/", "/page.css", "/page.js", "/icon.svg"):
        response = steady.get(path)
        assert response.headers["content-security-policy"].startswith("default-src 'self'; ")
        outside = response.text.replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in outside
        assert "https://" not in outside


# Hostile input


def png(width: int, height: int, *chunks: tuple[bytes, bytes], depth: int = 8, color: int = 2) -> bytes:
    """A PNG of chunks, whatever its header says."""
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    parts = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in (header, *chunks)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


ZEROS = zlib.compress(bytes(50_000_000), 9)
END = (b"IEND", b"")
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
FORMATS = "it is no JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (EPS, FORMATS),
        (b"", "the file is empty"),
        (b"hello", FORMATS),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", FORMATS),
        (b"\x00\x00\x00\x18ftypheic" + bytes(40), "HEIC is not taken; save the photo as JPEG, PNG, "),
        (photo("Red", kind="PPM"), FORMATS),
        (photo("Red")[:200], "it is damaged: "),
        (photo("Red", kind="JPEG", size=(200, 200))[:500], "it is damaged: "),
        (png(20_000, 10_000, (b"IDAT", ZEROS), END), "a photo may have 1 megapixels"),
        (png(1100, 1000, (b"IDAT", ZEROS), END), "a photo may have 1 megapixels; it has 1,100 x 1,000"),
        (png(10, 10, (b"zTXt", b"a\x00\x00" + ZEROS), (b"IDAT", zlib.compress(bytes(310))), END), "it is damaged: "),
        (png(10, 10, (b"IDAT", zlib.compress(bytes(20))), END), "it is damaged: "),
        (b"\xff\xd8" + photo("Red", kind="JPEG")[2:-2] + b"\xff\xda\x00\x02" * 300 + b"\xff\xd9", "it has more than 200 scans"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
def test_hostile_files_are_refused_in_a_line(steady: TestClient, saved_colors: Path, content: bytes, says: str) -> None:
    before = sorted(saved_colors.iterdir())
    for path, data in (("/predict", {}), ("/corrections", {"label": "Red"})):
        response = steady.post(path, files=images(content), data=data)
        assert response.status_code == 422
        assert response.json()["detail"].startswith(says)
        assert "\n" not in response.json()["detail"]
    assert sorted(saved_colors.iterdir()) == before


def test_a_bad_photo_among_good_ones_does_not_stop_them(steady: TestClient) -> None:
    answer = steady.post("/predict", files=images(photo("Red"), EPS, photo("Blue"))).json()["predictions"]
    assert [one["error"] for one in answer] == [None, FORMATS, None]
    assert [one["probabilities"][0]["label"] for one in answer if not one["error"]] == ["Red", "Blue"]
    refused = steady.post("/corrections", files=images(photo("Red"), EPS), data={"label": "Red"})
    assert refused.json()["detail"] == f"photo 2: {FORMATS}"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_format_of_the_list_is_read(steady: TestClient, kind: str) -> None:
    answer = steady.post("/predict", files=images(photo("Blue", kind=kind))).json()
    assert answer["predictions"][0]["probabilities"][0]["label"] == "Blue"


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/cron.d/x", "..\\..\\x.png", "a\x00b.png", "x" * 500, "con.png"])
def test_names_of_files_never_reach_the_disk(client: TestClient, folder: Path, name: str) -> None:
    response = client.post("/corrections", files=images(photo("White", 3), name=name), data={"label": "../../White"})
    assert counts(response.json())["../../White"] == 1
    names = sorted(path.relative_to(folder.parent).as_posix() for path in folder.parent.rglob("*") if path.is_file())
    assert all(one in ("colors/README.md", "colors/model.json") or one.startswith("colors/images-") for one in names)
    assert name not in json.loads((folder / "model.json").read_text())["names"]


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ("", "the label is empty"),
        (" \t\n ", "the label is empty"),
        ("a" * 101, "the label has 101 characters, but may have 100"),
        ("a\x1b[31mb", "the label has characters that cannot be seen"),
        ("a\u202eb", "the label has characters that cannot be seen"),
    ],
)
def test_labels_of_no_use_are_refused(steady: TestClient, label: str, says: str) -> None:
    for response in (
        steady.post("/corrections", files=images(photo("Red")), data={"label": label}),
        steady.post("/classes/rename", json={"label": "Red", "name": label}),
    ):
        assert (response.status_code, response.json()["detail"]) == (422, says)


@pytest.mark.parametrize(
    ("call", "status", "says"),
    [
        ({"content": b"x" * 400_001}, 413, "a request may have 0.4 MB; send fewer or smaller photos at once"),
        (
            {"content": iter([b"x" * 100_000] * 6), "headers": {"content-type": "multipart/form-data; boundary=b"}},
            413,
            "a request may have",
        ),
        ({"content": b"x", "headers": {"content-length": "-1"}}, 400, "a request may have"),
        ({"files": images(*[b"x"] * 5)}, 413, "a request may have 4 photos; send the others in another one"),
        ({"files": [("other", ("a.png", b"x", "image/png"))]}, 422, "there is no photo; send one or more files as images"),
        ({"json": {"images": []}}, 422, "send multipart/form-data with one or more files as images"),
        ({"content": b"--b\r\nnonsense", "headers": {"content-type": "multipart/form-data; boundary=b"}}, (400, 422), ""),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, ""),
        ({"files": images(photo("Red")), "params": {"top": "0"}}, 422, "top: "),
    ],
)
def test_requests_of_no_use_are_refused(steady: TestClient, call: dict[str, Any], status: int | tuple[int, ...], says: str) -> None:
    response = steady.post("/predict", **call)
    assert response.status_code in (status if isinstance(status, tuple) else (status,))
    assert response.json()["detail"].startswith(says)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"label": "Red"}', b'{"label": {}, "name": "x"}', b'{"label": "Gone", "name": "x"}'])
def test_wrong_json_is_one_line(steady: TestClient, body: bytes) -> None:
    response = steady.post("/classes/rename", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert isinstance(response.json()["detail"], str)


# Who may ask


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": ORIGIN}, 200),
        ({"host": "localhost:9", "origin": "http://localhost:9"}, 200),
        ({"host": "[::1]:8000"}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:8001"}, 403),
        ({"origin": "http://127.0.0.1:8000@evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"host": "evil.example:8000"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"host": "192.168.0.7"}, 421),
        ({"host": "evil@127.0.0.1"}, 421),
        ({"host": "[::1"}, 421),
        ({"host": ""}, 421),
    ],
    ids=str,
)
def test_pages_of_other_sites_are_refused(steady: TestClient, headers: dict[str, str], status: int) -> None:
    for path in ("/predict", "/corrections"):  # the photo is that of the model, so that nothing changes
        assert steady.post(path, files=images(photo("Red", 0)), data={"label": "Red"}, headers=headers).status_code == status
    if status == 421:
        assert steady.get("/classes", headers=headers).status_code == steady.get("/health", headers=headers).status_code == 421


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": f"Bearer {TOKEN}"}, 200),
        ({"authorization": f"bearer {TOKEN}"}, 200),
        ({"cookie": f"other=1; s2m2_8000={TOKEN}"}, 200),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": f"Bearer {TOKEN}x"}, 401),
        ({"authorization": f"Basic {TOKEN}"}, 401),
        ({"authorization": "Bearer \xff".encode("latin-1")}, 401),
        ({"cookie": f"s2m2_8001={TOKEN}"}, 401),
        ({"cookie": "s2m2_8000="}, 401),
    ],
    ids=str,
)
def test_a_token_is_asked_for_where_there_is_one(saved_colors: Path, headers: Any, status: int) -> None:
    with TestClient(create_app(shared_colors(saved_colors), local_access(TOKEN), small_limits()), base_url=ORIGIN) as client:
        for path in ("/", "/classes", "/openapi.json", "/model.zip", "/page.js"):
            assert client.get(path, headers=headers).status_code == status
        assert client.post("/undo", headers=headers).status_code == (401 if status == 401 else 409)
        assert client.get("/health", headers=headers).status_code == 200


def test_the_printed_address_signs_a_browser_in(shared: SharedModel) -> None:
    with TestClient(create_app(shared, local_access(TOKEN), small_limits()), base_url=ORIGIN, follow_redirects=False) as client:
        assert client.get("/?token=wrong-token-of-24-char").status_code == 401
        signed = client.get(f"/?token={TOKEN}")
        assert (signed.status_code, signed.headers["location"]) == (303, "./")
        assert "HttpOnly; SameSite=Lax" in signed.headers["set-cookie"]
        assert client.get("/").status_code == client.get("/classes").status_code == 200
        assert client.get(f"/?token={TOKEN}", headers={"host": "evil.example"}).status_code == 421


@pytest.mark.parametrize(
    ("host", "header", "answers"),
    [
        ("0.0.0.0", "192.168.0.7:8000", True),
        ("0.0.0.0", "evil.example", False),
        ("0.0.0.0", "birds.example", True),
        ("birds.local", "birds.local:8000", True),
        ("::1", "[::1]:8000", True),
        ("::1", "10.0.0.1", False),
    ],
)
def test_a_server_answers_to_its_own_names(host: str, header: str, answers: bool) -> None:
    access = access_for(host, 8000, None, ("birds.example",))
    assert (access.token is None) == (host == "::1")
    refusal = access.refusal("GET", "/health", {"host": header})
    assert (refusal is None) == answers


@pytest.mark.parametrize("token", ["", "short", "with space in the middle", "ümlaut-ümlaut-ümlaut", 'quote"quote"quote"quote'])
def test_weak_tokens_are_refused(token: str) -> None:
    with pytest.raises(InputError, match="--token must have 16 to 128 letters, digits, - or _"):
        access_for("127.0.0.1", 8000, token)


# Many at once


def answers_of(app: FastAPI, requests: int, path: str = "/predict") -> list[httpx.Response]:
    """Responses of as many requests at the same time."""

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url=ORIGIN, timeout=60) as client:
            colors = ("Red", "Green", "Blue")
            calls = (client.post(path, files=images(photo(colors[number % 3], number)), data={}) for number in range(requests))
            return list(await asyncio.gather(*calls))

    return asyncio.run(ask())


def test_200_requests_are_answered_in_batches_or_asked_to_come_back(shared: SharedModel) -> None:
    network_of(shared).seconds = 0.02
    responses = answers_of(create_app(shared, local_access(), small_limits(max_waiting=50, batch_wait=0.02)), 200)
    answered = [(number, one) for number, one in enumerate(responses) if one.status_code == 200]
    refused = [one for one in responses if one.status_code == 503]
    assert len(answered) + len(refused) == 200
    assert len(answered) >= 50
    assert refused
    assert all(int(one.headers["retry-after"]) >= 1 and "send it again" in one.json()["detail"] for one in refused)
    for number, one in answered:
        assert one.json()["predictions"][0]["probabilities"][0]["label"] == ("Red", "Green", "Blue")[number % 3]
    assert sum(network_of(shared).batches) == len(answered)
    assert max(network_of(shared).batches) > 4
    assert max(network_of(shared).batches) <= CPU_BATCH


def test_a_request_that_takes_too_long_is_ended(shared: SharedModel) -> None:
    network_of(shared).seconds = 0.5
    responses = answers_of(create_app(shared, local_access(), small_limits(seconds=0.2)), 2)
    assert [one.status_code for one in responses] == [504, 504]
    assert responses[0].json()["detail"] == "this took longer than 0.2 seconds"


def test_a_failing_network_fails_its_requests_alone(shared: SharedModel) -> None:
    app = create_app(shared, local_access(), small_limits())
    with TestClient(app, base_url=ORIGIN, raise_server_exceptions=False) as client:
        network_of(shared).fails = True
        assert client.post("/predict", files=images(photo("Red"))).status_code == 500
        network_of(shared).fails = False
        assert client.post("/predict", files=images(photo("Red"))).status_code == 200


def test_predictions_go_on_while_the_model_changes(shared: SharedModel) -> None:
    app = create_app(shared, local_access(), small_limits(max_waiting=200))

    async def both() -> tuple[list[httpx.Response], list[httpx.Response]]:
        transport = httpx.ASGITransport(app=app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url=ORIGIN, timeout=60) as client:
            changes = [
                client.post("/corrections", files=images(photo("White", number)), data={"label": f"Class {number}"}) for number in range(6)
            ]
            reads = [client.post("/predict", files=images(photo("Red", number))) for number in range(60)]
            done = await asyncio.gather(*changes, *reads)
            return done[:6], done[6:]

    changes, reads = asyncio.run(both())
    assert [one.status_code for one in changes] == [200] * 6
    assert len(shared.current.model.classes_) == 9
    for one in reads:
        prediction = one.json()["predictions"][0]
        assert len(prediction["probabilities"]) == 3 + one.json()["version"]
        assert sum(item["probability"] for item in prediction["probabilities"]) == pytest.approx(1)


# The folder


def test_a_change_that_cannot_be_saved_changes_nothing(client: TestClient, shared: SharedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: ImageClassifier, folder: Path, *, overwrite: bool = False) -> None:
        raise InputError(f"{folder} cannot be written: No space left on device")

    before = client.get("/classes").json()
    with monkeypatch.context() as patch:
        patch.setattr(ImageClassifier, "save", full)
        refused = client.post("/corrections", files=images(photo("Red", 77)), data={"label": "Blue"})
    assert refused.status_code == 422
    assert "No space left" in refused.json()["detail"]
    assert client.get("/classes").json() == before
    assert client.post("/corrections", files=images(photo("Red", 77)), data={"label": "Blue"}).status_code == 200


def test_what_another_program_wrote_is_not_overwritten(client: TestClient, folder: Path) -> None:
    other = ImageClassifier.load(folder)
    other._extractor = tiny_extractor()
    other.rename_class("Red", "Rouge").save(folder, overwrite=True)
    refused = client.post("/corrections", files=images(photo("Red", 77)), data={"label": "Blue"})
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "another program has changed the model's folder; start `s2m2 serve` again",
    )
    assert "Rouge" in ImageClassifier.load(folder).classes_


def test_a_folder_is_served_once_at_a_time(folder: Path) -> None:
    with serving_lock(folder):
        with pytest.raises(InputError, match="colors is served already; stop that one, or copy the folder"), serving_lock(folder):
            pass
        assert (folder / LOCK).exists()
    assert not (folder / LOCK).exists()
    with serving_lock(folder):
        pass


def test_a_model_of_features_is_refused(tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    ImageClassifier("features").fit(features, ["a", "b"] * 3).save(tmp_path / "model")
    with pytest.raises(InputError, match="model takes features, not images"):
        SharedModel(tmp_path / "model")
