"""Training batches."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.captioner.batches import Batches, Captions, pad, shift
from pipeline.text.marks import END, PAD, START, UNKNOWN


def some_captions(lengths: list[int]) -> Captions:
    """Captions of given numbers of words, each with a word of its own: 100, 101, ..."""
    tokens = [[START, *[100 + row] * length, END] for row, length in enumerate(lengths)]
    return Captions(np.arange(len(lengths)) // 2, tokens)


def batches_of(lengths: list[int], size: int, seed: int = 1, multiple: int = 1) -> Batches:
    features = np.arange(len(lengths) * 2.0).reshape(-1, 2)
    return Batches(some_captions(lengths), features, size, seed, multiple)


def test_shift_is_as_drawn_in_the_module_s_head():
    inputs, targets, weights = shift(np.array([[START, 7, 9, END, PAD]]))
    assert inputs.tolist() == [[START, 7, 9, END]]
    assert targets.tolist() == [[7, 9, END, PAD]]
    assert weights.tolist() == [[1, 1, 1, 0]]


def test_unknown_words_are_read_but_not_learned():
    inputs, _, weights = shift(np.array([[START, UNKNOWN, 9, END]]))
    assert inputs.tolist() == [[START, UNKNOWN, 9]]
    assert weights.tolist() == [[0, 1, 1]]


def test_padding_is_at_the_end():
    assert pad([[1, 5, 2], [1, 2]]).tolist() == [[1, 5, 2], [1, 2, PAD]]
    assert pad([[1, 5, 2], [1, 2]]).dtype == np.int32


@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=40), multiple=st.integers(1, 5))
@settings(deadline=None)
def test_lengths_are_multiples_and_nothing_else_changes(lengths, multiple):
    for own, padded in zip(
        batches_of(lengths, 3), batches_of(lengths, 3, 1, multiple), strict=True
    ):
        width = own[1].shape[1]
        assert padded[1].shape[1] == -(-width // multiple) * multiple
        for one, other in ((own[0][1], padded[0][1]), (own[1], padded[1]), (own[2], padded[2])):
            np.testing.assert_array_equal(other[:, :width], one)
        assert not padded[2][:, width:].any(), "padding weighs nothing"
        assert (padded[1][:, width:] == PAD).all()


@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=40),
    size=st.integers(1, 12),
    seed=st.integers(0, 5),
    epoch=st.integers(0, 5),
)
@settings(deadline=None)
def test_an_epoch_has_every_caption_exactly_once(lengths, size, seed, epoch):
    batches = batches_of(lengths, size, seed)
    batches.begin(epoch)
    seen = {}
    for index in range(len(batches)):
        (pictures, inputs), targets, weights = batches[index]
        assert len(pictures) == len(inputs) <= size
        assert batches.words(index) == weights.sum() == (targets != PAD).sum()
        for picture, ids, wanted in zip(pictures, inputs, targets, strict=True):
            row = int(ids[1]) - 100
            assert row not in seen
            seen[row] = None
            whole = [ids[0], *wanted[wanted != PAD]]
            assert whole == batches.captions.tokens[row]
            assert picture.tolist() == batches.features[row // 2].tolist()  # its own picture
    assert len(seen) == len(lengths)
    assert len(batches) == -(-len(lengths) // size)


def test_little_padding_is_computed():
    lengths = np.random.default_rng(1).integers(4, 20, 1000).tolist()
    batches = batches_of(lengths, 32)
    padded = sum((batches[index][1] == PAD).sum() for index in range(len(batches)))
    assert padded / sum(lengths) < 0.03


def order(batches: Batches, epoch: int) -> list[list[int]]:
    batches.begin(epoch)
    return [rows.tolist() for rows in batches.order]


def test_the_order_depends_on_the_seed_and_the_epoch_alone():
    lengths = [3, 5] * 20
    one, other = batches_of(lengths, 8), batches_of(lengths, 8)
    first = order(one, 0)
    seventh = order(other, 7)  # without the epochs before it
    for epoch in range(1, 7):
        order(one, epoch)
    assert order(one, 7) == seventh != first
    assert order(one, 0) == first
    assert order(batches_of(lengths, 8, seed=2), 0) != first


def test_batches_do_not_come_in_the_order_of_their_lengths():
    batches = batches_of(list(range(1, 65)), 4)
    longest = [batches[index][1].shape[1] for index in range(len(batches))]
    assert longest != sorted(longest)


def test_half_precision_features_reach_the_model_as_float32():
    batches = Batches(some_captions([2, 3]), np.ones((1, 4), "float16"), 2, seed=0)
    (pictures, _), _, _ = batches[0]
    assert pictures.dtype == np.float32
