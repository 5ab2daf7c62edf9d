"""`s2m2 serve`: a saved image classifier as a page and a REST interface."""

import atexit
import errno
import os
import socket
import sys
import warnings

from PIL import Image

from s2m2.console import console
from s2m2.errors import InputError
from s2m2.io import expanded
from s2m2.recipe import ServeConfig
from s2m2.recognition.serving.limits import MEGA, Limits

MAX_BACKLOG = 2048
"""Connections that the system keeps until they are accepted."""

VARIABLE = "S2M2_TOKEN"
"""Of the environment; holds the token."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as of all commands."""


def serve_command(config: ServeConfig) -> None:
    """Serve until Ctrl-C.

    Raises:
        InputError: the extra is missing; there is no model, or another process uses it; the port is in use.
    """
    try:
        import fastapi  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise InputError(f"serve needs the extra serve, here {error.name}: pip install 's2m2[serve]'") from error
    from s2m2.recognition.classifier import ImageClassifier
    from s2m2.recognition.locking import model_lock
    from s2m2.recognition.serving.access import access_for
    from s2m2.recognition.serving.app import create_app
    from s2m2.recognition.serving.server import Server
    from s2m2.recognition.serving.shared_model import SharedModel

    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # photos have a limit of their own
    token = token_of(config)
    access_for(config.host, config.port, token)  # before anything takes time
    folder = expanded(config.model)
    with listen(config.host, config.port) as listening, model_lock(folder):
        # Inside the lock: nobody changes it between reading and serving.
        model = ImageClassifier.load(folder, device=config.device, trust_code=config.trust_code)
        port = listening.getsockname()[1]
        access = access_for(config.host, port, token, config.allowed_hosts)
        shared = SharedModel(folder, model)
        console.print(f"Loading {folder} ...", markup=False, highlight=False, soft_wrap=True)
        model.extractor()
        console.print(f"Serving {folder}: {_address(config.host, port, access.token)}   (Ctrl-C ends it)", markup=False, soft_wrap=True)
        sys.stdout.flush()
        try:
            Server(create_app(shared, access, limits_of(config))).run(sockets=[listening])
        except KeyboardInterrupt:
            atexit.register(os._exit, INTERRUPTED)  # all threads have ended by then; taking torch apart would take seconds
            raise


def token_of(config: ServeConfig) -> str | None:
    """The token that is asked for: a flag is shown to every user of the computer by `ps`, a variable of the environment is not."""
    return os.environ.get(VARIABLE) or None if config.token is None else config.token


def limits_of(config: ServeConfig) -> Limits:
    """What a request may cost."""
    return Limits(
        max_bytes=round(config.max_megabytes * MEGA),
        max_files=config.max_files,
        max_pixels=round(config.max_megapixels * MEGA),
        max_waiting=config.max_waiting,
        seconds=config.timeout,
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        InputError: the port is in use or not allowed, or the host is no address of this computer.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise InputError(f"--host {host} is no address of this computer; 127.0.0.1 is this computer only") from error
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just left can be taken again
        listening.bind(address)
        listening.listen(MAX_BACKLOG)
    except OSError as error:
        listening.close()
        raise InputError(_why_not(error, host, port)) from error
    listening.setblocking(False)
    return listening


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"--port {port} is in use by another program; --port 0 takes any free one"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"--host {host} is no address of this computer; 127.0.0.1 is this computer only"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"--port {port} is not allowed for this user; take one from 1024 on"
    return f"--host {host} --port {port} cannot be used: {error.strerror or error}"


def _address(host: str, port: int, token: str | None) -> str:
    """What to open in a browser."""
    shown = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)  # noqa: S104
    name = f"[{shown}]" if ":" in shown else shown
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")
