"""The application: its page, and the REST interface that the page uses as any program may."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse

from s2m2 import __version__
from s2m2.errors import InputError
from s2m2.recognition.serving.access import Access
from s2m2.recognition.serving.answers import Change, Classes, Health, Predictions, Problem, Remove, Rename, classes_of, predictions_of
from s2m2.recognition.serving.guard import ARCHIVE, Guard, Running
from s2m2.recognition.serving.limits import Limits
from s2m2.recognition.serving.recognizer import Recognizer
from s2m2.recognition.serving.shared_model import ConflictError, SharedModel, Snapshot
from s2m2.recognition.serving.uploads import IMAGES, LABEL, MULTIPART, VERSION, upload_of

PAGE_FILES = {"/": "page.html", **{f"/{name}": name for name in ("page.css", "page.js", "elements.js", "requests.js", "icon.svg")}}
"""Paths of the page and their files in this package; no path of a request is ever looked up on the disk."""
KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
FILE_NAME = re.compile(r"[^A-Za-z0-9._-]+")
"""What is replaced in the name of a download."""
PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "A token is needed."},
    403: {"model": Problem, "description": "The request comes from a page of another site."},
    413: {"model": Problem, "description": "Too large, or too many photos."},
    422: {"model": Problem, "description": "Something in the request is wrong."},
    503: {"model": Problem, "description": "Too many requests wait; `Retry-After` says when to come back."},
    504: {"model": Problem, "description": "It took too long; nothing has changed."},
}
CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {"model": Problem, "description": "The model is not in a state for this, or has another version."}
}


def create_app(shared: SharedModel, access: Access, limits: Limits) -> FastAPI:
    """The application for a model."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.recognizer = Recognizer(shared, limits)
        yield
        app.state.recognizer.close()

    app = FastAPI(
        title="s2m2 serve",
        version=__version__,
        description="Names photos after a few labeled ones of each class, and learns from corrections.",
        docs_url=None,  # their scripts come from another host
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False, "auto_configure": False},
        lifespan=lifespan,
        responses=PROBLEMS,
    )
    app.state.running = Running()
    app.add_middleware(Guard, access=access, limits=limits, running=app.state.running)
    app.add_exception_handler(InputError, _problem(422))
    app.add_exception_handler(ConflictError, _problem(409))
    app.add_exception_handler(RequestValidationError, _wrong_body)
    app.include_router(router)
    for path, name in PAGE_FILES.items():
        app.add_api_route(path, _page_file(name), include_in_schema=False)
    return app


router = APIRouter()


def _form_schema(*words: str) -> dict[str, Any]:
    """OpenAPI of a form with photos and words."""
    photos = {"type": "array", "items": {"type": "string", "format": "binary"}, "description": "One or more photos."}
    texts: dict[str, Any] = {word: {"type": "string"} for word in words}
    if words:
        texts[VERSION] = {"type": "integer", "description": "Of the model that is meant; if it has another one, nothing changes (409)."}
    schema = {"type": "object", "required": [IMAGES, *words], "properties": {IMAGES: photos, **texts}}
    return {"requestBody": {"required": True, "content": {MULTIPART: {"schema": schema}}}}


@router.post("/predict", openapi_extra=_form_schema())
async def predict(request: Request, top: int | None = Query(default=None, ge=1, description="Classes for each photo.")) -> Predictions:
    """Name photos. One that cannot be read has an `error`; if none can be read, the answer is an error itself."""
    recognizer: Recognizer = request.app.state.recognizer
    async with upload_of(request, recognizer.limits) as upload:
        named = await recognizer.name(upload.files)
    if named.answers is None and len(named.reasons) == 1:
        raise InputError(named.reasons[0])
    return predictions_of(named, top)


@router.get("/classes")
async def classes(request: Request) -> Classes:
    """The classes, with counts and small copies of their images."""
    return _classes(request)


@router.post("/corrections", openapi_extra=_form_schema(LABEL), responses=CONFLICT)
async def correct(request: Request) -> Classes:
    """Learn the right label of photos: that of a class, or a new one, which adds a class."""
    recognizer: Recognizer = request.app.state.recognizer
    async with upload_of(request, recognizer.limits) as upload:
        return _classes(request, await recognizer.learn(upload.files, upload.label, upload.version))


@router.post("/undo", responses=CONFLICT)
async def undo(request: Request, change: Change | None = None) -> Classes:
    """Take back the last change, also one from before the server started."""
    return _classes(request, await request.app.state.recognizer.undo(None if change is None else change.version))


@router.post("/classes/rename", responses=CONFLICT)
async def rename(request: Request, change: Rename) -> Classes:
    """Give a class another name; that of another class merges the two."""
    recognizer: Recognizer = request.app.state.recognizer
    return _classes(request, await recognizer.rename(str(change.label), str(change.name), change.version))


@router.post("/classes/remove", responses=CONFLICT)
async def remove(request: Request, change: Remove) -> Classes:
    """Forget a class."""
    return _classes(request, await request.app.state.recognizer.remove(str(change.label), change.version))


@router.get("/thumbnails/{digest}", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}, 404: {"model": Problem}})
async def thumbnail(request: Request, digest: str) -> Response:
    """A small copy of a labeled image."""
    content = request.app.state.recognizer.shared.current.thumbnails.get(digest)
    if content is None:
        raise HTTPException(404, "there is no such image")
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=86400"})


@router.get(ARCHIVE, response_class=StreamingResponse, responses={200: {"content": {"application/zip": {}}}})
async def archive(request: Request) -> StreamingResponse:
    """The model's folder, for `s2m2 predict` or `ImageClassifier.load` elsewhere."""
    recognizer: Recognizer = request.app.state.recognizer
    packed, name = await recognizer.archive(), FILE_NAME.sub("_", recognizer.shared.folder.resolve().name)
    headers = {"Content-Disposition": f'attachment; filename="{name}.zip"', "Content-Length": str(packed.size)}
    return StreamingResponse(packed.chunks(), media_type="application/zip", headers=headers)


@router.get("/health")
async def health() -> Health:
    """Whether the server answers; needs no token."""
    return Health()


def _classes(request: Request, snapshot: Snapshot | None = None) -> Classes:
    recognizer: Recognizer = request.app.state.recognizer
    return classes_of(recognizer.shared, snapshot or recognizer.shared.current, recognizer.limits)


def _page_file(name: str) -> Callable[[], Awaitable[Response]]:
    kind = KINDS[name.rpartition(".")[2]]
    content = files("s2m2.recognition.serving").joinpath(name).read_bytes()

    async def give() -> Response:
        return Response(content, media_type=kind)

    return give


def _problem(status: int) -> Callable[[Request, Exception], Awaitable[JSONResponse]]:
    async def answer(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status)

    return answer


async def _wrong_body(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"][1:])) or "the body"
    return JSONResponse({"detail": f"{field}: {first['msg']}"}, 422)
