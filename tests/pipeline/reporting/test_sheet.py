"""The sheet shows every picture, with its texts inside its cell."""

import numpy as np
import pytest
from PIL import Image

from pipeline.reporting.sheet import GAP, LINES, SIDE, Entry, _font, _wrapped, draw_sheet


def entries(colours):
    pictures = [Image.new("RGB", (300, 200), colour) for colour in colours]
    return [Entry(picture, "a dog " * 30, "a person: a cat") for picture in pictures]


def test_every_picture_is_shown_in_its_place():
    sheet = draw_sheet(entries(["red", "green", "blue"]), columns=2)
    pixels = np.asarray(sheet)
    step = SIDE + GAP
    assert pixels[GAP + 5, GAP + 5].tolist() == [255, 0, 0]
    assert pixels[GAP + 5, GAP + step + 5].tolist() == [0, 128, 0]
    assert pixels[sheet.height // 2 + GAP + 5, GAP + 5].tolist() == [0, 0, 255]


def test_long_texts_are_cut_and_stay_below_their_picture():
    sheet = np.asarray(draw_sheet(entries(["red"]), columns=4))
    assert (sheet[:, -GAP:] == 255).all()
    lines = _wrapped("a dog " * 30, _font(), lines=LINES // 2)
    assert len(lines) == LINES // 2
    assert lines[-1].endswith("…")


def test_a_word_wider_than_the_picture_is_broken_by_letters():
    font = _font()
    word = "Donaudampfschifffahrt" * 5
    lines = _wrapped(f"an {word} sails", font, lines=9)
    assert len(lines) > 2
    assert "".join(lines[1:]) == f"{word} sails"
    for few in (1, 2):
        cut = _wrapped(f"{word} sails", font, lines=few)
        assert len(cut) == few
        assert cut[-1].endswith("…")
        assert all(font.getlength(line) <= SIDE for line in [*lines, *cut])


def test_letters_of_other_languages_are_in_the_font():
    unknown = bytes(_font().getmask("\uffff"))
    for letter in "éñüßçøž—“”…":
        assert bytes(_font().getmask(letter)) != unknown, letter


def test_no_pictures_is_an_error():
    with pytest.raises(ValueError, match="Received: none"):
        draw_sheet([], columns=2)
