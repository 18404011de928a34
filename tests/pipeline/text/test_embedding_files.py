"""Readers of word vectors: each format, what is odd in real files, and any bytes whatever."""

import gzip
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.text import embedding_files
from pipeline.text.embedding_files import SKIPPED, read_vectors
from pipeline.text.embedding_layout import HEAD

VECTORS = {
    "dog": [0.25, -1.5, 3.0],
    "the": [1e-3, 0.1, -2.5e2],
    "été": [7.0, 0.0, -0.125],
}
GLOVE = "".join(f"{word} {' '.join(map(str, row))}\n" for word, row in VECTORS.items()).encode()
WORD2VEC = b"3 3\n" + GLOVE
FAST_TEXT = b"3 3\n" + GLOVE.replace(b"\n", b" \n")  # its lines end in a space
BINARY = b"3 3\n" + b"".join(
    word.encode() + b" " + np.array(row, "<f4").tobytes() + b"\n" for word, row in VECTORS.items()
)
GENSIM = b"3 3\n" + b"".join(  # which writes no line feeds
    word.encode() + b" " + np.array(row, "<f4").tobytes() for word, row in VECTORS.items()
)
FORMATS = {
    "glove": GLOVE,
    "word2vec": WORD2VEC,
    "fasttext": FAST_TEXT,
    "binary": BINARY,
    "gensim": GENSIM,
}
NONE = dict.fromkeys(SKIPPED, 0)


@pytest.fixture
def read(tmp_path):
    """Read some words of a file with some content."""

    def reader(content, words=tuple(VECTORS), file_format="auto"):
        path = tmp_path / "vectors.txt"
        path.write_bytes(content)
        return read_vectors(path, file_format, {word: [word] for word in words})

    return reader


@pytest.fixture
def refuse(read):
    """Expect one line of error about a file with some content."""

    def refuser(content, file_format="auto"):
        with pytest.raises(InputError) as caught:
            read(content, file_format=file_format)
        message = str(caught.value)
        assert "vectors.txt" in message
        assert "\n" not in message
        return message

    return refuser


def assert_whole(found):
    assert found.words == 3
    assert found.skipped == NONE
    assert found.rows.keys() == VECTORS.keys()
    for word, row in VECTORS.items():
        assert found.rows[word].dtype == np.float32
        np.testing.assert_array_equal(found.rows[word], np.float32(row))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_found_and_read(read, name, packed):
    content = FORMATS[name]
    assert_whole(read(gzip.compress(content) if packed else content))


@pytest.mark.parametrize(
    ("name", "file_format"),
    [
        ("glove", "glove"),
        ("word2vec", "word2vec"),
        ("word2vec", "glove"),
        ("fasttext", "word2vec"),
        ("binary", "word2vec_binary"),
        ("gensim", "word2vec_binary"),
    ],
)
def test_a_format_by_name_is_read(read, name, file_format):
    assert_whole(read(FORMATS[name], file_format=file_format))


@pytest.mark.parametrize("name", ["glove", "word2vec", "fasttext"])
@pytest.mark.parametrize(
    "odd",
    [
        lambda content: b"\xef\xbb\xbf" + content,
        lambda content: content.replace(b"\n", b"\r\n"),
        lambda content: content.rstrip(),
        lambda content: content + b"\n\n",
        lambda content: content.replace(b" ", b"\t"),
        lambda content: content.replace(b" ", b"  "),
    ],
    ids=["byte order mark", "CRLF", "no last line feed", "blank lines", "tabs", "two spaces"],
)
def test_other_ways_to_write_text_do_not_matter(read, name, odd):
    assert_whole(read(odd(FORMATS[name])))


def test_only_line_feeds_end_a_line(read):
    odd = "a\u2028b 1 2 3\nc\x85d 1 2 3\nx\x0cy 1 2 3\n".encode()
    found = read(odd + GLOVE)
    assert found.words == 6
    assert found.skipped == NONE


def test_only_words_asked_for_are_kept(read):
    assert read(GLOVE, ["the", "zebra"]).rows.keys() == {"the"}
    assert read(BINARY, ["the", "zebra"]).rows.keys() == {"the"}


