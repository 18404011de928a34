"""The tables as arrays."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import InputError
from pipeline.exploration.corpus import read_corpus
from pipeline.tables import SPLITS


@pytest.fixture
def tables(make_tables):
    return make_tables({"test": {"b": ["a dog runs", "a cat"]}, "train": {"a": ["zebra", "a cat"]}})


def test_words_are_numbered_by_spelling_and_captions_keep_theirs(tables):
    corpus = read_corpus(*tables)
    assert corpus.words == ["a", "cat", "dog", "runs", "zebra"]
    assert corpus.codes.tolist() == [4, 0, 1, 0, 2, 3, 0, 1]
    assert corpus.lengths.tolist() == [1, 2, 3, 2]
    assert corpus.picture.tolist() == [0, 0, 1, 1]
    assert [SPLITS[place] for place in corpus.split] == ["train", "train", "test", "test"]
    assert corpus.tokens(2) == ["a", "dog", "runs"]
    assert corpus.captions_of(1) == [2, 3]
    assert corpus.distinct_captions() == 3


def test_captions_are_found_in_whichever_order_they_stand(tables):
    images, captions = tables
    corpus = read_corpus(images, captions.take([2, 0, 3, 1]))
    assert [corpus.tokens(row) for row in corpus.captions_of(0)] == [["zebra"], ["a", "cat"]]
    assert [corpus.tokens(row) for row in corpus.captions_of(1)] == [
        ["a", "dog", "runs"],
        ["a", "cat"],
    ]


def test_pictures_without_captions_are_counted(make_tables):
    corpus = read_corpus(*make_tables({"train": {"a": [], "b": ["a dog"], "c": []}}))
    assert corpus.per_picture.tolist() == [0, 1, 0]
    assert corpus.captions_of(0) == []


def test_tables_that_do_not_fit_are_told(make_tables, tables):
    images, captions = tables
    with pytest.raises(InputError, match=r"'b', and 1 more\. The tables are not of one run"):
        read_corpus(images.slice(0, 1), captions)
    with pytest.raises(InputError, match="Received: 2 pictures and 0 captions"):
        read_corpus(images, captions.slice(0, 0))
    other, _ = make_tables({"dev": {"a": ["a dog"], "b": ["a"]}})
    with pytest.raises(InputError, match=r"train, val, test\. Received: 'dev'"):
        read_corpus(other, captions)


def test_a_table_of_several_chunks_is_one_corpus(tables):
    images, captions = tables
    chunked = pa.concat_tables([captions.slice(0, 1), captions.slice(1, 3)])
    assert chunked["tokens"].num_chunks == 2
    assert np.array_equal(read_corpus(images, chunked).codes, read_corpus(images, captions).codes)
