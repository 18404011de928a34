"""The command `vocabulary`."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.text.embeddings import load_embeddings
from pipeline.text.marks import MARKS
from pipeline.text.vocabulary import Vocabulary

# Of the 11 words of the tiny data set: nine as they are, Green for green, and nothing for there.
VECTORS = """a 1 1 1
square 2 1 1
Green 3 1 1
red 4 1 1
blue 5 1 1
on 6 1 1
the 7 1 1
left 8 1 1
right 9 1 1
is 10 1 1
"""


@pytest.fixture
def run(counted, tmp_path):
    """Run the stage with a file of vectors; return how it ended and its folder."""

    def runner(content=VECTORS, **settings):
        folder, out = tmp_path / "vectors", tmp_path / "out"
        folder.mkdir(exist_ok=True)
        if content is not None:
            (folder / "mine.txt").write_text(content)
        embeddings = {"file": "mine.txt", "folder": "", "format": "auto", "seed": 1, **settings}
        arguments = (counted.images, counted.captions, folder, out)
        return counted.run("vocabulary", *arguments, embeddings=embeddings), out

    return runner


def test_the_words_the_metrics_and_the_curve_are_written(counted):
    folder = counted.data / "vocabulary"
    words = Vocabulary.read(folder / "vocabulary.json").words
    assert words[4:6] == ("a", "square")
    assert set(words[6:]) == {"red", "green", "blue", "on", "the", "left", "right", "there", "is"}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics == {"unknown_rate": {"test": 0.0, "train": 0.0, "val": 0.0}, "words": 15}
    lines = (folder / "coverage.csv").read_text().splitlines()
    assert lines[:2] == ["min_count,words,split,coverage", "1,11,train,1.0"]
    assert len(lines) == 1 + 12 * 3


def test_without_a_file_there_are_no_vectors(counted):
    folder = counted.data / "vocabulary"
    matrix = np.load(folder / "embeddings.npy")
    assert (matrix.shape, matrix.dtype) == ((15, 0), np.float32)
    assert (folder / "embeddings_missing.csv").read_text() == "word,count,vector,of\n"


def test_the_same_captions_give_the_same_bytes(counted, content, tmp_path):
    vectors, out = tmp_path / "vectors", tmp_path / "out"
    assert counted.run("vocabulary", counted.images, counted.captions, vectors, out).code == 0
    assert content(out) == content(counted.data / "vocabulary")


def test_only_words_of_the_training_split_are_known(make_tiny, tmp_path):
    tiny = make_tiny(tmp_path / "data", {"train": 2, "test": 4})  # training pictures are all red
    vectors, out = tmp_path / "vectors", tmp_path / "out"
    assert (
        tiny.run("clean", tiny.data / "ingest" / "captions.parquet", tiny.data / "clean").code == 0
    )
    assert tiny.run("vocabulary", tiny.images, tiny.captions, vectors, out, min_count=1).code == 0
    words = Vocabulary.read(out / "vocabulary.json").words
    assert "red" in words
    assert not {"green", "blue"} & set(words)
    assert json.loads((out / "metrics.json").read_text())["unknown_rate"]["test"] > 0


def test_a_threshold_that_no_word_reaches_is_one_line(cleaned, one_line, tmp_path):
    out = tmp_path / "out"
    inputs = (cleaned.images, cleaned.captions, tmp_path)
    result = cleaned.run("vocabulary", *inputs, out, min_count=1000)
    assert "Lower vocabulary.min_count" in one_line(result)
    assert not out.exists()


def test_captions_that_are_not_clean_are_one_line(tiny, one_line, tmp_path):
    captions = tiny.data / "ingest" / "captions.parquet"
    result = tiny.run("vocabulary", tiny.images, captions, tmp_path, tmp_path)
    assert "expected columns" in one_line(result)


def test_vectors_are_given_by_word_id(run):
    result, out = run()
    assert result.code == 0, result.err
    words = Vocabulary.read(out / "vocabulary.json")
    matrix = load_embeddings(out / "embeddings.npy", len(words), 3)
    for line in VECTORS.splitlines():
        word, *numbers = line.split()
        assert matrix[words.ids[word.lower()]].tolist() == [float(number) for number in numbers]


def test_coverage_and_what_is_missing_are_told(run, caplog):
    caplog.set_level("INFO")
    _, out = run(VECTORS + "a 7 7 7\nblue nan 1 1\nx y z\n")
    figures = json.loads((out / "metrics.json").read_text())["embeddings"]
    train = figures["coverage"].pop("train")
    assert 0.9 < train < 1
    assert figures == {
        "width": 3,
        "words_in_file": 12,
        "words": {"exact": 9, "variant": 1, "neighbour": 0, "parts": 0, "random": 1},
        "coverage": {"words": 10 / 11, "val": train, "test": train},
        "skipped": {
            "broken": 1, "duplicate": 2, "not_finite": 0, "not_utf8": 0, "with_spaces": 0
        },
    }  # fmt: skip
    counts = dict(zip(*read_words(out), strict=True))
    assert (out / "embeddings_missing.csv").read_text().splitlines() == [
        "word,count,vector,of",
        f"there,{counts['there']},random,",
        f"green,{counts['green']},variant,Green",
    ]
    assert "9 exact, 1 variant, 0 neighbour, 0 parts, 1 random" in caplog.text
    assert "skipped in mine.txt: 1 broken, 2 duplicate" in caplog.text
    assert "the first broken one is line 13: 'x y z'" in caplog.text


def read_words(out: Path):
    words = Vocabulary.read(out / "vocabulary.json")
    return words.words[len(MARKS) :], words.counts[len(MARKS) :]


def test_the_same_file_gives_the_same_bytes_and_another_seed_others(run, content):
    first = content(run()[1])
    assert content(run()[1]) == first
    other = content(run(seed=2)[1])
    assert {name for name in first if first[name] != other[name]} == {"embeddings.npy"}


def test_a_missing_file_is_one_line_and_nothing_is_written(run, one_line):
    result, out = run(None)
    assert "mine.txt: no such file" in one_line(result)
    assert not out.exists()


def test_a_file_that_is_no_vectors_is_one_line_and_nothing_is_written(run, one_line):
    result, out = run("<!DOCTYPE html>\n<html>\n")
    assert "line 1: expected a word and its numbers" in one_line(result)
    assert not out.exists()


@pytest.mark.parametrize("name", ["/etc/passwd", "../mine.txt"])
def test_a_file_outside_the_folder_is_one_line(run, one_line, name):
    assert "expected the name of a file in" in one_line(run(file=name)[0])


def test_words_that_would_be_frozen_at_random_are_warned_of(run, caplog):
    result, _ = run()
    assert result.code == 0, result.err
    assert "of the words said in train, 9.1% begin at random" in caplog.text  # there: 1 of 11
    caplog.clear()
    result, _ = run(VECTORS + "there 11 1 1\n")
    assert result.code == 0, result.err
    assert "at random;" not in caplog.text