def test_a_stand_in_is_kept_only_while_its_words_are_missing(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("Cat 1\ncat 2\nCats 3\nDogs 4\n")
    wanted_for = {"cat": ["cat"], "Cat": ["cat"], "Cats": ["cat"], "dog": ["dog"], "Dogs": ["dog"]}
    assert list(read_vectors(path, "auto", wanted_for).rows) == ["Cat", "cat", "Dogs"]


def test_a_stand_in_is_kept_while_one_of_its_words_is_missing(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("skates 1\nskate 2\n")
    wanted_for = {"skates": ["skates"], "skate": ["skates", "skating"]}
    assert list(read_vectors(path, "auto", wanted_for).rows) == ["skates", "skate"]


def test_words_with_spaces_are_not_taken_for_their_first_word(read):
    found = read(b"dog@a . 9 9 9\n. . . 9 9 9\nthe name@domain.com 9 9 9\n" + GLOVE)
    assert found.skipped == {**NONE, "with_spaces": 3}
    np.testing.assert_array_equal(found.rows["the"], np.float32(VECTORS["the"]))
    assert found.words == 6


def test_words_that_are_numbers_are_words(read):
    found = read(b"7 1 2 3\n1_0 4 5 6\nnan 7 8 9\n" + GLOVE, ["7", "1_0", "nan"])
    assert {word: list(row) for word, row in found.rows.items()} == {
        "7": [1, 2, 3],
        "1_0": [4, 5, 6],
        "nan": [7, 8, 9],
    }


def test_the_first_of_equal_words_counts(read):
    again = b"dog 9 9 9\n"
    found = read(GLOVE + again + again)
    assert found.skipped == {**NONE, "duplicate": 2}
    np.testing.assert_array_equal(found.rows["dog"], np.float32(VECTORS["dog"]))


@pytest.mark.parametrize("number", ["nan", "inf", "-Infinity", "1e39"])
def test_what_is_not_finite_is_left_out_and_counted(read, number):
    found = read(GLOVE + f"cat 1 {number} 2\n".encode(), ["cat"])
    assert (found.rows, found.skipped) == ({}, {**NONE, "not_finite": 1})


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_what_is_not_finite_in_binary_is_left_out_and_counted(read, number):
    row = np.array([1, number, 2], "<f4").tobytes()
    found = read(b"1 3\ncat " + row, ["cat"], "word2vec_binary")
    assert (found.rows, found.skipped) == ({}, {**NONE, "not_finite": 1})


@pytest.mark.parametrize("name", ["glove", "binary"])
def test_words_that_are_not_utf8_are_counted(read, name):
    found = read(FORMATS[name].replace("été".encode(), b"\xe9t\xe9"))
    assert found.skipped == {**NONE, "not_utf8": 1}
    assert found.words == 3


@pytest.mark.parametrize(
    "line", ["cat 1 2", "cat", "cat 1 2 three", "cat 1 2 3 4", " 1 2 3", "cat 1 2 1_0", "x y 1"]
)
def test_a_few_broken_lines_are_counted(read, line):
    found = read(GLOVE + line.encode() + b"\n", [*VECTORS, "cat"])
    assert found.skipped == {**NONE, "broken": 1}
    assert found.first_broken.startswith("line 4: ")
    assert found.rows.keys() == VECTORS.keys()


def test_a_line_of_a_word_asked_for_is_not_taken_before_it_is_mended(read):
    found = read(b"dog 1 2 x\n" + GLOVE, ["dog"])
    assert found.skipped == {**NONE, "broken": 1}
    np.testing.assert_array_equal(found.rows["dog"], np.float32(VECTORS["dog"]))


def test_many_broken_lines_are_told_with_the_first(refuse):
    message = refuse(GLOVE + b"cat 1 two\n" * 11)
    assert "11 of 14 lines that are not, the first line 4: 'cat 1 two'" in message


def test_lines_are_counted_with_the_first_one(refuse):
    assert "the first line 5: 'cat 1 2'" in refuse(b"14" + WORD2VEC[1:] + b"cat 1 2\n" * 11)


EMPTY = [b"", b"\n\n", b"\xef\xbb\xbf", b" ", gzip.compress(b"", mtime=0)]


@pytest.mark.parametrize("content", EMPTY)
@pytest.mark.parametrize("file_format", ["auto", "glove", "word2vec", "word2vec_binary"])
def test_an_empty_file_is_told(refuse, content, file_format):
    assert "Received: no content" in refuse(content, file_format)


@pytest.mark.parametrize("content", [b"a\n", b"once upon a time\n", b"<!DOCTYPE html>\n<html>\n"])
def test_what_has_no_numbers_is_told(refuse, content):
    assert "line 1: expected a word and its numbers" in refuse(content)


@pytest.mark.parametrize("header", [b"3 0\n", b"0 3\n", b"3 10001\n", b"3 1000000000\n"])
def test_a_first_line_that_cannot_be_is_told(refuse, header):
    assert "line 1: expected the number of words and a width" in refuse(header + GLOVE)


@pytest.mark.parametrize("file_format", ["word2vec", "word2vec_binary"])
def test_a_missing_first_line_is_told(refuse, file_format):
    assert "vocabulary.embeddings.format: glove" in refuse(GLOVE, file_format)


@pytest.mark.parametrize("name", ["word2vec", "fasttext"])
def test_a_text_that_is_cut_off_is_told(refuse, name):
    message = refuse(FORMATS[name][: FORMATS[name].rindex("été".encode())])
    assert "expected 3 words, as its first line says. Received: 2" in message


@pytest.mark.parametrize("name", ["binary", "gensim"])
def test_a_binary_file_that_is_cut_off_anywhere_is_told(refuse, name):
    content = FORMATS[name].rstrip(b"\n")
    for length in range(len(b"3 3\n"), len(content)):
        message = refuse(content[:length], "word2vec_binary")
        assert "cut" in message or "Received: no content" in message


@pytest.mark.parametrize("name", FORMATS)
def test_a_packed_file_that_is_cut_off_or_spoiled_is_told(refuse, name):
    packed = gzip.compress(FORMATS[name])
    for length in (2, 9, 15, len(packed) - 9, len(packed) - 1):
        assert "Fetch it again" in refuse(packed[:length])
    assert "Fetch it again" in refuse(packed[:-8] + b"\x00\x00\x00\x00" + packed[-4:])


def test_a_binary_file_with_more_in_it_is_told(refuse):
    assert "more after these" in refuse(b"2" + BINARY[1:], "word2vec_binary")


def test_text_taken_for_binary_is_told(refuse):
    lines = b"".join(b"w%d %s\n" % (n, b" ".join([b"0.12345"] * 50)) for n in range(40))
    message = refuse(b"40 50\n" + lines, "word2vec_binary")
    assert "Received: lines of text. Write vocabulary.embeddings.format: word2vec" in message


def test_a_file_of_a_header_alone_is_told(refuse):
    assert "expected 2 words, as its first line says. Received: 0" in refuse(b"2 5\n")


@pytest.mark.parametrize(
    ("beginning", "what"),
    [
        (b"\xba\x16\x4f\x2f", "Use the .vec file"),
        (b"PK\x03\x04", "Unpack it"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "git lfs pull"),
        (b"\x80\x04", "pickle"),
        ("dog 1".encode("utf-16"), "UTF-16"),
    ],
)
def test_other_kinds_of_file_are_told(refuse, beginning, what):
    assert what in refuse(beginning + bytes(100))


def test_a_folder_is_told(tmp_path):
    with pytest.raises(InputError, match="expected a whole file of word vectors"):
        read_vectors(tmp_path, "auto", {})


def test_a_line_without_end_is_told(refuse):
    assert f"longer than {embedding_files.MAX_LINE} bytes" in refuse(GLOVE + b"1 " * HEAD)
    assert "line 1" in refuse(b"a" * (HEAD + 1))


def outcome(path, file_format):
    """What was read, or the message of the error."""
    try:
        return read_vectors(path, file_format, {word: [word] for word in VECTORS})
    except InputError as error:
        return str(error)


def peak_of(path, file_format):
    """Bytes that reading a file takes, whether it is taken or not."""
    tracemalloc.start()
    try:
        outcome(path, file_format)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "file_format"),
    [
        (b"999999999999 300\n" + GLOVE, "auto"),
        (b"999999999999 3\n" + BINARY[4:], "word2vec_binary"),
        (b"999999999999999999 10000\n" + bytes(5000), "word2vec_binary"),
        (b"3 999999999999\n" + GLOVE, "auto"),
        (b"9" * 100_000 + b" 3\n" + GLOVE, "glove"),
    ],
)
def test_what_a_file_claims_takes_no_memory(tmp_path, content, file_format):
    path = tmp_path / "vectors.txt"
    path.write_bytes(content)
    assert peak_of(path, file_format) < 10 * HEAD


