"""Other spellings of a word: what is tried, and in which order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.text.embedding_spellings import halves, neighbours, parts, variants


@pytest.mark.parametrize(
    ("word", "first"),
    [
        ("frisbee", ["Frisbee", "FRISBEE"]),
        ("NASA", ["nasa", "Nasa"]),
        ("t-shirt", ["T-shirt", "T-SHIRT", "T-Shirt", "tshirt", "t_shirt"]),
        ("42", ["##"]),
        ("7", []),
    ],
)
def test_variants_are_the_same_word_written_otherwise(word, first):
    assert variants(word) == first


def test_accents_are_taken_off_or_apart():
    assert {"cafe", "cafe\u0301"} <= set(variants("caf\u00e9"))


@pytest.mark.parametrize(
    ("word", "first"),
    [
        ("frisbees", "frisbee"),
        ("benches", "bench"),
        ("puppies", "puppy"),
        ("walking", "walk"),
        ("running", "run"),
        ("skating", "skate"),
        ("stopped", "stop"),
        ("carried", "carry"),
        ("jumped", "jump"),
        ("smiled", "smil"),  # the stem with its e comes next
    ],
)
def test_the_likeliest_stem_comes_first(word, first):
    stem = neighbours(word)[0]
    assert stem == first or neighbours(word)[1] == first


@pytest.mark.parametrize(
    ("word", "inflected"),
    [
        ("frisbee", ["frisbees", "frisbeing", "frisbeed"]),
        ("bench", ["benches", "benching", "benched"]),
        ("puppy", ["puppies", "puppying", "puppied"]),
        ("boy", ["boys", "boying", "boyed"]),
        ("skate", ["skates", "skating", "skated"]),
        ("run", ["runs", "running", "runned"]),
        ("walk", ["walks", "walking", "walked"]),
    ],
)
def test_inflections_follow_english_spelling(word, inflected):
    assert neighbours(word) == inflected


def test_the_other_forms_of_a_stem_are_neighbours():
    assert {"skate", "skates", "skated"} <= set(neighbours("skating"))


@pytest.mark.parametrize("word", ["t-shirt", "42", "'s", "n't", "at"])
def test_what_is_no_word_by_itself_has_no_neighbours(word):
    assert neighbours(word) == []


@pytest.mark.parametrize("word", ["grass", "king", "red", "bus", "sing"])
def test_a_stem_has_three_letters_and_a_vowel(word):
    assert all(len(form) >= 3 for form in neighbours(word))
    assert not {"gras", "k", "r", "bu", "s"} & set(neighbours(word))


def test_parts_are_between_hyphens():
    assert parts("black-and-white") == ["black", "and", "white"]
    assert parts("t-shirt") == ["t", "shirt"]
    assert parts("shirt") == parts("shirt-") == parts("-") == []


def test_halves_are_two_known_words_as_even_as_can_be():
    known = {"fire", "truck", "fir", "etruck", "f", "iretruck"}
    assert halves("firetruck", known) == ["fire", "truck"]
    assert halves("firetrucks", known) == halves("fire", known) == []
    assert halves("firetruck", {"f", "iretruck"}) == []  # too short to be a word of a compound


@given(st.text(max_size=12))
def test_any_text_has_spellings_other_than_itself(word):
    for found in (variants(word), neighbours(word)):
        assert word not in found
        assert "" not in found
        assert len(found) == len(set(found))
    assert all(part in word for part in parts(word))
