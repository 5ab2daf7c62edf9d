"""`s2m2 serve` and input that is meant to do harm: one line, and nothing on the disk."""

import io
import json
import struct
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from s2m2.recognition.serving.decoding import decode
from tests.recognition.serving_models import (
    counts,
    images,
    photo,
)


def png(width: int, height: int, *chunks: tuple[bytes, bytes], depth: int = 8, color: int = 2) -> bytes:
    """A PNG of chunks, whatever its header says."""
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    parts = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in (header, *chunks)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def mpo(edge: int) -> bytes:
    """A JPEG with a second image after it, as phones write them; to Pillow a format of its own."""
    buffer, first = io.BytesIO(), Image.new("RGB", (edge, edge), (200, 40, 40))
    first.save(buffer, "MPO", save_all=True, append_images=[first])
    return buffer.getvalue()


ZEROS = zlib.compress(bytes(50_000_000), 9)
END = (b"IEND", b"")
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
SCANS = b"\xff\xda\x00\x02" * 300 + b"\xff\xd9"
FORMATS = "it is no JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (EPS, FORMATS),
        (b"", "the file is empty"),
        (b"hello", FORMATS),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", FORMATS),
        (b"\x00\x00\x00\x18ftypheic" + bytes(40), "HEIC is not taken; save the photo as JPEG, PNG, "),
        (photo("Red", kind="PPM"), FORMATS),
        (photo("Red")[:200], "it is damaged: "),
        (photo("Red", kind="JPEG", size=(200, 200))[:500], "it is damaged: "),
        (png(20_000, 10_000, (b"IDAT", ZEROS), END), "a photo may have 1 megapixels"),
        (png(1100, 1000, (b"IDAT", ZEROS), END), "a photo may have 1 megapixels; it has 1,100 x 1,000"),
        (png(10, 10, (b"zTXt", b"a\x00\x00" + ZEROS), (b"IDAT", zlib.compress(bytes(310))), END), "it is damaged: "),
        (png(10, 10, (b"IDAT", zlib.compress(bytes(20))), END), "it is damaged: "),
        (b"\xff\xd8" + photo("Red", kind="JPEG")[2:-2] + SCANS, "it has more than 200 scans"),
        (mpo(60) + SCANS, "it has more than 200 scans"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
def test_hostile_files_are_refused_in_a_line(steady: TestClient, saved_colors: Path, content: bytes, says: str) -> None:
    before = sorted(saved_colors.iterdir())
    for path, data in (("/predict", {}), ("/corrections", {"label": "Red"})):
        response = steady.post(path, files=images(content), data=data)
        assert response.status_code == 422
        assert response.json()["detail"].startswith(says)
        assert "\n" not in response.json()["detail"]
    assert sorted(saved_colors.iterdir()) == before


def test_a_large_jpeg_with_a_second_image_is_decoded_at_a_fraction_of_its_size() -> None:
    with ExitStack() as held:
        assert decode(mpo(640), 1_000_000, 16, held).shape == (80, 80, 3)


def test_a_bad_photo_among_good_ones_does_not_stop_them(steady: TestClient) -> None:
    answer = steady.post("/predict", files=images(photo("Red"), EPS, photo("Blue"))).json()["predictions"]
    assert [one["error"] for one in answer] == [None, FORMATS, None]
    assert [one["probabilities"][0]["label"] for one in answer if not one["error"]] == ["Red", "Blue"]
    refused = steady.post("/corrections", files=images(photo("Red"), EPS), data={"label": "Red"})
    assert refused.json()["detail"] == f"photo 2: {FORMATS}"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_format_of_the_list_is_read(steady: TestClient, kind: str) -> None:
    answer = steady.post("/predict", files=images(photo("Blue", kind=kind))).json()
    assert answer["predictions"][0]["probabilities"][0]["label"] == "Blue"


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/cron.d/x", "..\\..\\x.png", "a\x00b.png", "x" * 500, "con.png"])
def test_names_of_files_never_reach_the_disk(client: TestClient, folder: Path, name: str) -> None:
    response = client.post("/corrections", files=images(photo("White", 3), name=name), data={"label": "../../White"})
    assert counts(response.json())["../../White"] == 1
    names = sorted(path.relative_to(folder.parent).as_posix() for path in folder.parent.rglob("*") if path.is_file())
    assert all(one in ("colors/README.md", "colors/model.json") or one.startswith("colors/images-") for one in names)
    assert name not in json.loads((folder / "model.json").read_text())["names"]


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ("", "the label is empty"),
        (" \t\n ", "the label is empty"),
        ("a" * 101, "the label has 101 characters, but may have 100"),
        ("a\x1b[31mb", "the label has characters that cannot be seen"),
        ("a\u202eb", "the label has characters that cannot be seen"),
    ],
)
def test_labels_of_no_use_are_refused(steady: TestClient, label: str, says: str) -> None:
    for response in (
        steady.post("/corrections", files=images(photo("Red")), data={"label": label}),
        steady.post("/classes/rename", json={"label": "Red", "name": label}),
    ):
        assert (response.status_code, response.json()["detail"]) == (422, says)


@pytest.mark.parametrize(
    ("call", "status", "says"),
    [
        ({"content": b"x" * 400_001}, 413, "a request may have 0.4 MB; send fewer or smaller photos at once"),
        (
            {"content": iter([b"x" * 100_000] * 6), "headers": {"content-type": "multipart/form-data; boundary=b"}},
            413,
            "a request may have",
        ),
        ({"content": b"x", "headers": {"content-length": "-1"}}, 400, "a request may have"),
        ({"files": images(*[b"x"] * 5)}, 413, "a request may have 4 photos; send the others in another one"),
        ({"files": [("other", ("a.png", b"x", "image/png"))]}, 422, "there is no photo; send one or more files as images"),
        ({"json": {"images": []}}, 422, "send multipart/form-data with one or more files as images"),
        ({"content": b"--b\r\nnonsense", "headers": {"content-type": "multipart/form-data; boundary=b"}}, (400, 422), ""),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, ""),
        ({"files": images(photo("Red")), "params": {"top": "0"}}, 422, "top: "),
    ],
)
def test_requests_of_no_use_are_refused(steady: TestClient, call: dict[str, Any], status: int | tuple[int, ...], says: str) -> None:
    response = steady.post("/predict", **call)
    assert response.status_code in (status if isinstance(status, tuple) else (status,))
    assert response.json()["detail"].startswith(says)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"label": "Red"}', b'{"label": {}, "name": "x"}', b'{"label": "Gone", "name": "x"}'])
def test_wrong_json_is_one_line(steady: TestClient, body: bytes) -> None:
    response = steady.post("/classes/rename", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert isinstance(response.json()["detail"], str)
