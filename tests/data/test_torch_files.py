"""Archives and torch files that stand for more than their length are refused before they take memory."""

import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from s2m2.archives import archive_fault
from s2m2.cli import main
from s2m2.data.torch_files import read_torch_file
from s2m2.errors import InputError
from s2m2.tasks.saved_tasks import load_tasks


def npz_with_header(path: Path, shape: str) -> Path:
    """An archive of an array of no bytes whose header states a shape."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("features.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    return path


def zeros(path: Path, megabytes: int = 200) -> Path:
    np.savez_compressed(path, features=np.zeros((megabytes, 250_000), np.float32), labels=np.zeros(megabytes, np.int64))
    return path


def test_archives_of_zeros_and_of_lengths_without_bytes_are_refused(tmp_path: Path) -> None:
    assert "unpacks to 200,0" in (archive_fault(zeros(tmp_path / "zeros.npz")) or "")
    fault = archive_fault(npz_with_header(tmp_path / "a.npz", "(1000000000000,)"))
    assert fault == "has an array features of 4,000,000,000,000 bytes in 128"
    np.savez_compressed(tmp_path / "good.npz", features=np.random.default_rng(0).normal(size=(50, 8)), labels=np.arange(50))
    assert archive_fault(tmp_path / "good.npz") is None
    assert archive_fault(tmp_path / "none.npz") is None


@pytest.mark.parametrize("command", [["evaluate", "--features"], ["fit"]])
def test_the_commands_say_so_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    more = ["--output", "out"] + (["--backbone", "features"] if command == ["fit"] else [])
    assert main([*command, str(zeros(tmp_path / "zeros.npz", 120)), *more]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "unpacks to 120" in said
    assert not (tmp_path / "out").exists()


def test_saved_tasks_are_checked_too(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no tasks: it unpacks to"):
        load_tasks(zeros(tmp_path / "zeros.npz", 120), torch.arange(3), torch.arange(3))


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def test_what_torch_saves_is_read(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.zeros(1, 3, 4, 4)).sum().backward()
    optimizer.step()
    shared = torch.ones(50)
    content = {"state": module.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "shared": [shared, shared.view(5, 10).T]}
    read = read_torch_file(saved(tmp_path / "a.pt", content))
    assert isinstance(read["state"], OrderedDict)
    for name, value in module.state_dict().items():
        assert torch.equal(read["state"][name], value)
    assert torch.equal(read["shared"][1], shared.view(5, 10).T)
    torch.save(content, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert read_torch_file(tmp_path / "old.pt")["epoch"] == 3


@pytest.mark.parametrize(
    ("tensor", "says"),
    [
        (torch.zeros(1).expand(10**10), "a tensor of 10,000,000,000 numbers is stored as fewer"),
        (torch.zeros(2, 3).to_sparse(), "a tensor without its numbers"),
        (torch.empty(10**9, device="meta"), "a tensor without its numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants")
def test_tensors_that_are_larger_than_what_is_stored_are_refused(tmp_path: Path, tensor: Tensor, says: str) -> None:
    with pytest.raises(InputError, match=rf"a\.pt is refused: .*{says}"):
        read_torch_file(saved(tmp_path / "a.pt", {"state": [tensor]}))


def test_the_same_numbers_many_times_are_refused(tmp_path: Path) -> None:
    numbers = torch.zeros(100_000)
    with pytest.raises(InputError, match="its tensors are 400,000,000 bytes, far more than the file"):
        read_torch_file(saved(tmp_path / "a.pt", [numbers.view(100, 1000) for _ in range(1000)]))


def test_keys_that_take_forever_to_hash_never_reach_torch(tmp_path: Path) -> None:
    for bomb in (b"\x80\x02}" + b")" + b"\x85" * 300_000 + b"K\x01s.", b"\x80\x02}" + b")" + b"2\x86" * 40 + b"K\x01s."):
        with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
            archive.writestr("archive/data.pkl", bomb)
            archive.writestr("archive/version", b"3\n")
        with pytest.raises(InputError, match=r"a\.pt is refused: .*short texts and numbers: tuple"):
            read_torch_file(tmp_path / "a.pt")


def test_a_torch_file_of_zeros_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(saved(tmp_path / "a.pt", {"state": torch.zeros(10)}), "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/1", bytes(2 * 10**8))
    with pytest.raises(InputError, match=r"a\.pt is refused: it unpacks to 200,0"):
        read_torch_file(tmp_path / "a.pt")


BOMBS = {
    "tuples nested without end": b"\x80\x02})" + b"\x85" * 300_000 + b"K\x01s.",
    "pairs of themselves": b"\x80\x02})" + b"q\x01h\x01\x86" * 60 + b"K\x01s.",
}
"""Plain pickles whose key would be hashed: the first ends the process, the second takes until the end of time."""


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_does_not_begin_as_a_torch_file_never_reaches_torch(tmp_path: Path, bomb: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.pt").write_bytes(BOMBS[bomb])
    assert main(["import", str(tmp_path / "a.pt"), "--kind", "checkpoint", "--output", str(tmp_path / "r")]) == 2
    said = capsys.readouterr().err
    assert "is no torch file, or is damaged" in said
    assert said.count("\n") == 1
    with zipfile.ZipFile(tmp_path / "b.pt", "w") as archive:
        archive.writestr("b/data.pkl", BOMBS[bomb])
        archive.writestr("b/version", "3\n")
    with pytest.raises(InputError):
        read_torch_file(tmp_path / "b.pt")
