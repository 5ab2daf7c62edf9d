"""What is trusted has a checksum: a flipped bit is found where the file is read, and a file that cannot be read now is not damaged."""

import errno
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from s2m2 import io
from s2m2.cli import main
from s2m2.errors import InputError
from s2m2.evaluation.features import FeatureSet, load_features, save_features
from s2m2.evaluation.results import load_results, save_results
from s2m2.io import read_json, reading, remove_leftovers, replace_file, write_json, write_tensors
from s2m2.recipe import Recipe, read_recipe
from s2m2.runs.checkpoint import (
    Outcome,
    Progress,
    load_best,
    load_last,
    load_outcome,
    read_tensors,
    save_best,
    save_last,
    save_outcome,
    settle_best,
)
from s2m2.runs.directory import RunDirectory, write_recipe
from tests.integration.tiny import tiny_flags
from tests.reports.made_up import made_up_results
from tests.runs.test_checkpoint import moved_networks, networks

FLIPS = 60


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position // 8] ^= 1 << position % 8
    path.write_bytes(content)


def state_of(path: Path) -> str:
    backbone, head, optimizer = networks()
    progress = load_last(path, backbone, head, optimizer)
    return str((progress, [value.tolist() for value in backbone.state_dict().values()], optimizer.state_dict()))


def weights_of(path: Path) -> str:
    tensors, about = read_tensors(path)
    return str(({name: value.tolist() for name, value in tensors.items()}, about))


def write_last(path: Path) -> None:
    save_last(path, *moved_networks(), Progress(step=7, best_score=0.5))


def write_best(path: Path) -> None:
    backbone, head, _ = moved_networks()
    save_best(path, backbone, head, {"stage": "pretrain", "epoch": 3})


def write_images(path: Path) -> None:
    write_json(path, {role: {"name": "birds", "digest": 8 * "0123abcd", "size": [84, 84], "splits": {}} for role in ("base", "validation")})


def images_of(path: Path) -> object:
    try:
        content = read_json(path)
        return {role: content[role] for role in ("base", "validation")}
    except (ValueError, LookupError) as error:
        raise error if isinstance(error, InputError) else InputError(f"damaged: {error}") from error


def write_results(path: Path) -> None:
    saved = save_results(path.parent / "saved", made_up_results("finetune", "cosine", 1, 0.6, tasks=40))
    saved.rename(path)


def write_run_recipe(path: Path) -> None:
    write_recipe(RunDirectory(path.parent), Recipe(seed=17))


def recipe_of(path: Path) -> Recipe:
    try:
        return read_recipe(path)
    except InputError as error:
        raise error if "cannot be read now" in str(error) else InputError(f"damaged: {error}") from error


def write_outcome(path: Path) -> None:
    save_outcome(path, Outcome(epochs=12, best_epoch=7, best_score=0.123456, seconds=1234.5))


def features() -> FeatureSet:
    count = torch.arange(20)
    return FeatureSet(features=torch.randn(20, 4), labels=count % 2, indices=count, class_names=("a", "b"), fingerprint="f" * 64)


KINDS: dict[str, tuple[Callable[[Path], None], Callable[[Path], object]]] = {
    "last.pt": (write_last, state_of),
    "best.safetensors": (write_best, weights_of),
    "outcome.json": (write_outcome, load_outcome),
    "trained_images.json": (write_images, images_of),
    "result.json": (write_results, load_results),
    "recipe.yaml": (write_run_recipe, recipe_of),
}


@pytest.mark.parametrize("name", KINDS)
def test_no_flipped_bit_is_used_silently(tmp_path: Path, name: str) -> None:
    write, read = KINDS[name]
    path, chosen = tmp_path / name, random.Random(0)
    write(path)
    whole, expected = path.read_bytes(), read(path)
    refused = 0
    for _ in range(FLIPS):
        path.write_bytes(whole)
        flip(path, chosen.randrange(8 * len(whole)))
        try:
            found = read(path)
        except InputError as error:
            refused += any(word in str(error) for word in ("damaged", "holds no results")) and "\n" not in str(error)
        else:
            assert found == expected  # a bit that means nothing, such as the date in an archive
    assert refused > FLIPS / 2