def test_a_packed_line_without_end_takes_little_memory(tmp_path):
    path = tmp_path / "vectors.gz"
    path.write_bytes(gzip.compress(b"dog " + b"1 " * 50_000_000, 1))  # 100 MB
    assert peak_of(path, "auto") < 60 * HEAD


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "vectors.txt"
    peaks = []
    for number in (5_000, 20_000):  # 3 MB and 12 MB
        path.write_bytes(b"".join(b"w%d%s\n" % (n, b" 0.125" * 100) for n in range(number)))
        assert path.stat().st_size > 2 * HEAD
        peaks.append(peak_of(path, "auto"))
    assert peaks[1] < peaks[0] + HEAD / 4


@st.composite
def spoiled(draw):
    """A file of some format with bytes taken out, put in or changed, perhaps packed."""
    content = draw(st.sampled_from([*FORMATS.values()]))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(content)))
        until = draw(st.integers(at, min(len(content), at + 12)))
        put = draw(st.one_of(st.binary(max_size=8), st.sampled_from(PIECES)))
        content = content[:at] + put + content[until:]
    if draw(st.booleans()):
        content = gzip.compress(content, mtime=0)
        cut = draw(st.integers(0, 8))
        content = content[: len(content) - cut]
    return content


PIECES = [
    b"\n",
    b" ",
    b"\r\n",
    b"dog ",
    b"9" * 20,
    b"nan",
    b"1e999",
    b"\x00",
    b"\xff",
    b"1_0",
    b"-",
]


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(st.binary(max_size=300), spoiled()),
    st.sampled_from(["auto", "glove", "word2vec", "word2vec_binary"]),
)
def test_whatever_the_bytes_it_is_vectors_or_one_line(tmp_path_factory, content, file_format):
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(content)
    found = outcome(path, file_format)
    if isinstance(found, str):
        assert "\n" not in found
        assert "any.txt" in found
        return
    assert found.words > 0
    assert found.rows.keys() <= VECTORS.keys()
    for row in found.rows.values():
        assert row.shape == (found.layout.width,)
        assert row.dtype == np.float32
        assert np.isfinite(row).all()


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters=" \n\r\t\0\ufeff"), min_size=1),
        st.lists(
            st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=4, max_size=4
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(["glove", "word2vec", "word2vec_binary"]),
)
def test_what_is_written_comes_back(tmp_path_factory, vectors, file_format):
    path = tmp_path_factory.getbasetemp() / "back.txt"
    head = b"" if file_format == "glove" else f"{len(vectors)} 4\n".encode()
    if file_format == "word2vec_binary":
        lines = (w.encode() + b" " + np.array(row, "<f4").tobytes() for w, row in vectors.items())
    else:
        lines = (f"{w} {' '.join(map(repr, row))}\n".encode() for w, row in vectors.items())
    path.write_bytes(head + b"".join(lines))
    found = read_vectors(path, file_format, {word: [word] for word in vectors})
    assert found.words == len(vectors)
    assert {word: list(row) for word, row in found.rows.items()} == vectors
