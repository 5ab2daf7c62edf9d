"""Downloads through learn2learn's real classes, on small files in their layouts; only the network is made up."""

import io
import pickle
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from s2m2.cli import main
from s2m2.data.catalog import load_dataset
from s2m2.data.dataset import CACHE_VARIABLE, SPLITS
from s2m2.data.learn2learn_datasets import CLASSES, MODES, downloaded_dataset, import_learn2learn
from s2m2.data.splits import read_packaged_list
from s2m2.errors import InputError
from s2m2.recipe import DataConfig

SHORT = {"base": "train", "validation": "val", "novel": "test"}
Files = dict[str, bytes]
"""Content of what is downloaded, by the last part of its address."""


def noise(count: int, size: int, name: str) -> np.ndarray:
    return np.random.default_rng(list(name.encode())).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def encoded(image: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


@cache
def mini_imagenet() -> Files:
    files = {}
    for split, mode in zip(SPLITS, MODES, strict=True):
        names = read_packaged_list("mini_imagenet")[split]
        rows = {name: [2 * number, 2 * number + 1] for number, name in enumerate(names)}
        content = {"image_data": noise(2 * len(names), 84, mode), "class_dict": rows}
        files[f"mini-imagenet-cache-{mode}.pkl"] = pickle.dumps(content)
    return files


@cache
def tiered_imagenet() -> Files:
    lists = read_packaged_list("tiered_imagenet")
    all_names = [name for split in SPLITS for name in lists[split][:4]]
    files = {"class_names.txt": "\n".join(f"the {name}" for name in all_names).encode(), "synsets.txt": "\n".join(all_names).encode()}
    for split, mode in SHORT.items():
        labels = np.arange(4).repeat(2)
        files[f"{mode}_images_png.pkl"] = pickle.dumps([np.frombuffer(encoded(one), np.uint8)[:, None] for one in noise(8, 84, mode)])
        names = [f"the {name}" for name in lists[split][:4]]
        files[f"{mode}_labels.pkl"] = pickle.dumps({"label_specific": labels, "label_general": labels // 2, "label_specific_str": names})
    return {f"tiered-imagenet-{name}": content for name, content in files.items()}


@cache
def cifar_fs() -> Files:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for split, mode in SHORT.items():
            names = read_packaged_list("cifar_fs")[split][:3]
            file.writestr(f"cifar100/splits/bertinetto/{mode}.txt", "".join(f"{name}\n" for name in names))
            for name in names:
                for number, image in enumerate(noise(2, 32, name)):
                    file.writestr(f"cifar100/data/{name}/{name}_s_{number:06}.png", encoded(image))
    return {"cifar100.zip": archive.getvalue()}


@cache
def fc100() -> Files:
    archive, numbers = io.BytesIO(), sorted(name for split in SPLITS for name in read_packaged_list("fc100")[split])
    with zipfile.ZipFile(archive, "w") as file:
        for split, mode in SHORT.items():
            labels = [numbers.index(name) for name in read_packaged_list("fc100")[split] for _ in range(2)]
            content = {"data": noise(len(labels), 32, mode), "labels": labels}
            file.writestr(f"FC100_{mode}.pickle", pickle.dumps(content, protocol=2))
    return {"fc100.zip": archive.getvalue()}


@cache
def cub() -> Files:
    archive, names = io.BytesIO(), sorted(name for split in SPLITS for name in read_packaged_list("cub")[split])
    content = {"classes.txt": "".join(f"{number} {name}\n" for number, name in enumerate(names, 1)).encode()}
    images = {f"{name}/{name[4:]}_0001_{number}.jpg": encoded(noise(1, 16, name)[0], "JPEG") for number, name in enumerate(names)}
    content["images.txt"] = "".join(f"{number} {file}\n" for number, file in enumerate(images, 1)).encode()
    content |= {f"images/{file}": image for file, image in images.items()}
    with tarfile.open(fileobj=archive, mode="w:gz") as file:
        for name, part in content.items():
            add_file(file, f"CUB_200_2011/{name}", part)
    return {"CUB_200_2011.tgz": archive.getvalue()}


def add_file(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


ARCHIVES: dict[str, Callable[[], Files]] = {
    "mini_imagenet": mini_imagenet,
    "tiered_imagenet": tiered_imagenet,
    "cifar_fs": cifar_fs,
    "fc100": fc100,
    "cub": cub,
}


try:
    l2l: Any = import_learn2learn()
except InputError as missing:
    pytest.skip(str(missing), allow_module_level=True)


class Network:
    """Stands for the package `requests` in learn2learn's downloads."""

    def __init__(self, answer: Callable[[str], bytes]) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.Session = lambda: self

    def get(self, address: str, **_: object) -> Any:
        name = address.rpartition("/")[2].partition("?")[0]
        self.asked.append(name)
        content = self.answer(name)
        return SimpleNamespace(cookies={}, iter_content=lambda chunk_size: self._pieces(content))

    def _pieces(self, content: bytes) -> Iterator[bytes]:
        yield content[: len(content) // 2]
        yield content[len(content) // 2 :]


Connect = Callable[[Callable[[str], bytes]], Network]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    def with_answer(answer: Callable[[str], bytes]) -> Network:
        network = Network(answer)
        monkeypatch.setattr(l2l.data.utils, "requests", network)
        return network

    return with_answer


def offline(name: str) -> bytes:
    raise ConnectionError(f"no route\nto {name}")


@pytest.mark.parametrize("name", CLASSES)
def test_a_dataset_has_the_images_and_classes_of_learn2learns_dataset(name: str, tmp_path: Path, connect: Connect) -> None:
    network = connect(ARCHIVES[name]().__getitem__)
    dataset = downloaded_dataset(name, tmp_path)
    assert sorted(network.asked) == sorted(ARCHIVES[name]())
    assert (dataset.name, len(set(dataset.labels.tolist()))) == (name, len(dataset.class_names))
    typed_label = {image.tobytes(): int(label) for image, label in zip(dataset.images, dataset.labels, strict=True)}
    total = 0
    for split, mode in zip(SPLITS, MODES, strict=True):
        # What learn2learn itself reads of the same files.
        original = getattr(l2l.vision.datasets, CLASSES[name])(str(tmp_path / "learn2learn" / name / "files"), mode=mode)
        pairs = {(int(label), typed_label[pixels(image).tobytes()]) for image, label in original}
        labels, class_numbers = (sorted(column) for column in zip(*pairs, strict=True))
        assert len(set(labels)) == len(labels) == len(set(class_numbers))
        if name != "cub":  # which learn2learn divides as Meta-Dataset does
            assert set(class_numbers) == set(dataset.splits[split])
        total += len(original)
    assert total == len(dataset.images)


def pixels(image: Any) -> np.ndarray:
    if isinstance(image, Image.Image):
        return np.asarray(image.convert("RGB"))
    return image.permute(1, 2, 0).byte().numpy()


@pytest.mark.parametrize(("name", "split", "counts"), [("mini_imagenet", "mini_imagenet", (64, 16, 20)), ("cub", "cub", (100, 50, 50))])
def test_classes_have_their_names_and_the_papers_splits(
    name: str, split: str, counts: tuple[int, int, int], tmp_path: Path, connect: Connect
) -> None:
    connect(ARCHIVES[name]().__getitem__)
    dataset = downloaded_dataset(name, tmp_path)
    assert tuple(len(dataset.splits[part]) for part in SPLITS) == counts
    for part in SPLITS:
        assert {dataset.class_names[number] for number in dataset.splits[part]} == set(read_packaged_list(split)[part])


def test_the_second_time_the_dataset_comes_from_the_cache(tmp_path: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    connect(fc100().__getitem__)
    first = load_dataset("fc100", "learn2learn")
    connect(offline)
    monkeypatch.setitem(sys.modules, "learn2learn", None)
    assert load_dataset("fc100", "learn2learn").digest == first.digest


def test_files_that_lie_in_the_cache_are_not_downloaded(tmp_path: Path, connect: Connect) -> None:
    network = connect(offline)
    files = tmp_path / "learn2learn" / "mini_imagenet" / "files"
    files.mkdir(parents=True)
    for name, content in mini_imagenet().items():
        (files / name).write_bytes(content)
    assert len(l2l.vision.datasets.MiniImagenet(str(files), mode="validation", download=True)) == 32
    assert downloaded_dataset("mini_imagenet", tmp_path).images.shape == (200, 84, 84, 3)
    assert network.asked == []


def test_several_processes_download_once(tmp_path: Path, connect: Connect) -> None:
    network = connect(fc100().__getitem__)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: downloaded_dataset("fc100", tmp_path), range(2))
    assert network.asked == ["fc100.zip"]
    assert first.digest == second.digest


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize(
    ("answer", "reason"), [(offline, "ConnectionError: no route to"), (lambda _: b"<html>404</html>", "no pickle|zip file|not be opened")]
)
def test_a_failed_download_is_one_line_and_leaves_nothing(
    name: str, answer: Callable[[str], bytes], reason: str, tmp_path: Path, connect: Connect
) -> None:
    connect(answer)
    with pytest.raises(InputError, match=f"learn2learn cannot download {name}: .*({reason})") as caught:
        downloaded_dataset(name, tmp_path)
    assert "\n" not in str(caught.value)
    assert left_in(tmp_path) == []


def left_in(cache: Path) -> list[str]:
    return [path.name for path in (cache / "learn2learn").iterdir() if not path.name.endswith(".lock")]


@pytest.mark.parametrize("breaking", [2, 3])
def test_an_interrupted_download_leaves_nothing(breaking: int, tmp_path: Path, connect: Connect) -> None:
    files = iter(mini_imagenet().items())

    def answer(name: str) -> bytes:
        if len(network.asked) == breaking:
            raise KeyboardInterrupt
        return dict([next(files)])[name]

    network = connect(answer)
    with pytest.raises(KeyboardInterrupt):
        downloaded_dataset("mini_imagenet", tmp_path)
    assert left_in(tmp_path) == []


class Trap:
    """Runs code when it is unpickled."""

    sprung = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return spring, ()


def spring() -> dict[str, Any]:
    Trap.sprung += 1
    return {}


@pytest.mark.parametrize("name", ["mini_imagenet", "tiered_imagenet", "fc100"])
def test_nothing_that_a_downloaded_pickle_asks_for_is_run(name: str, tmp_path: Path, connect: Connect) -> None:
    def answer(file: str) -> bytes:
        if not file.endswith(".zip"):
            return pickle.dumps(Trap())
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as opened:
            for mode in SHORT.values():
                opened.writestr(f"FC100_{mode}.pickle", pickle.dumps(Trap()))
        return archive.getvalue()

    connect(answer)
    module = sys.modules[getattr(l2l.vision.datasets, CLASSES[name]).__module__]
    with pytest.raises(InputError, match=f"learn2learn cannot download {name}: .* is refused: it names .*spring"):
        downloaded_dataset(name, tmp_path)
    assert Trap.sprung == 0
    assert left_in(tmp_path) == []
    assert module.pickle is pickle


def test_an_archive_writes_nothing_outside_its_folder(tmp_path: Path, connect: Connect) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as file:
        add_file(file, "../../../outside.txt", b"")
    connect(lambda _: archive.getvalue())
    before = tarfile.TarFile.extraction_filter
    with pytest.raises(InputError, match="OutsideDestinationError"):
        downloaded_dataset("cub", tmp_path / "cache")
    assert not list(tmp_path.rglob("outside.txt"))
    assert tarfile.TarFile.extraction_filter is before


def test_names_are_checked_before_anything_is_imported() -> None:
    with pytest.raises(InputError, match=r"--data\.path is glyphs, but must be one of mini_imagenet, .*cub with --data\.download"):
        DataConfig(download="learn2learn")
    with pytest.raises(InputError, match="learn2learn downloads no dataset omniglot"):
        downloaded_dataset("omniglot")
    assert {DataConfig(path=name, download="learn2learn").path for name in CLASSES} == set(CLASSES)
    with pytest.raises(InputError, match=r"no dataset cub: .*; --data\.download learn2learn obtains it"):
        load_dataset("cub")


def test_without_the_extra_one_line_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setitem(sys.modules, "learn2learn", None)
    flags = ["--data.path", "cub", "--data.download", "learn2learn", "--runtime.accelerator", "cpu"]
    assert main(["pretrain", "--run", str(tmp_path / "run"), *flags]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("s2m2 pretrain: learn2learn is not installed; in a checkout `uv sync --extra learn2learn`")
    assert not (tmp_path / "run").exists()
