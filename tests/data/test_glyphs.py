import json
from pathlib import Path

import numpy as np
import pytest
import torch

from s2m2.data import glyphs
from s2m2.data.cache import CACHE_VARIABLE
from s2m2.data.dataset import DATASET_FILE, IMAGES_FILE, LABELS_FILE, SPLITS, ImageDataset
from s2m2.data.glyphs import draw_glyphs, glyph_dataset
from s2m2.errors import InputError


def tiny(cache: Path | None) -> ImageDataset:
    return glyph_dataset(cache, classes=5, images_per_class=9, size=16)


def refuse_to_draw(*_: object) -> None:
    raise AssertionError("drawn again")


def test_drawing_again_gives_the_same_bytes() -> None:
    one, other = (draw_glyphs(seed=3, classes=4, images_per_class=10) for _ in range(2))
    assert one.digest == other.digest
    np.testing.assert_array_equal(one.images, other.images)


def test_the_number_of_threads_changes_nothing_and_is_put_back() -> None:
    before = torch.get_num_threads()
    digests = set()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        digests.add(draw_glyphs(classes=3, images_per_class=20).digest)
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert len(digests) == 1


def test_the_global_generators_are_left_alone() -> None:
    before = torch.get_rng_state()
    draw_glyphs(classes=3, images_per_class=2)
    assert torch.equal(before, torch.get_rng_state())


def test_another_seed_varies_the_images_and_not_the_classes() -> None:
    one, other = (draw_glyphs(seed=seed, classes=3, images_per_class=4) for seed in (0, 1))
    assert one.class_names == other.class_names
    assert one.digest != other.digest
    assert not (one.images == other.images).all(axis=(1, 2, 3)).any()


def test_a_class_looks_the_same_however_many_classes_there_are() -> None:
    few, more = (draw_glyphs(classes=classes, images_per_class=4) for classes in (3, 6))
    np.testing.assert_array_equal(few.images, more.images[: len(few.images)])


def test_counts_labels_and_splits_of_the_default_number_of_classes() -> None:
    dataset = draw_glyphs(images_per_class=2, size=16)
    assert dataset.images.shape == (200, 16, 16, 3)
    assert (np.bincount(dataset.labels) == 2).all()
    assert [len(dataset.splits[split]) for split in SPLITS] == [64, 16, 20]
    assert sorted(number for split in SPLITS for number in dataset.splits[split]) == list(range(100))
    assert len(set(dataset.class_names)) == 100


def test_every_image_differs_and_shows_ink_on_paper() -> None:
    dataset = draw_glyphs(classes=3, images_per_class=40)
    assert len({image.tobytes() for image in dataset.images}) == 120
    assert (dataset.images.astype(float).std(axis=(1, 2)).max(axis=1) > 8).all()


def test_mean_colors_of_a_class_do_not_tell_it() -> None:
    dataset = draw_glyphs(classes=6, images_per_class=120)
    colors = dataset.images.reshape(6, 120, -1, 3).mean(axis=(1, 2))
    assert colors.std(axis=0).max() < 15


def test_the_cached_table_is_used_and_equals_the_drawn_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tiny(tmp_path)
    assert first.digest == draw_glyphs(classes=5, images_per_class=9, size=16).digest
    monkeypatch.setattr(glyphs, "_draw_classes", refuse_to_draw)
    second = tiny(tmp_path)
    assert second.digest == first.digest
    np.testing.assert_array_equal(second.images, first.images)
    with pytest.raises(AssertionError, match="drawn again"):
        glyph_dataset(tmp_path, classes=5, images_per_class=9, size=17)


@pytest.mark.parametrize(
    "damage", ["short images", "a changed pixel", "no labels", "cut description", "no digest", "a list", "other settings"]
)
def test_a_damaged_cache_is_drawn_anew(tmp_path: Path, damage: str) -> None:
    digest = tiny(tmp_path).digest
    (folder,) = tmp_path.iterdir()
    images, description = folder / IMAGES_FILE, folder / DATASET_FILE
    described = json.loads(description.read_text())
    match damage:
        case "short images":
            images.write_bytes(images.read_bytes()[:-100])
        case "a changed pixel":
            content = bytearray(images.read_bytes())
            content[-1] ^= 1
            images.write_bytes(content)
        case "no labels":
            (folder / LABELS_FILE).unlink()
        case "cut description":
            description.write_text(description.read_text()[:50])
        case "no digest":
            description.write_text(json.dumps({key: value for key, value in described.items() if key != "digest"}))
        case "a list":
            description.write_text("[]")
        case "other settings":
            description.write_text(json.dumps(described | {"settings": {}}))
    dataset = tiny(tmp_path)
    assert dataset.digest == digest
    np.testing.assert_array_equal(dataset.images, draw_glyphs(classes=5, images_per_class=9, size=16).images)
    assert list(tmp_path.iterdir()) == [folder]


def test_the_environment_names_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    tiny(None)
    assert [folder.name for folder in (tmp_path / "cache").iterdir()] == [f"glyphs-v{glyphs.DRAWING}-seed0-5x9-16px"]


def test_an_interrupted_drawing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(glyphs, "_draw", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tiny(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_an_error_naming_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*file"):
        tiny(tmp_path / "file")


@pytest.mark.parametrize("wrong", [{"classes": 2}, {"images_per_class": 0}, {"size": 8}, {"seed": -1}])
def test_numbers_that_make_no_table_are_errors_naming_them(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match=f"glyphs: {next(iter(wrong))} is"):
        draw_glyphs(**wrong)
