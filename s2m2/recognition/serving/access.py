"""Who may ask: host names, tokens and origins. Pages of other sites reach a local server through the browser that shows them.

* A name of another site that resolves to this machine (DNS rebinding) is told by the header Host.
* A form or script of another site (cross-site request forgery) is told by Origin or Sec-Fetch-Site, which browsers send and scripts
  cannot change.
"""

import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from s2m2.errors import InputError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")
TOKEN_BYTES = 24
OPEN_PATHS = ("/health",)
"""What answers without a token."""
LINKED_PATHS = ("/", *OPEN_PATHS)
"""What a page of another site may link to, or ask for in vain."""
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
COOKIE_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a request is not answered."""

    status: int
    reason: str
    """One line, for whoever sent it."""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a request must bring."""

    hosts: frozenset[str]
    """Names under which the server is reached, in lower case."""
    any_address: bool
    """Whether every numeric address will do: rebinding takes a name."""
    token: str | None
    """None: none is needed."""
    cookie: str
    """Name of the cookie that holds it; one for each port, as browsers share cookies among the ports of a host."""

    def refusal(self, method: str, path: str, headers: Mapping[str, str]) -> Refusal | None:
        """Why a request may not be answered; None if it may."""
        host = headers.get("host", "")
        if not self._knows(host):
            return Refusal(status=421, reason="this server is not known under that host name; --allowed_hosts takes further names")
        if method not in SAFE_METHODS and not _of_own_page(headers, host):
            return Refusal(status=403, reason="requests from pages of other sites are refused")
        if method in SAFE_METHODS and path not in LINKED_PATHS and headers.get("sec-fetch-site") == "cross-site":
            return Refusal(status=403, reason="requests from pages of other sites are refused; open the page first")
        if path not in OPEN_PATHS and not self._is_token(self._sent_token(headers)):
            reason = "a token is needed: open the address that `s2m2 serve` printed, or send `Authorization: Bearer TOKEN`"
            return Refusal(status=401, reason=reason, headers=(("WWW-Authenticate", "Bearer"),))
        return None

    def cookie_for(self, query: str) -> str | None:
        """The cookie to set for a right `?token=`; None where there is none or nothing to set."""
        if self.token is None or not self._is_token(parse_qs(query).get("token", [""])[0]):
            return None
        return f"{self.cookie}={self.token}; Max-Age={COOKIE_SECONDS}; Path=/; HttpOnly; SameSite=Lax"

    def _knows(self, header: str) -> bool:
        host = _host_name(header)
        return host in self.hosts or (self.any_address and _is_address(host))

    def _sent_token(self, headers: Mapping[str, str]) -> str:
        kind, _, value = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return value.strip()
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return ""
        return cookies[self.cookie].value if self.cookie in cookies else ""

    def _is_token(self, text: str) -> bool:
        return self.token is None or hmac.compare_digest(text.encode(errors="replace"), self.token.encode())


def access_for(host: str, port: int, token: str | None, names: tuple[str, ...] = ()) -> Access:
    """The access of a server at an address; one that others can reach always has a token.

    Args:
        token: None: a new one where one is needed.
        names: further host names under which it is reached.

    Raises:
        InputError: the token is easy to guess, or not fit for a header.
    """
    if token is not None and not TOKEN.fullmatch(token):
        raise InputError("--token or S2M2_TOKEN must have 16 to 128 letters, digits, - or _; left out, a good one is made")
    local = is_loopback(host)
    known = {*LOOPBACK, host.lower(), *(name.lower() for name in names)}
    if not local:
        known |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    return Access(
        hosts=frozenset(known),
        any_address=not local,
        token=token or (None if local else secrets.token_urlsafe(TOKEN_BYTES)),
        cookie=f"s2m2_{port}",
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    return host.lower() == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _of_own_page(headers: Mapping[str, str], host: str) -> bool:
    """Whether a request comes from the page of this server, or from no page at all."""
    origin = headers.get("origin")
    if origin is not None:
        try:
            return urlsplit(origin).netloc.lower() == host.lower()
        except ValueError:
            return False
    return headers.get("sec-fetch-site", "none") in ("same-origin", "none")


def _host_name(header: str) -> str:
    """The host of a header, without port and brackets; empty where it has no such form."""
    try:
        return (urlsplit(f"//{header}").hostname or "") if header and "@" not in header else ""
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
