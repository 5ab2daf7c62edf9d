"""The web server, from the first request to a quick and quiet end."""

import asyncio
import socket

import uvicorn
from fastapi import FastAPI

from s2m2.recognition.serving.connections import Connection
from s2m2.recognition.serving.guard import Running

GRACE_SECONDS = 0.4
"""That requests get to end after Ctrl-C."""
STEP_SECONDS = 0.02
KEEP_ALIVE_SECONDS = 75
"""That a connection may be idle; a program that sends just when it is closed would see an error."""


class Server(uvicorn.Server):
    """Serves an application until a signal; then requests that are not answered soon are cut short.

    Args:
        app: of `create_app`.
    """

    def __init__(self, app: FastAPI) -> None:
        self._running: Running = app.state.running
        settings = uvicorn.Config(
            app,
            http=Connection,
            log_level="warning",
            access_log=False,
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=1,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        super().__init__(settings)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End; called by uvicorn."""
        loop = asyncio.get_running_loop()
        until = loop.time() + GRACE_SECONDS
        while len(self._running) and loop.time() < until:
            await asyncio.sleep(STEP_SECONDS)
        self._running.end()
        await super().shutdown(sockets)