def test_a_feature_cache_with_a_flipped_bit_is_extracted_again(tmp_path: Path) -> None:
    path, chosen = tmp_path / "features.safetensors", random.Random(0)
    save_features(path, features())
    whole = path.read_bytes()
    for _ in range(FLIPS):
        path.write_bytes(whole)
        flip(path, chosen.randrange(8 * len(whole)))
        assert load_features(path, "f" * 64) is None


def test_files_without_a_checksum_are_read(tmp_path: Path) -> None:
    backbone, head, _ = networks()
    save_best(tmp_path / "best.safetensors", backbone, head, {})
    tensors, _ = read_tensors(tmp_path / "best.safetensors")
    from safetensors.torch import save_file

    save_file(tensors, tmp_path / "old.safetensors")
    load_best(tmp_path / "old.safetensors", backbone, head)
    (tmp_path / "outcome.json").write_text(json.dumps({"epochs": 3, "best_epoch": 2}))
    assert load_outcome(tmp_path / "outcome.json") == Outcome(epochs=3, best_epoch=2)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE, errno.ENOMEM, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("name", KINDS)
def test_what_cannot_be_read_now_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    write, read = KINDS[name]
    path = tmp_path / name
    write(path)

    def refused(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    before = path.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.open", refused)
        patched.setattr("builtins.open", refused)
        patched.setattr("io.open", refused)
        with pytest.raises(InputError, match=r"cannot be read now: .*; nothing was changed") as caught:
            read(path)
    assert not any(word in str(caught.value) for word in ("damaged", "delete", "remove"))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 3.2 GiB for an array"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 32 bytes"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_a_full_memory_is_one_line(
    glyph_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def full(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("s2m2.pipeline.fresh_networks", full)
    assert main(["pretrain", *tiny_flags(glyph_folder, tmp_path / "run")]) == 1
    message = capsys.readouterr().err
    assert message.startswith("s2m2 pretrain: out of memory")
    assert message.count("\n") == 1


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_too_little_memory_is_no_damage(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(InputError, match="cannot be read now"), reading(tmp_path):
        raise error


def test_deep_json_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "outcome.json").write_text('{"epochs": ' + "[" * 100_000)
    with pytest.raises(InputError, match=r"outcome\.json is damaged"):
        load_outcome(tmp_path / "outcome.json")


def test_json_comes_back_whatever_its_layout(tmp_path: Path) -> None:
    content = {"b": [1.5, None, "é"], "a": {"x": 1e-300}}
    write_json(tmp_path / "x.json", content)
    (tmp_path / "x.json").write_text(json.dumps(json.loads((tmp_path / "x.json").read_text())))
    assert read_json(tmp_path / "x.json") == content


# Best weights and progress


def pending(tmp_path: Path, epoch: int) -> tuple[Path, Path, str]:
    backbone, head, _ = moved_networks()
    coming, best = tmp_path / "next.safetensors", tmp_path / "best.safetensors"
    return coming, best, save_best(coming, backbone, head, {"epoch": epoch})


def test_a_kill_before_the_checkpoint_leaves_the_weights_that_it_knows(tmp_path: Path) -> None:
    coming, best, first = pending(tmp_path, 1)
    settle_best(coming, best, Progress(best_weights=first))
    kept = best.read_bytes()
    pending(tmp_path, 2)
    settle_best(coming, best, Progress(best_weights=first))  # the start after the kill
    assert best.read_bytes() == kept
    assert not coming.exists()


def test_a_kill_after_the_checkpoint_gives_the_new_weights_their_name(tmp_path: Path) -> None:
    coming, best, first = pending(tmp_path, 1)
    settle_best(coming, best, Progress(best_weights=first))
    coming, best, second = pending(tmp_path, 2)
    settle_best(coming, best, Progress(best_weights=second))
    assert read_tensors(best)[1] == {"epoch": "2"}
    assert not coming.exists()


def test_weights_of_another_start_are_refused(tmp_path: Path) -> None:
    coming, best, first = pending(tmp_path, 1)
    settle_best(coming, best, Progress(best_weights=first))
    save_outcome(tmp_path / "outcome.json", Outcome(epochs=1, best_epoch=1, weights=first))
    assert load_outcome(tmp_path / "outcome.json") is not None
    backbone, head, _ = moved_networks()
    save_best(best, backbone, head, {"epoch": 1})
    with pytest.raises(InputError, match=r"best\.safetensors does not belong to .*outcome\.json"):
        load_outcome(tmp_path / "outcome.json")
    with pytest.raises(InputError, match=r"best\.safetensors does not belong to"):
        settle_best(coming, best, Progress(best_weights=first))


# Writing


@pytest.fixture
def limit_of_100_kb() -> object:
    import resource
    import signal

    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("limit_of_100_kb")
def test_a_refused_write_names_the_file_and_the_need_whatever_library_writes(tmp_path: Path) -> None:
    backbone, _, optimizer = networks()
    large = torch.nn.Linear(300, 300)
    writes: dict[str, Callable[[Path], object]] = {
        "last.pt": lambda path: save_last(path, backbone, large, optimizer, Progress()),
        "best.safetensors": lambda path: write_tensors(path, large.state_dict(), {}),
    }
    for name, write in writes.items():
        with pytest.raises(OSError, match=r"File too large; 0\.\d MB are needed, .* MB are free") as caught:
            write(tmp_path / name)
        assert caught.value.filename == str(tmp_path / name)
        assert "\n" not in str(caught.value.strerror)
    assert list(tmp_path.iterdir()) == []


FULL_DISK = """
import subprocess, sys
from pathlib import Path
import torch
from s2m2.runs.checkpoint import Progress, save_last

disk = Path(sys.argv[1])
small, large = torch.nn.Linear(9, 9), torch.nn.Linear(150, 150)
optimizer = torch.optim.SGD(small.parameters())
for size in range(16, 128, 4):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", disk], check=True)
    save_last(disk / "last.pt", small, small, optimizer, Progress(step=1))
    whole = (disk / "last.pt").read_bytes()
    try:
        save_last(disk / "last.pt", large, large, optimizer, Progress(step=2))
    except OSError as error:
        print(size, error.filename, error.strerror)
        assert (disk / "last.pt").read_bytes() == whole
    print([path.name for path in disk.iterdir()])
    subprocess.run(["umount", disk], check=True)
"""


def test_a_disk_that_fills_up_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    # File systems of one page more each, as torch has other words for each part of a file that it cannot write. They are in a name
    # space of their own, which ends with its process.
    alone = ["unshare", "--mount", "--map-root-user"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    call = [*alone, sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120, check=False)
    if "mount:" in done.stderr:
        pytest.skip("no file system can be mounted here")
    assert done.returncode == 0, done.stderr
    messages = [line for line in done.stdout.splitlines() if line != "['last.pt']"]
    assert len(done.stdout.splitlines()) == len(messages) + 28
    assert 15 <= len(messages) < 28
    for message in messages:
        assert f"{tmp_path / 'last.pt'} No space left on device; 0.2 MB are needed, " in message
    assert not list(tmp_path.iterdir())


def test_an_error_that_is_no_refused_write_passes(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="a defect"), replace_file(tmp_path / "x"):
        raise RuntimeError("a defect")


def test_what_killed_processes_left_is_removed_when_it_is_old(tmp_path: Path) -> None:
    old, folder, young = tmp_path / ".last.pt.0a1b2c3d.partial", tmp_path / ".out.0a1b2c3d.partial", tmp_path / ".x.00000000.partial"
    folder.mkdir()
    for path in (old, young, folder / "inside", tmp_path / "kept.partial"):
        path.touch()
    for path in (old, folder):
        os.utime(path, (0, 0))
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {young.name, "kept.partial"}
    remove_leftovers(tmp_path, older_than=0.0)
    assert {path.name for path in tmp_path.iterdir()} == {"kept.partial"}
    remove_leftovers(tmp_path / "missing")
    assert shutil.disk_usage(tmp_path).free > 0
    assert io.LEFTOVER_SECONDS > 60
