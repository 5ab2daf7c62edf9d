"""Connections to `s2m2 serve` that send their headers slowly, or never."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from s2m2.commands.serving import listen
from s2m2.recognition.serving import connections
from s2m2.recognition.serving.access import access_for
from s2m2.recognition.serving.app import create_app
from s2m2.recognition.serving.server import Server
from tests.recognition.serving_models import shared_colors, small_limits

SECONDS = 0.6
REQUEST = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n"


@pytest.fixture
def port(saved_colors: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Of a server that waits as long for a header."""
    monkeypatch.setattr(connections, "HEADER_SECONDS", SECONDS)
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        server = Server(create_app(shared_colors(saved_colors), access_for("127.0.0.1", port, None), small_limits()))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield port
        server.should_exit = True
        thread.join()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def closed_after(connection: socket.socket, drip: bytes) -> float:
    """Seconds until the server closes a connection to which the bytes go one at a time, and then none."""
    began = time.monotonic()
    for number in range(len(drip)):
        try:
            connection.sendall(drip[number : number + 1])
        except OSError:  # closed meanwhile
            break
        time.sleep(0.05)
    try:
        while connection.recv(1000):
            pass
    except ConnectionResetError:
        pass
    return time.monotonic() - began


def answer(connection: socket.socket, port: int) -> bytes:
    connection.sendall(REQUEST % port)
    received = b""
    while b"}" not in received:
        received += connection.recv(1000)
    return received


@pytest.mark.parametrize("drip", [b"", b"GET /hea", REQUEST * 20])
def test_a_header_that_comes_too_slowly_ends_the_connection(port: int, drip: bytes) -> None:
    with connected(port) as connection:
        assert SECONDS - 0.1 <= closed_after(connection, drip) < 10 * SECONDS


def test_a_later_request_of_a_connection_has_the_same_limit_and_a_pause_between_two_has_none(port: int) -> None:
    with connected(port) as connection:
        assert b"200 OK" in answer(connection, port)
        time.sleep(2 * SECONDS)
        assert b"200 OK" in answer(connection, port)
        assert SECONDS - 0.1 <= closed_after(connection, b"GET /hea") < 10 * SECONDS


def test_others_are_answered_while_some_wait(port: int) -> None:
    slow = [connected(port) for _ in range(20)]
    with connected(port) as connection:
        assert b"200 OK" in answer(connection, port)
    for one in slow:
        one.close()
