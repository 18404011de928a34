"""Maps over pictures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.captioner.looks import Looks
from pipeline.reporting.attention_maps import COLUMNS, DARKEST, ROWS, draw, overlay, place_of

WHITE = Image.new("RGB", (90, 60), "white")


def one_place(row: int, column: int, side: int = 3) -> np.ndarray:
    weights = np.zeros((side, side), "float32")
    weights[row, column] = 1
    return weights


@pytest.mark.parametrize("row", range(3))
@pytest.mark.parametrize("column", range(3))
def test_the_picture_is_bright_where_the_decoder_looked(row, column):
    light = np.asarray(overlay(WHITE, one_place(row, column)))[..., 0] / 255
    at = light[row * 20 + 10, column * 30 + 15]
    assert at > 0.9
    corner = light[0 if row else -1, 0 if column else -1]
    assert corner == pytest.approx(DARKEST, abs=0.02)
    names = place_of(one_place(row, column))
    assert names == ("centre" if row == column == 1 else f"{ROWS[row]} {COLUMNS[column]}")


def test_two_sides_have_no_middle():
    both = one_place(1, 0, 7) * 0.6 + one_place(1, 6, 7) * 0.4
    assert place_of(both) == "top left"
    assert place_of(both[:, ::-1]) == "top right"


@pytest.mark.parametrize("side", [1, 3, 5, 7])
def test_an_even_look_is_at_no_place(side):
    assert place_of(np.full((side, side), 1 / side**2, "float32")) == ""
    assert place_of(np.zeros((side, side), "float32")) == ""


def test_a_place_on_a_border_counts_for_both_sides():
    weights = np.ones((7, 7), "float32")  # 2 of 7 rows are above the middle third, and a part
    weights[2, 2] += 1
    assert place_of(weights) == "centre"  # it has two thirds of that row, and of that column
    weights[1, 1] += 1
    assert place_of(weights) == "top left"


def test_even_looks_leave_the_picture_as_it_is():
    assert overlay(WHITE, np.full((7, 7), 1 / 49, "float32")).tobytes() == WHITE.tobytes()


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_any_map_keeps_the_shape_and_adds_no_light(height, width, seed):
    weights = np.random.default_rng(seed).random((height, width), dtype="float32")
    picture = Image.effect_noise((23, 17), 90).convert("RGB")
    drawn = overlay(picture, weights)
    assert (drawn.size, drawn.mode) == (picture.size, "RGB")
    assert (np.asarray(drawn) <= np.asarray(picture)).all()


def test_words_with_their_maps():
    maps = np.stack([one_place(0, 0), one_place(2, 2)])
    first, second = draw(WHITE, ["a", "dog"], Looks(maps, np.array([0.75, 0.0])))
    assert (first.word, first.place, first.share) == ("a", "top left", 0.25)
    assert (second.word, second.place, second.share) == ("dog", "bottom right", 1.0)
