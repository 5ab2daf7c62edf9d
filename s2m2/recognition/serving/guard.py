"""The door of the server: every request passes `Access`, a limit of size, of time and of requests at once, and every response gets the
headers that keep pages of other sites out.
"""

import asyncio
import contextlib
import json
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from s2m2.recognition.serving.access import OPEN_PATHS, SAFE_METHODS, Access
from s2m2.recognition.serving.limits import MEGA, Limits

SECURITY_HEADERS = (
    (
        "Content-Security-Policy",
        "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), microphone=(), geolocation=()"),
)
"""Photos that the page shows before they are sent are `blob:`."""
ARCHIVE = "/model.zip"
"""The one path for GET that costs something: it counts among the requests that wait."""
NO_STORE = ("Cache-Control", "no-store")
MAX_RETRY_SECONDS = 30
SMOOTHING = 0.1
"""Weight of the last request in the mean time that one takes."""
DRAINED_BODIES = 2
"""A refused body is read and dropped up to this many times the largest one: a browser that is still sending does not see the answer."""
DRAIN_SECONDS = 5.0


class Running:
    """Requests that are being answered; the end of the server cuts them short, so that it never waits for a slow client."""

    def __init__(self) -> None:
        self.ended = False
        self._timeouts: set[asyncio.Timeout] = set()

    def __len__(self) -> int:
        return len(self._timeouts)

    @asynccontextmanager
    async def until(self, seconds: float | None) -> AsyncIterator[None]:
        """A time limit that `end` brings forward; None: no other.

        Raises:
            TimeoutError: the time is over.
        """
        async with asyncio.timeout(seconds) as timeout:
            self._timeouts.add(timeout)
            try:
                yield
            finally:
                self._timeouts.discard(timeout)

    def end(self) -> None:
        """Cut all requests short, now."""
        self.ended = True
        for timeout in list(self._timeouts):
            timeout.reschedule(asyncio.get_running_loop().time())


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, access: Access, limits: Limits, running: Running) -> None:
        self.app, self.access, self.limits, self.running = app, access, limits, running
        self._waiting = 0
        self._seconds = 0.0  # that a request takes at present; with all of them waiting, that is how long their queue is

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            response, safe = _Response(send), scope["method"] in SAFE_METHODS
            try:  # a download may take as long as its network needs
                async with self.running.until(None if safe else self.limits.seconds):
                    await self._answer(scope, receive, response)
            except TimeoutError:
                if not response.started:
                    late = 504, f"this took longer than {self.limits.seconds:g} seconds"
                    status, reason = (503, "the server is ending") if self.running.ended else late
                    await response.problem(status, reason, (("Connection", "close"),))  # the rest of its body is of no use

    async def _answer(self, scope: Scope, receive: Receive, response: "_Response") -> None:
        headers = Headers(scope=scope)
        cookie = self.access.cookie_for(scope["query_string"].decode("latin-1")) if scope["method"] == "GET" else None
        if cookie is not None and scope["path"] == "/" and self.access.refusal("GET", OPEN_PATHS[0], headers) is None:
            await response.problem(303, "", (("Location", "./"), ("Set-Cookie", cookie)))
        elif (refusal := self.access.refusal(scope["method"], scope["path"], headers)) is not None:
            await self._refuse(receive, response, refusal.status, refusal.reason, refusal.headers)
        elif (length := _content_length(headers)) is None or length > self.limits.max_bytes:
            await self._refuse(receive, response, 400 if length is None else 413, self._too_large())
        elif scope["method"] in SAFE_METHODS and scope["path"] != ARCHIVE:
            await self.app(scope, receive, response)
        elif self._waiting >= self.limits.max_waiting or self.running.ended:
            again = (("Retry-After", str(min(max(math.ceil(self._seconds), 1), MAX_RETRY_SECONDS))),)
            await self._refuse(receive, response, 503, "too many requests wait already; send it again in a moment", again)
        else:
            await self._work(scope, receive, response)

    async def _work(self, scope: Scope, receive: Receive, response: "_Response") -> None:
        """Let the application answer a request with a body of limited size."""
        self._waiting += 1
        began, received = time.monotonic(), 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.limits.max_bytes:
                raise HTTPException(413, self._too_large())
            return message

        try:
            await self.app(scope, counted, response)
        finally:
            self._waiting -= 1
            if scope["path"] != ARCHIVE:  # a download takes as long as its network needs
                self._seconds += SMOOTHING * (time.monotonic() - began - self._seconds)

    def _too_large(self) -> str:
        return f"a request may have {self.limits.max_bytes / MEGA:g} MB; send fewer or smaller photos at once"

    async def _refuse(
        self, receive: Receive, response: "_Response", status: int, reason: str, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await _drain(receive, DRAINED_BODIES * self.limits.max_bytes)
        await response.problem(status, reason, headers)


class _Response:
    """`send` with the headers of every response."""

    def __init__(self, send: Send) -> None:
        self._send, self.started = send, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            own = {name.lower() for name, _ in message.get("headers", ())}
            extra = [(name.lower().encode(), value.encode()) for name, value in (*SECURITY_HEADERS, NO_STORE)]
            message["headers"] = [*message.get("headers", ()), *(pair for pair in extra if pair[0] not in own)]
        await self._send(message)

    async def problem(self, status: int, reason: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        """A whole response with a reason, in the form that the application's errors have."""
        body = json.dumps({"detail": reason}).encode() if reason else b""
        pairs = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers]
        encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
        await self({"type": "http.response.start", "status": status, "headers": encoded})
        await self({"type": "http.response.body", "body": body})


def _content_length(headers: Headers) -> int | None:
    """The stated length of the body; 0 where none is stated, None where it is no number."""
    text = headers.get("content-length", "0")
    return int(text) if text.isascii() and text.isdigit() else None


async def _drain(receive: Receive, most: int) -> None:
    while most > 0:
        message = await receive()
        most -= len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
