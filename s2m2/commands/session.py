# shim
from typing import Any

from s2m2.runs.session import Check, Session, alone, first_process_alone  # noqa: F401


def __getattr__(name: str) -> Any:  # lazy, as s2m2.pipeline imports modules that import this one
    if name == "open_session":
        from s2m2.pipeline import open_session

        return open_session
    raise AttributeError(name)
