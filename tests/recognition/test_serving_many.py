"""Many requests to `s2m2 serve` at once, slow ones, failing ones, and changes in between."""

import asyncio
import time
from pathlib import Path

import httpx2 as httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from s2m2.recognition import ImageClassifier
from s2m2.recognition.serving.app import create_app
from s2m2.recognition.serving.limits import CPU_BATCH
from s2m2.recognition.serving.shared_model import SharedModel
from tests.recognition.serving_models import (
    ORIGIN,
    images,
    local_access,
    network_of,
    photo,
    small_limits,
)


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
    assert max(network_of(shared).batches) == CPU_BATCH


def test_a_request_that_takes_too_long_is_ended(shared: SharedModel) -> None:
    network_of(shared).seconds = 0.5
    responses = answers_of(create_app(shared, local_access(), small_limits(seconds=0.2)), 2)
    assert [one.status_code for one in responses] == [504, 504]
    assert responses[0].json()["detail"] == "this took longer than 0.2 seconds"


def test_a_change_that_has_begun_is_made_and_one_that_waited_too_long_never(
    shared: SharedModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = ImageClassifier.save

    def slow(self: ImageClassifier, folder: Path, *, overwrite: bool = False) -> None:
        time.sleep(1)
        save(self, folder, overwrite=overwrite)

    monkeypatch.setattr(ImageClassifier, "save", slow)
    app = create_app(shared, local_access(), small_limits(seconds=0.5))

    async def both() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url=ORIGIN, timeout=60) as client:
            calls = [client.post("/corrections", files=images(photo("White", seed)), data={"label": f"Class {seed}"}) for seed in (1, 2)]
            done = await asyncio.gather(*calls)
            await asyncio.sleep(1.2)  # what was not cancelled would be made now
            return done

    done = sorted(asyncio.run(both()), key=lambda one: one.status_code)
    assert [one.status_code for one in done] == [200, 504]
    assert done[0].json()["version"] == shared.current.version == 1
    assert len(ImageClassifier.load(folder).classes_) == 4


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
