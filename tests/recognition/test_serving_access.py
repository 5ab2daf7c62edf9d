"""Who may ask `s2m2 serve`: host names, origins and tokens."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from s2m2.errors import InputError
from s2m2.recognition.serving.access import access_for
from s2m2.recognition.serving.app import create_app
from s2m2.recognition.serving.shared_model import SharedModel
from tests.recognition.serving_models import (
    ORIGIN,
    images,
    local_access,
    photo,
    shared_colors,
    small_limits,
)

TOKEN = "a-token-of-24-characters"


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


def test_pages_of_other_sites_may_link_to_the_page_alone(steady: TestClient) -> None:
    headers = {"sec-fetch-site": "cross-site"}
    assert steady.get("/", headers=headers).status_code == 200
    for path in ("/model.zip", "/classes", "/openapi.json", "/thumbnails/x"):
        assert steady.get(path, headers=headers).status_code == 403


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
        signed = client.get(f"/?token={TOKEN}", headers={"sec-fetch-site": "cross-site"})  # a link in a letter
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
    with pytest.raises(InputError, match="--token or S2M2_TOKEN must have 16 to 128 letters, digits, - or _"):
        access_for("127.0.0.1", 8000, token)
