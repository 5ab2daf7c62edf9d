"""The embedded dataset: its characters, its images, and its cache."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch

from s2m2.data import glyphs
from s2m2.data.dataset import CACHE_VARIABLE, DATASET_FILE, IMAGES_FILE, LABELS_FILE, SPLITS, ImageDataset
from s2m2.data.glyphs import FACES, choose_characters, class_name, draw_glyphs, glyph_dataset, glyph_shapes
from s2m2.errors import InputError


def test_a_hundred_characters_are_different_letters_and_symbols() -> None:
    chosen = choose_characters(100)
    assert len(set(chosen)) == 100
    assert all(0x370 <= ord(character) <= 0x25FF and unicodedata.category(character)[0] in "LS" for character in chosen)


def test_fewer_characters_are_the_first_of_more() -> None:
    assert choose_characters(30)[:10] == choose_characters(10)


def test_no_two_characters_are_alike_in_any_rotation_or_mirror_image() -> None:
    shapes = np.stack([glyph_shapes(character, 32, 32)[0] for character in choose_characters(100)]).reshape(100, -1).astype(float)
    shapes -= shapes.mean(1, keepdims=True)
    shapes /= np.linalg.norm(shapes, axis=1, keepdims=True)
    for mirrored in (False, True):
        for turns in range(4):
            turned = shapes.reshape(-1, 32, 32)[:, :, :: -1 if mirrored else 1]
            alike = shapes @ np.rot90(turned, turns, (1, 2)).reshape(100, -1).T
            np.fill_diagonal(alike, 0.0)
            assert alike.max() < 0.95, (mirrored, turns)


def test_greek_and_cyrillic_letters_of_one_shape_are_not_both_chosen() -> None:
    chosen = set(choose_characters(100))
    for pair in ("\u0391\u0410", "\u039c\u041c", "\u03a4\u0422", "\u03a1\u0420", "\u041f\u03a0"):
        assert not set(pair) <= chosen


def test_every_face_draws_every_character_and_letters_its_own_way() -> None:
    for character in choose_characters(20):
        shapes = glyph_shapes(character, 48, 40)
        assert shapes.shape == (len(FACES), 48, 48)
        assert shapes.max(axis=(1, 2)).min() > 128
    letter = glyph_shapes("\u044f", 48, 40)
    assert len({shape.tobytes() for shape in letter}) == len(FACES)


def test_a_class_is_named_by_code_point_and_unicode_name() -> None:
    assert class_name("\u03b1") == "U+03B1 greek small letter alpha"


def test_more_classes_than_the_fonts_have_are_an_error_that_tells_how_many() -> None:
    with pytest.raises(InputError, match=r"the fonts have \d\d\d characters .* fewer than the 1000"):
        choose_characters(1000)


@pytest.mark.parametrize("symmetric", ["\u039d", "\u0418", "\u0397", "\u25a0", "\u25cb", "\u2573"])
def test_characters_that_look_the_same_after_a_rotation_are_not_chosen(symmetric: str) -> None:
    assert symmetric not in choose_characters(140)


def tiny(cache: Path | None) -> ImageDataset:
    return glyph_dataset(cache, classes=5, images_per_class=9, size=16)


def refuse_to_draw(*_: object) -> None:
    raise AssertionError("drawn again")


def test_drawing_again_gives_the_same_bytes() -> None:
    one, other = (draw_glyphs(seed=3, classes=4, images_per_class=10) for _ in range(2))
    assert one.digest == other.digest
    np.testing.assert_array_equal(one.images, other.images)


def test_the_digest_is_that_of_s2m2_0_1_0(small_glyphs: ImageDataset) -> None:
    assert small_glyphs.digest == "f41a318ff34aa97171857d66134d03c8a7a8fcf19eb48f14961ee9dc0b0cbbe7"


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


def test_the_cached_dataset_is_used_and_equals_the_drawn_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_damaged_cache_is_drawn_again(tmp_path: Path, damage: str) -> None:
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
def test_numbers_that_make_no_dataset_are_errors_naming_them(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match=f"glyphs: {next(iter(wrong))} is"):
        draw_glyphs(**wrong)
