"""Calls of the command line in forked processes: torch is imported once, and each call can be killed, limited and looked at."""

import os
import pkgutil
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

MAX_SECONDS = 120.0
"""Of a call, before it counts as hanging."""
MAX_BYTES = 12 * 2**30
"""Address space of a call: torch alone maps several gigabytes."""
TRACEBACK = 70
"""Exit code of a call that ended with a traceback."""
STEP_SECONDS = 0.002


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a call ended."""

    code: int
    """Exit code; `TRACEBACK`; or the negative number of the signal that ended it."""
    text: str
    """What it printed, both streams."""
    seconds: float
    killed: bool = False
    """It was killed on purpose."""
    hung: bool = False

    @property
    def is_defect(self) -> bool:
        """A traceback, a crash or a hang: what nobody may see, whatever the input."""
        return (
            self.hung or self.code == TRACEBACK or "Traceback (most recent call last)" in self.text or (self.code < 0 and not self.killed)
        )

    @property
    def last_line(self) -> str:
        """The reason that it gave."""
        lines = self.text.strip().splitlines()
        return lines[-1] if lines else ""


def warm_up() -> None:
    """Import everything that a command imports, so that a forked process begins at once. No operation of torch may run before a fork."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    package = import_module("s2m2")
    for module in pkgutil.walk_packages(package.__path__, "s2m2."):
        if not module.name.endswith("__main__"):
            import_module(module.name)


def call(arguments: Sequence[str], folder: Path, *, kill_after: float | None = None, stdin: bytes = b"") -> Ended:
    """Call `s2m2 ARGUMENTS` in a folder.

    Args:
        kill_after: seconds until SIGKILL; None: it may end by itself.
        stdin: what it can read from standard input.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    output, source = (Path(tempfile.gettempdir()) / f"soak-{os.getpid()}.{stream}" for stream in ("output", "input"))
    source.write_bytes(stdin)
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        _serve(arguments, folder, output, source)
    killed = hung = False
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        seconds = time.monotonic() - start
        if not killed and ((kill_after is not None and seconds >= kill_after) or seconds > MAX_SECONDS):
            killed, hung = True, seconds > MAX_SECONDS
            _kill_group(child)
        time.sleep(STEP_SECONDS)
    _kill_group(child)  # what it started
    text = output.read_text(encoding="utf-8", errors="replace") if output.exists() else ""
    output.unlink(missing_ok=True)
    source.unlink()
    code = os.waitstatus_to_exitcode(status)
    return Ended(code=code, text=text, seconds=time.monotonic() - start, killed=killed and code == -signal.SIGKILL and not hung, hung=hung)


def fresh_copy(source: Path, target: Path) -> Path:
    """A copy of a folder in place of the last one."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)
    return target


def _kill_group(child: int) -> None:
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        return
    except PermissionError:  # it has not made its group yet
        os.kill(child, signal.SIGKILL)


def _serve(arguments: Sequence[str], folder: Path, output: Path, source: Path) -> None:
    """The child: never returns."""
    code = TRACEBACK
    try:
        os.setsid()
        os.chdir(folder)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
        opened = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(os.open(source, os.O_RDONLY), 0)
        os.dup2(opened, 1)
        os.dup2(opened, 2)
        from s2m2.cli import main

        try:
            code = main(list(arguments))
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = TRACEBACK
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
