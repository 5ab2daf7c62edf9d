"""`s2m2 serve` under many requests at once: is every one answered or asked to come back, and how many photos a second are named?

A server in a process of its own with the embedded backbone; its photos are made up. Three questions: one request after another; a
thousand at the same moment, each on a connection of its own; and a thousand that come back as they are told, until all are answered.
"""

import argparse
import asyncio
import io
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles

import httpx2 as httpx
import numpy as np
import torch
from PIL import Image

from s2m2.recognition import ImageClassifier

CLASSES, IMAGES, EDGE = 5, 5, 320
MAX_TRIALS = 200


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One request."""

    seconds: float
    status: str
    """HTTP status, or the exception of a connection that broke."""


def photo(number: int, seed: int) -> bytes:
    """A JPEG of a class: stripes of its own width and color, and noise."""
    generator = np.random.default_rng((number, seed))
    stripes = np.sin(np.arange(EDGE) / (3 + 4 * number) + generator.uniform(0, 6))[None, :, None]
    color = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200], [200, 200, 60], [60, 200, 200]])[number % 5]
    pixels = (color + 50 * stripes + generator.normal(0, 20, (EDGE, EDGE, 3))).clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def fit(folder: Path) -> None:
    """A model of such photos."""
    images = [Image.open(io.BytesIO(photo(number, seed))) for number in range(CLASSES) for seed in range(IMAGES)]
    ImageClassifier().fit(images, [f"class {number}" for number in range(CLASSES) for _ in range(IMAGES)]).save(folder)


PHOTOS = [photo(number % CLASSES, 1000 + number) for number in range(50)]
"""Made beforehand: the client must not be what is measured."""


async def ask(client: httpx.AsyncClient, number: int, *, again: bool) -> Outcome:
    """One photo named; `again`: come back as long as the server asks for it."""
    began = time.perf_counter()
    content = PHOTOS[number % len(PHOTOS)]
    for _ in range(MAX_TRIALS if again else 1):
        try:
            response = await client.post("/predict", files=[("images", ("photo.jpg", content, "image/jpeg"))])
        except httpx.HTTPError as error:
            return Outcome(seconds=time.perf_counter() - began, status=type(error).__name__)
        if response.status_code != 503 or not again:
            break
        await asyncio.sleep(float(response.headers["retry-after"]))
    right = response.status_code != 200 or response.json()["predictions"][0]["probabilities"][0]["label"] == f"class {number % CLASSES}"
    return Outcome(seconds=time.perf_counter() - began, status=str(response.status_code) + ("" if right else " with another class"))


async def one_by_one(client: httpx.AsyncClient, requests: int) -> list[Outcome]:
    return [await ask(client, number, again=False) for number in range(requests)]


async def at_once(client: httpx.AsyncClient, requests: int) -> list[Outcome]:
    return list(await asyncio.gather(*(ask(client, number, again=False) for number in range(requests))))


async def coming_back(client: httpx.AsyncClient, requests: int) -> list[Outcome]:
    return list(await asyncio.gather(*(ask(client, number, again=True) for number in range(requests))))


async def measure(address: str, work: Callable[[httpx.AsyncClient, int], Awaitable[list[Outcome]]], requests: int) -> str:
    """A row of the table."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0 if work is at_once else None)
    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=httpx.Timeout(300)) as client:
        began = time.perf_counter()
        outcomes = await work(client, requests)
        seconds = time.perf_counter() - began
    statuses = ", ".join(f"{number:,} x {status}" for status, number in sorted(Counter(one.status for one in outcomes).items()))
    named = [one.seconds for one in outcomes if one.status.startswith("200")]
    cuts = quantiles(named, n=100)
    rate, middle, late = len(named) / seconds, cuts[49], cuts[98]
    return f"| {work.__name__.replace('_', ' ')} | {requests:,} | {statuses} | {rate:.1f} | {middle:.2f} | {late:.2f} | {seconds:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--sequential", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        fit(folder)
        command = [sys.executable, "-m", "s2m2", "serve", str(folder), "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            lines = [server.stdout.readline(), server.stdout.readline()]
            address = re.search(r"http://\S+", lines[1])
            assert address is not None, lines
            print(f"# Serving, {datetime.now(UTC):%Y-%m-%d}\n")
            print(
                f"{platform.machine()}, {os.cpu_count()} CPU cores, load {os.getloadavg()[0]:.1f} at the start, torch {torch.__version__}, "
            )
            print(f"Python {platform.python_version()}; JPEG of {EDGE} x {EDGE} pixels, one a request; client on the same machine.\n")
            print("| requests | number | answers | photos named/s | median s | 99 % within s | seconds |\n|---|---|---|---|---|---|---|")
            asyncio.run(measure(address[0], one_by_one, 5))  # warm-up
            for work, number in ((one_by_one, options.sequential), (at_once, options.requests), (coming_back, options.requests)):
                print(asyncio.run(measure(address[0], work, number)), flush=True)
            memory = Path(f"/proc/{server.pid}/status")
            if memory.exists():
                peak = re.search(r"VmHWM:\s+(\d+) kB", memory.read_text())
                print(f"\nPeak memory of the server: {int(peak[1]) / 1e6:.2f} GB." if peak else "")
            server.terminate()


if __name__ == "__main__":
    main()
