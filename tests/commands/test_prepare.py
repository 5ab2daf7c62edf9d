import os
from pathlib import Path

import pytest

from s2m2.commands.datasets import prepare_command
from s2m2.data.dataset import open_dataset
from s2m2.errors import InputError
from s2m2.recipe import PrepareConfig
from tests.data.files import write_images


def test_the_summary_tells_counts_size_digest_and_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_images(tmp_path / "source", {"a": 3, "b": 2, "c": 4})
    lists = tmp_path / "lists.json"
    lists.write_text('{"base": ["a"], "validation": ["b"], "novel": ["c"]}')
    prepare_command(PrepareConfig(source=tmp_path / "source", output=tmp_path / "dataset", splits=str(lists), name="mine"))
    printed = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.strip("│ \n").split("│")] for line in printed.splitlines() if line.startswith("│")]
    assert rows == [["base", "1", "3"], ["validation", "1", "2"], ["novel", "1", "4"]]
    dataset = open_dataset(tmp_path / "dataset")
    assert "9 images of 8x8 pixels" in printed
    assert dataset.digest[:16] in printed
    assert f"dataset in {tmp_path / 'dataset'}" in printed
    assert dataset.name == "mine"


def test_a_download_comes_first_and_goes_into_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(root: Path) -> Path:
        write_images(root / "cifar100" / "data", {"a": 2, "b": 2, "c": 2}, size=32)
        for file, name in (("train", "a"), ("val", "b"), ("test", "c")):
            (root / "cifar100" / "splits" / "bertinetto").mkdir(parents=True, exist_ok=True)
            (root / "cifar100" / "splits" / "bertinetto" / f"{file}.txt").write_text(name)
        return root

    monkeypatch.setattr("s2m2.data.prepare.download_cifar100", fetch)
    output = tmp_path / "dataset"
    prepare_command(PrepareConfig(source=tmp_path / "source", output=output, dataset="cifar_fs", download=True))
    assert len(open_dataset(output).images) == 6


def test_a_download_that_fails_leaves_no_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(root: Path) -> Path:
        raise InputError("no route")

    monkeypatch.setattr("s2m2.data.prepare.download_cifar100", fail)
    with pytest.raises(InputError, match="no route"):
        prepare_command(PrepareConfig(source=tmp_path / "source", output=tmp_path / "dataset", dataset="fc100", download=True))
    assert list(tmp_path.iterdir()) == []


def test_only_what_is_made_of_cifar100_is_downloaded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--dataset is cub, but must be cifar_fs or fc100 with --download"):
        PrepareConfig(source=tmp_path, output=tmp_path / "dataset", dataset="cub", download=True)


def test_names_are_printed_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_images(tmp_path / "source", {"a": 1, "b": 1, "c": 1})
    output, name = tmp_path / "x[old]:car:" / "t", f"a[/b]:car:{os.fsdecode(bytes([233]))}"
    prepare_command(PrepareConfig(source=tmp_path / "source", output=output, splits="0.34,0.33,0.33", name=name))
    printed = capsys.readouterr().out
    assert f"dataset in {output}" in printed
    assert "a[/b]:car:\\udce9" in printed
