"""Vectors of a vocabulary: from where each word's comes, and what they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.text.embedding_match import Source, count_sources, coverage, find_sources, match
from pipeline.text.marks import END, MARKS, PAD, START, UNKNOWN
from pipeline.text.vocabulary import Vocabulary

FILE = """the 1 2
dog 3 4
Frisbee 5 6
t 1 1
shirt 3 5
skate 7 8
fire 0 1
truck 2 3
"""
WORDS = ("the", "dog", "frisbee", "t-shirt", "skating", "fire", "truck", "firetruck", "zebra")


def vocabulary(*words):
    return Vocabulary((*MARKS, *words), (1,) * (len(MARKS) + len(words)))


@pytest.fixture
def matched(tmp_path):
    """Match words with a file."""

    def matcher(words=WORDS, content=FILE, seed=1):
        path = tmp_path / "vectors.txt"
        path.write_text(content)
        return match(vocabulary(*words), path, "auto", seed)

    return matcher


def test_each_word_is_found_the_closest_way(matched):
    assert matched().sources == {
        "the": Source("exact", ("the",)),
        "dog": Source("exact", ("dog",)),
        "frisbee": Source("variant", ("Frisbee",)),
        "t-shirt": Source("parts", ("t", "shirt")),
        "skating": Source("neighbour", ("skate",)),
        "fire": Source("exact", ("fire",)),
        "truck": Source("exact", ("truck",)),
        "firetruck": Source("parts", ("fire", "truck")),
        "zebra": Source("random", ()),
    }


def test_a_row_is_the_vector_of_the_word_with_that_id(matched):
    matrix = matched().matrix
    assert matrix.dtype == np.float32
    assert matrix.shape == (len(MARKS) + len(WORDS), 2)
    wanted = [[1, 2], [3, 4], [5, 6], [2, 3], [7, 8], [0, 1], [2, 3], [1, 2]]
    np.testing.assert_array_equal(matrix[len(MARKS) : -1], wanted)


def test_padding_is_zero_and_unknown_is_the_mean(matched):
    matrix = matched().matrix
    assert not matrix[PAD].any()
    np.testing.assert_allclose(matrix[UNKNOWN], matrix[len(MARKS) : -1].mean(axis=0), rtol=1e-6)
    assert matrix[START].any()
    assert (matrix[START] != matrix[END]).all()


@pytest.mark.parametrize(
    ("word", "file", "source"),
    [
        ("frisbees", "frisbee 1\nFrisbees 2\nfrisbees 3\n", Source("exact", ("frisbees",))),
        ("frisbees", "frisbee 1\nFrisbees 2\n", Source("variant", ("Frisbees",))),
        ("t-shirts", "t 1\nshirts 2\nT-shirts 3\n", Source("variant", ("T-shirts",))),
        ("blue-shirted", "blue 1\nshirt 2\n", Source("parts", ("blue", "shirt"))),
        ("blue-zzz", "blue 1\n", Source("random", ())),
        ("n't", "n 1\nt 2\nnt 3\n", Source("random", ())),
        ("carpet", "car 1\npet 2\n", Source("random", ())),  # they are no words of the captions
    ],
)
def test_the_order_of_the_ways(matched, word, file, source):
    assert matched(("a", word), "a 0\n" + file).sources[word] == source


def test_where_a_spelling_stands_in_the_file_does_not_matter(matched):
    lines = FILE.splitlines(keepends=True)
    words = (*WORDS, "skate", "frisbees", "dogs", "shirts")
    one, other = matched(words, "".join(lines)), matched(words, "".join(reversed(lines)))
    assert one.sources == other.sources
    np.testing.assert_array_equal(one.matrix, other.matrix)


def test_what_is_drawn_depends_on_the_seed_and_the_word_alone(matched):
    first = matched().matrix
    np.testing.assert_array_equal(first, matched().matrix)
    assert (matched(seed=2).matrix[-1] != first[-1]).all()
    moved = matched(("zebra", *WORDS[:-1])).matrix
    np.testing.assert_allclose(moved[len(MARKS)], first[-1], rtol=1e-6)


def test_what_is_drawn_has_the_mean_and_deviation_of_what_is_found(matched):
    known = "".join(f"w{n} {10 + n % 5} {-0.01 * (n % 7)}\n" for n in range(700))
    words = [f"w{n}" for n in range(700)]
    drawn = matched([*words, *(f"q{n}" for n in range(4000))], known).matrix[-4000:]
    found = matched(words, known).matrix[len(MARKS) :]
    standard = (drawn - found.mean(axis=0)) / found.std(axis=0)
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=0.06)
    np.testing.assert_allclose(standard.std(axis=0), 1, atol=0.05)


def test_one_word_found_is_enough(matched):
    matrix = matched(("dog", "zebra")).matrix
    assert np.isfinite(matrix).all()
    assert (matrix[-1] != matrix[-2]).all()


@pytest.mark.parametrize("number", ["3.4e38", "-3.4e38"])
def test_numbers_at_the_bound_of_float32_stay_finite(matched, number):
    words = ("a", "b", *(f"q{n}" for n in range(50)))
    matrix = matched(words, f"a {number}\nb 0\n").matrix
    assert np.isfinite(matrix).all()


def test_no_word_in_common_is_told(matched):
    with pytest.raises(InputError, match=r"none of them in the vocabulary\. Use vectors of the"):
        matched(("hund", "katze"))


def test_a_missing_file_is_told_with_what_to_fetch(tmp_path):
    (tmp_path / "README.md").touch()
    for there in ("nothing", "other.vec"):
        with pytest.raises(InputError) as caught:
            match(vocabulary("dog"), tmp_path / "glove.txt", "auto", 1)
        message = str(caught.value)
        assert f"where there is: {there}. Fetch glove.6B.zip from https" in message
        assert "crawl-300d-2M.vec" in message
        assert "\n" not in message
        (tmp_path / "other.vec").touch()


def test_coverage_is_a_share_of_words_and_of_what_is_said():
    sources = {
        "dog": Source("exact", ("dog",)),
        "dogs": Source("neighbour", ("dog",)),
        "zebra": Source("random", ()),
    }
    captions = {"train": [["dog", "zebra"], ["dogs", "dog", "other"]], "val": [["other"]]}
    assert coverage(captions, sources) == {"words": 2 / 3, "train": 3 / 4, "val": 1.0}
    assert count_sources(sources) == {
        "exact": 1,
        "variant": 0,
        "neighbour": 1,
        "parts": 0,
        "random": 1,
    }


SYLLABLES = st.sampled_from(["fri", "dog", "s", "ing", "-", "ed", "e"])
ANY_WORD = st.lists(SYLLABLES, min_size=1, max_size=4).map("".join)


@settings(deadline=None)
@given(st.sets(ANY_WORD, min_size=1, max_size=8), st.sets(ANY_WORD, max_size=8))
def test_a_word_of_the_file_is_always_found_and_every_source_is_in_it(words, file):
    rows = {word: np.zeros(1, np.float32) for word in file}
    for word, source in find_sources(sorted(words), rows).items():
        assert (source.how == "exact") == (word in file)
        assert set(source.spellings) <= file
        assert bool(source.spellings) == (source.how != "random")
