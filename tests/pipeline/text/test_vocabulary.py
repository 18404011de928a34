"""The vocabulary: order, marks, threshold, and the way there and back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.text.marks import END, MARKS, PAD, START, UNKNOWN
from pipeline.text.vocabulary import Vocabulary, coverage, unknown_rate

CAPTIONS = [text.split() for text in ("a dog runs", "a cat runs", "the dog", "a bird", "zebra")]
WORDS = st.text("abc", min_size=1, max_size=2)


def test_words_come_by_falling_count_ties_by_spelling():
    vocabulary = Vocabulary.build(CAPTIONS, min_count=1)
    assert vocabulary.words == (*MARKS, "a", "dog", "runs", "bird", "cat", "the", "zebra")
    assert vocabulary.counts == (0, 5, 5, 0, 3, 2, 2, 1, 1, 1, 1)
    assert len(vocabulary) == 11


def test_rare_words_are_left_out_and_counted_as_unknown():
    vocabulary = Vocabulary.build(CAPTIONS, min_count=2)
    assert vocabulary.words == (*MARKS, "a", "dog", "runs")
    assert vocabulary.counts[UNKNOWN] == 4


def test_the_marks_come_first():
    assert (PAD, START, END, UNKNOWN) == (0, 1, 2, 3)
    assert Vocabulary.build(CAPTIONS, 1).words[:4] == ("<pad>", "<start>", "<end>", "<unk>")


@given(st.lists(st.lists(WORDS, min_size=1, max_size=5), min_size=1, max_size=10), st.randoms())
def test_the_order_of_captions_does_not_matter(captions, random):
    one = Vocabulary.build(captions, 1)
    random.shuffle(captions)
    assert Vocabulary.build(captions, 1) == one


@pytest.mark.parametrize("captions", [[], [["a"], ["b"]]])
def test_no_word_that_is_frequent_enough_is_told(captions):
    with pytest.raises(InputError, match=r"min_count = 2 .*Lower vocabulary\.min_count"):
        Vocabulary.build(captions, 2)


def test_captions_are_encoded_between_start_and_end():
    vocabulary = Vocabulary.build(CAPTIONS, 2)
    assert vocabulary.encode(["a", "zebra", "runs"]) == [START, 4, UNKNOWN, 6, END]
    assert vocabulary.encode([]) == [START, END]


@given(st.lists(st.sampled_from(["a", "dog", "runs", "bird"])))
def test_known_words_come_back(tokens):
    vocabulary = Vocabulary.build(CAPTIONS, 1)
    assert vocabulary.decode(vocabulary.encode(tokens)) == tokens


def test_decoding_stops_at_the_first_end_and_leaves_marks_out():
    vocabulary = Vocabulary.build(CAPTIONS, 1)
    assert vocabulary.decode([START, 4, PAD, 5, END, 6, END]) == ["a", "dog"]
    assert vocabulary.decode([4, UNKNOWN, 99, -1]) == ["a", "<unk>", "<unk>", "<unk>"]


def test_written_it_is_read_and_has_the_same_bytes(tmp_path):
    vocabulary = Vocabulary.build([["été", "a"], ["a"]], 1)
    vocabulary.write(tmp_path / "one.json")
    Vocabulary.read(tmp_path / "one.json").write(tmp_path / "other.json")
    assert Vocabulary.read(tmp_path / "one.json") == vocabulary
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "other.json").read_bytes()


GOOD = {"words": [*MARKS, "a"], "counts": [0, 1, 1, 0, 3]}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"words": 3, "counts": 4}',
        json.dumps({**GOOD, "words": ["a", *MARKS]}),
        json.dumps({**GOOD, "words": [*MARKS, "<pad>"]}),
        json.dumps({**GOOD, "counts": [0, 1, 1, 0]}),
        json.dumps({**GOOD, "words": [*MARKS, ["a"]]}),
        json.dumps({**GOOD, "words": [*MARKS, 7]}),
        json.dumps({**GOOD, "counts": [0, 1, 1, 0, "many"]}),
    ],
)
def test_what_is_no_vocabulary_is_told_in_one_line(tmp_path, content):
    path = tmp_path / "vocabulary.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"vocabulary\.json: expected") as caught:
        Vocabulary.read(path)
    assert "\n" not in str(caught.value)


def test_a_missing_vocabulary_is_told(tmp_path):
    with pytest.raises(InputError, match=r"no such file\. Run `dvc repro vocabulary`"):
        Vocabulary.read(tmp_path / "vocabulary.json")


def test_the_unknown_rate_is_a_share_of_words():
    vocabulary = Vocabulary.build(CAPTIONS, 2)
    assert unknown_rate([["a", "zebra"], ["dog", "dog", "runs", "x"]], vocabulary) == 2 / 6
    assert unknown_rate([], vocabulary) == 0
    assert unknown_rate(CAPTIONS, vocabulary) == vocabulary.counts[UNKNOWN] / 11


def test_coverage_is_that_of_the_training_vocabulary():
    rows = coverage({"train": CAPTIONS, "val": [["a", "new", "dog", "cat"]], "test": []}, [1, 2, 4])
    assert rows == [
        {"min_count": 1, "words": 7, "train": 1.0, "val": 0.75, "test": 1.0},
        {"min_count": 2, "words": 3, "train": 7 / 11, "val": 0.5, "test": 1.0},
        {"min_count": 4, "words": 0, "train": 0.0, "val": 0.0, "test": 1.0},
    ]


@given(st.lists(st.lists(WORDS, max_size=6), max_size=12), st.lists(st.lists(WORDS, max_size=6)))
def test_coverage_falls_as_the_threshold_rises(train, val):
    rows = coverage({"train": train, "val": val}, range(1, 8))
    for name in ("words", "train", "val"):
        values = [row[name] for row in rows]
        assert values == sorted(values, reverse=True)
        assert name == "words" or all(0 <= value <= 1 for value in values)


@pytest.mark.parametrize("word", ["", "two words", "\x1b[2J", "a\nb", "a\u2028b", "\ud800"])
def test_words_that_no_line_can_have_are_refused(tmp_path, word):
    path = tmp_path / "vocabulary.json"
    content = {"words": [*MARKS, "dog", word], "counts": [0, 1, 1, 0, 2, 1]}
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="without blanks and control characters"):
        Vocabulary.read(path)


def test_marks_that_join_letters_are_words_own(tmp_path):
    words = (*MARKS, "\u0645\u06cc\u200c\u0631\u0648\u062f", "dog")
    Vocabulary(words, (0, 1, 1, 0, 2, 1)).write(tmp_path / "vocabulary.json")
    assert Vocabulary.read(tmp_path / "vocabulary.json").words == words
