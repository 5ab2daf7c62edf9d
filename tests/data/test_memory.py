"""What `prepare` holds in memory of pickles that are larger: next to nothing, as their images are read one by one."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np

from tests.data.sources.trees import classes_of, png, write_pickle

MEGABYTE = 1 << 20
PREPARE = """
    import resource, sys
    from pathlib import Path
    from s2m2.data.preparation import prepare
    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    prepare(Path(sys.argv[1]), Path(sys.argv[2]), workers=1)
    before = peak()
    dataset = prepare(Path(sys.argv[3]), Path(sys.argv[4]), workers=1)
    print(peak() - before, dataset.images.nbytes >> 20)
"""


def growth(tmp_path: Path, small: Path, large: Path) -> tuple[int, int]:
    """Megabytes by which memory grows from the preparation of one source to that of a larger one, and megabytes of its dataset."""
    arguments = [str(path) for path in (small, tmp_path / "small dataset", large, tmp_path / "large dataset")]
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(PREPARE), *arguments], capture_output=True, text=True, check=True)
    more, size = map(int, done.stdout.split()[-2:])
    return more, size


def write_mini(root: Path, each: int) -> Path:
    """The three caches, so many images of every class in each."""
    for stem, names in classes_of("mini_imagenet").items():
        images = np.full((each * len(names), 84, 84, 3), 7, dtype=np.uint8)
        rows = {name: list(range(place, len(images), len(names))) for place, name in enumerate(names)}
        write_pickle(root / f"mini-imagenet-cache-{stem}.pkl", {"image_data": images, "class_dict": rows}, 4)
    return root


def write_tiered(root: Path, each: int) -> Path:
    """The pickle pairs; every image is 20 kB long, as bytes behind the end of a PNG file are no part of it."""
    padded = np.concatenate([png(np.zeros((4, 4, 3), np.uint8)), np.zeros((20_000, 1), np.uint8)])
    for stem, names in classes_of("tiered_imagenet").items():
        write_pickle(root / f"{stem}_images_png.pkl", [padded.copy() for _ in range(each * len(names))], 4)
        write_pickle(root / f"{stem}_labels.pkl", {"label_specific": np.arange(each * len(names)) % len(names)}, 4)
    return root


def test_pickle_caches_are_not_held_in_memory(tmp_path: Path) -> None:
    more, size = growth(tmp_path, write_mini(tmp_path / "small", 1), write_mini(tmp_path / "large", 30))
    assert size == 60
    assert more < 15


def test_pickled_lists_of_encoded_images_are_not_held_in_memory(tmp_path: Path) -> None:
    large = write_tiered(tmp_path / "large", 6)
    assert sum(path.stat().st_size for path in large.iterdir()) > 65 * MEGABYTE
    more, _ = growth(tmp_path, write_tiered(tmp_path / "small", 1), large)
    assert more < 15
