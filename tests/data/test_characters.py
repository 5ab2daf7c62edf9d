import unicodedata

import numpy as np
import pytest

from s2m2.data.characters import FACES, choose_characters, class_name, glyph_shapes
from s2m2.errors import InputError


def test_a_hundred_characters_are_different_letters_and_symbols() -> None:
    chosen = choose_characters(100)
    assert len(set(chosen)) == 100
    assert all(0x370 <= ord(character) <= 0x25FF and unicodedata.category(character)[0] in "LS" for character in chosen)


def test_fewer_characters_are_the_first_of_more() -> None:
    assert choose_characters(30)[:10] == choose_characters(10)


def test_no_two_characters_are_alike_in_any_turn_or_mirror_image() -> None:
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
def test_characters_that_look_the_same_after_a_turn_are_not_chosen(symmetric: str) -> None:
    assert symmetric not in choose_characters(140)
