"""A connection of the server: the header of a request has a limit of time, which uvicorn itself does not set."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 20.0
"""From the first byte of a request, or the start of a connection, to the end of the header; a proxy sends it at once."""


class Connection(H11Protocol):
    """Closes itself where a header comes too slowly, so that such connections cannot be gathered without end."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; called by asyncio."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take bytes; called by asyncio."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._late is None and self.conn.trailing_data[0]:  # part of the header of a later request
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """End; called by asyncio."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._late = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
