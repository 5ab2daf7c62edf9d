"""`s2m2 serve` from the command line: what is wrong is one line, and Ctrl-C ends it with nothing lost."""

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from s2m2.cli import main
from s2m2.commands.serving import token_of
from s2m2.recipe import ServeConfig
from s2m2.recognition.locking import model_lock
from tests.recognition.serving_models import save_colors


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_colors(tmp_path_factory.mktemp("models") / "colors")


def complaint(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["serve", *map(str, arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("s2m2 serve: ")
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--host", "10.255.255.1"], "--host 10.255.255.1 is no address of this computer; 127.0.0.1 is this computer only"),
        (["--host", "no such host"], "--host no such host is no address of this computer"),
        (["--host", ""], "--host is '', but must be an address of this computer, such as 127.0.0.1 or 0.0.0.0"),
        (["--port", "70000"], "--port is 70000, but must be from 0 to 65535"),
        (["--token", "short"], "--token or S2M2_TOKEN must have 16 to 128 letters, digits, - or _; left out, a good one is made"),
        (["--max_megapixels", "500"], "--max_megapixels is 500.0, but must be above 0 and up to 175"),
        (["--prot", "1"], "no flag --prot; did you mean --port?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_settings_are_named(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    assert says in complaint(capsys, folder, *arguments)


def test_a_port_in_use_a_model_in_use_and_no_model_are_named(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert f"--port {port} is in use by another program; --port 0 takes any free one" in complaint(capsys, folder, "--port", port)
    with model_lock(folder):
        assert f"{folder} is in use by another process (serve or fit); wait for it or stop it, or copy the folder" in complaint(
            capsys, folder, "--port", 0
        )
    assert f"there is no model folder {tmp_path / 'none'}" in complaint(capsys, tmp_path / "none")


@pytest.mark.parametrize(
    ("flag", "variable", "token"), [(None, "v" * 20, "v" * 20), ("f" * 20, "v" * 20, "f" * 20), (None, "", None), (None, None, None)]
)
def test_the_token_may_come_from_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch, flag: str | None, variable: str | None, token: str | None
) -> None:
    monkeypatch.delenv("S2M2_TOKEN", raising=False)
    if variable is not None:
        monkeypatch.setenv("S2M2_TOKEN", variable)
    assert token_of(ServeConfig(model=folder, token=flag)) == token


def test_a_weak_token_from_the_environment_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("S2M2_TOKEN", "short")
    assert "--token or S2M2_TOKEN must have 16 to 128" in complaint(capsys, folder)


@pytest.mark.parametrize("module", ["fastapi", "uvicorn", "python_multipart"])
def test_a_missing_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert f"serve needs the extra serve, here {module}: pip install 's2m2[serve]'" in complaint(capsys, folder)


SCRIPT = """
import sys
from s2m2.cli import main
from s2m2.recognition import ImageClassifier
from tests.recognition.serving_models import tiny_extractor
ImageClassifier.extractor = lambda self, extractor=tiny_extractor(): extractor
sys.exit(main(["serve", sys.argv[1], "--port", "0"]))
"""

SLOW = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n--b\r\n"


def test_ctrl_c_ends_it(folder: Path) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline(), process.stdout.readline()]
        assert lines[0] == f"Loading {folder} ...\n"
        assert lines[1].startswith(f"Serving {folder}: http://127.0.0.1:")
        address = lines[1].split(": ", 1)[1].split()[0]
        with urllib.request.urlopen(f"{address}health") as response:
            assert response.status == 200
        with socket.create_connection(("127.0.0.1", urlsplit(address).port)) as slow:  # a client that never ends its request
            slow.sendall(SLOW)
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            assert slow.recv(4096).startswith(b"HTTP/1.1 503 ")
        _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, "s2m2 serve: interrupted; every correction is saved\n")
