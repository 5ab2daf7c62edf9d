"""Small files in the layouts that learn2learn downloads, as the bytes that its addresses give."""

import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image

from s2m2.data.dataset import SPLITS
from s2m2.data.learn2learn import MODES
from s2m2.data.splitting import read_packaged_list

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
