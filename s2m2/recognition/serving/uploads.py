"""Photos and words from the body of a request. Names of files are not looked at, and bodies lie in memory or in nameless files."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from s2m2.console import count
from s2m2.errors import InputError
from s2m2.recognition.serving.limits import Limits
from s2m2.recognition.serving.recognizer import Read

IMAGES, LABEL, VERSION = "images", "label", "version"
"""Fields of a form."""
MAX_FIELDS = 4
MAX_DIGITS = 18
MULTIPART = "multipart/form-data"
TOO_LARGE = 413


@dataclass(frozen=True, kw_only=True, eq=False)
class Upload:
    """The form of a request."""

    files: tuple[Read, ...]
    label: str
    """Empty where there is none."""
    version: int | None
    """Of the model that is meant, where one is stated."""


@asynccontextmanager
async def upload_of(request: Request, limits: Limits) -> AsyncIterator[Upload]:
    """The form of a request, until it is answered.

    Raises:
        InputError: it has no photo, or is no form.
        HTTPException: it has too many photos.
    """
    if not request.headers.get("content-type", "").lower().startswith(MULTIPART):
        raise InputError(f"send {MULTIPART} with one or more files as {IMAGES}")
    too_many = f"a request may have {count(limits.max_files, 'photo')}; send the others in another one"
    try:
        form = await request.form(max_files=limits.max_files, max_fields=MAX_FIELDS)
    except HTTPException as error:
        if "Too many files" in str(error.detail):
            raise HTTPException(TOO_LARGE, too_many) from error
        raise
    try:
        files = tuple(item.file.read for item in form.getlist(IMAGES) if isinstance(item, UploadFile))
        label = form.get(LABEL, "")
        if not files:
            raise InputError(f"there is no photo; send one or more files as {IMAGES}")
        yield Upload(files=files, label=label if isinstance(label, str) else "", version=_version(form.get(VERSION, "")))
    finally:
        await form.close()


def _version(stated: UploadFile | str) -> int | None:
    if stated == "":
        return None
    if not isinstance(stated, str) or not stated.isascii() or not stated.isdigit() or len(stated) > MAX_DIGITS:
        raise InputError(f"{VERSION} must be a whole number, as the last answer had it")
    return int(stated)
